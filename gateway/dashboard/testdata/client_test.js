// @ts-check
// What gateway.js promises to whoever imports it.

import { Gateway, Room, backoff, cause, decode } from "/page/gateway.js";
import { askedWait } from "/page/link.js";
import { faultNamed, faultOfFloat } from "/page/readings.js";
import { Sequence } from "/page/sequence.js";
import { equal, rejection, test, throws } from "./harness.js";

const golden = await (await fetch("/wire/records.json")).json(); // of the wire package's own tests
const { conversations } = await (await fetch("/client/conversations.json")).json(); // the Go client's tests play them too

/** @param {string[]} hex @returns {ArrayBuffer} */
const bytes = (...hex) => Uint8Array.from(hex.join("").match(/../g) ?? [], (byte) => parseInt(byte, 16)).buffer;

/** A golden record in a reading's terms. @param {any} g */
const meaning = (g) => ({
  sensor: g.sensor, simulated: !!(g.flags & 1), unsynced: !!(g.flags & 2), historical: !!(g.flags & 4), conflated: !!(g.flags & 8),
  fault: g.fault, seq: g.seq, temperature: g.temperature ?? NaN, humidity: g.humidity ?? NaN, time: g.time,
});

test("decodes every golden record as the gateway writes it, alone and together", () => {
  for (const g of golden) equal(decode(bytes(g.hex)), [meaning(g)], g.name);
  equal(decode(bytes(...golden.map((/** @type {any} */ g) => g.hex))), golden.map(meaning));
});

test("names values as hello does", () => {
  const record = bytes("0001", "00", "00", "00000007", "447d5000", "c0600000", "00000000000003e8"); // 1013.25, -3.5
  const sensors = (/** @type {string[]} */ ...names) => [{ id: 0 }, { id: 1, values: names.map((quantity) => ({ quantity, unit: "" })) }];
  const { temperature, humidity, pressure, co2 } = decode(record, sensors("pressure", "temperature"))[0];
  equal([temperature, humidity, pressure, co2], [-3.5, undefined, 1013.25, undefined]);
  equal(decode(record, sensors("co2"))[0].co2, 1013.25);
  equal(Object.keys(decode(record, sensors("co2"))[0]).includes("temperature"), false);
  for (const none of [undefined, [], [{ id: 1 }], sensors()]) equal(decode(record, none)[0].humidity, -3.5, "temperature and humidity where nothing is said");
});

test("reads the cause in a NaN's bits where nothing else says it", () => {
  for (const g of golden) equal(decode(bytes(g.hex.slice(0, 6), "00", g.hex.slice(8)))[0].fault, g.fault, g.name);
  equal([0x7fc00002, 0x7fc00000, 0xffffffff, 0x7fc10001, 0x7f800000, 0xff800000, 0x42290000].map(faultOfFloat), [2, 255, 255, 255, 0, 0, 0]);
});

test("refuses a message that is no whole number of records", () => {
  for (const size of [0, 1, 16, 23, 25, 47]) throws(() => decode(new ArrayBuffer(size)), RangeError);
});

test("has a name and words for every cause", () => {
  const causes = golden.map((/** @type {any} */ g) => g.fault).filter((/** @type {number} */ f) => f);
  equal(new Set(causes.map((/** @type {number} */ f) => cause(f).words)).size, causes.length);
  for (const f of causes) equal(faultNamed(cause(f).name), f);
  equal([cause(77).name, faultNamed("unheard of")], ["fault_77", 255]);
});

test("waits longer after each failure, five minutes after ten", () => {
  equal([0, 1, 2, 5, 6, 9, 10, 11].map((n) => backoff(n, 0.5)), [1500, 2500, 4500, 32500, 60000, 60000, 300000, 300000]);
  equal(askedWait(1012, "Service restart; retry_ms=731"), 731);
  equal(askedWait(1012, "Service restart; retry_ms=99999999"), 60000);
  equal([askedWait(1012, "Service restart"), askedWait(1001, "retry_ms=731")], [undefined, undefined]);
});

/** @param {Sequence} s @param {(number | [number, object])[]} numbers @returns whether each was new, as a string of 0 and 1 */
const feed = (s, numbers) => numbers.map((n) => {
  const [seq, over] = Array.isArray(n) ? n : [n, {}];
  return Number(s.accept(/** @type {any} */ ({ seq, historical: false, conflated: false, ...over })));
}).join("");
/** A replay is asked for, and begins with number `from`. @param {Sequence} s @param {number} from */
function resume(s, from) {
  const { since } = s;
  s.ask();
  s.answered(since, from);
}
const past = { historical: true }, thin = { conflated: true };

test("counts what never came, and what others stood for", () => {
  const s = new Sequence("indoor", 0);
  equal(feed(s, [0xfffffffd, 0xffffffff, 0, [4, thin], 5, 5, 3, 8]), "11111001");
  equal(s.counts, { received: 6, recovered: 0, conflated: 3, missed: 3, lost: 0 }); // fffffffe, 6 and 7; 1 to 3
  equal(s.since, 8);
});

test("two lanes: what was missed, and live, each number once", () => {
  const s = new Sequence("indoor", 0);
  feed(s, [1, 2]);
  equal(s.since, 2);
  resume(s, 3);
  equal(feed(s, [[3, past], 10, [4, past], 11, [4, past], [5, past]]), "111101");
  equal([s.since, s.counts.lost], [5, 0]);
  // Lost again before all was there: what was live is not asked for twice in vain.
  resume(s, 6);
  equal(feed(s, [[6, past], [7, past], [9, past], [10, past], [11, past], [12, past], 20, [19, past]]), "11100111");
  equal(s.counts, { received: 13, recovered: 8, conflated: 0, missed: 7, lost: 0 }); // 8 and 13 to 18: their lane went past them
  equal(s.since, 20);
});

test("what the gateway no longer has is lost, what is late is given up", () => {
  const s = new Sequence("indoor", 0);
  feed(s, [1, 2]);
  resume(s, 5); // 3 and 4 are gone
  equal(feed(s, [9, [5, past]]), "11");
  equal([s.counts.lost, s.since], [2, 5]);
  resume(s, 8); // 6 and 7 too
  equal([s.counts.lost, s.since], [4, 7]);
  s.settle();
  equal([s.counts.lost, s.counts.missed, s.since], [4, 1, 9]);
});

test("what is said to be gone in the middle of a replay is lost, not a tick that was never made", () => {
  const s = new Sequence("indoor", 0);
  feed(s, [1, 2]);
  resume(s, 3);
  equal(feed(s, [20, [3, past], [5, past]]), "111"); // 4 was never made
  s.lose(10);
  equal([s.counts.missed, s.counts.lost, s.since], [1, 4, 9]); // 6 to 9
  equal(feed(s, [[10, past], [12, past], 21]), "111"); // 11 was never made
  s.lose(20); // as far as the live lane
  equal([s.counts, s.since], [{ received: 8, recovered: 4, conflated: 0, missed: 2, lost: 11 }, 21]);
  s.lose(20);
  s.lose(5);
  equal(s.counts.lost, 11, "said again");
});

test("what is said to be gone before anything came live is lost once", () => {
  const s = new Sequence("indoor", 0);
  feed(s, [0xfffffffd]);
  resume(s, 0xfffffffe);
  s.lose(2); // around the wrap
  equal([s.counts.lost, s.since], [4, 1]);
  equal(feed(s, [5, [2, past], 6, [4, past]]), "1111"); // the live lane, and a hole up to it
  equal(s.counts, { received: 5, recovered: 2, conflated: 0, missed: 1, lost: 4 });
});

test("what is said to be gone, and comes all the same, is not lost", () => {
  const s = new Sequence("indoor", 0);
  feed(s, [1, 2]);
  resume(s, 9); // there is a loss in the middle: 3 and 4, and 6, are before it
  equal(s.counts.lost, 6);
  equal(feed(s, [20, [3, past], [4, past], [4, past], [6, past], [9, past], [5, past]]), "1110110");
  equal(s.counts, { received: 7, recovered: 4, conflated: 0, missed: 0, lost: 3 }); // 5, 7 and 8
  s.lose(15);
  equal([feed(s, [[11, past], [15, past]]), s.counts.lost, s.counts.recovered], ["11", 7, 6]); // 10 and 12 to 14
  s.settle();
  equal([feed(s, [[13, past]]), s.counts.lost], ["0", 7], "a replay that is over");
});

/** A browser in which time stands still until a timer is run. */
class Browser {
  /** @type {any[]} */
  sockets = [];
  /** @type {{id: number, then: () => void, ms: number}[]} */
  timers = [];
  #kept = { WebSocket: globalThis.WebSocket, setTimeout: globalThis.setTimeout, clearTimeout: globalThis.clearTimeout, setInterval: globalThis.setInterval, clearInterval: globalThis.clearInterval };
  #random = Math.random;
  #ids = 0;
  now = 1000; // ms

  constructor() {
    const browser = this;
    const set = (/** @type {() => void} */ then, /** @type {number} */ ms) => {
      browser.timers.push({ id: ++browser.#ids, then, ms });
      return browser.#ids;
    };
    const clear = (/** @type {number} */ id) => (browser.timers = browser.timers.filter((t) => t.id !== id));
    Object.assign(globalThis, {
      WebSocket: class {
        readyState = 0;
        /** @type {any[]} */
        sent = [];
        /** @param {URL} url @param {string[]} protocols */
        constructor(url, protocols) {
          this.url = String(url);
          this.protocols = protocols;
          browser.sockets.push(this);
        }
        /** @param {string} text */
        send(text) { this.sent.push(JSON.parse(text)); }
        close() { this.readyState = 3; }
      },
      setTimeout: set, clearTimeout: clear, setInterval: set, clearInterval: clear,
    });
    Math.random = () => 0.25;
    performance.now = () => this.now;
  }

  /** Hides the page, or shows it, and says so unless told not to. @param {boolean} is @param {string} [event] */
  hide(is, event = "visibilitychange") {
    Object.defineProperty(document, "hidden", { value: is, configurable: true });
    document.dispatchEvent(new Event(event));
  }

  restore() {
    delete (/** @type {any} */ (document)).hidden; // the browser's own is its prototype's
    Object.assign(globalThis, this.#kept);
    Math.random = this.#random;
    delete (/** @type {any} */ (performance)).now; // likewise
  }

  get socket() { return this.sockets.at(-1); }

  accept() {
    this.socket.readyState = 1;
    this.socket.onopen?.();
  }

  /** @param {any} message */
  say(message) {
    this.socket.onmessage({ data: message instanceof ArrayBuffer ? message : JSON.stringify(message) });
  }

  /** @param {number} code @param {string} reason */
  lose(code = 1006, reason = "") {
    this.socket.onclose({ code, reason });
  }

  /** Runs the newest timer with this wait. @param {number} ms */
  run(ms) {
    const timer = this.timers.findLast((t) => t.ms === ms);
    if (!timer) throw new Error(`no timer of ${ms} ms: ${this.timers.map((t) => t.ms)}`);
    this.timers = this.timers.filter((t) => t !== timer);
    timer.then();
  }

  /** @param {object} over */
  greet(over = {}) {
    this.accept();
    const sensors = [{ id: 2, name: "indoor", model: "SHT3x", interval_ms: 100, next_seq: 300 }];
    this.say({ type: "hello", payload: { server: "gateway", version: "1", epoch: "e", sensors, motors: [{ target: "m", running: false, ts: 1 }], ...over } });
  }
}

/** Lets all promises go on that can. */
const promises = async () => { for (let i = 0; i < 10; i++) await undefined; };

/** @param {string} name @param {(browser: Browser) => unknown} body */
const inBrowser = (name, body) => test(name, async () => {
  const browser = new Browser();
  try {
    await body(browser);
  } finally {
    browser.restore();
  }
});

/** @param {Gateway} gateway @returns {string[]} */
function log(gateway) {
  /** @type {string[]} */
  const lines = [];
  gateway.addEventListener("phase", ({ detail }) => lines.push(detail));
  gateway.addEventListener("hello", ({ detail }) => lines.push(`hello ${detail.epoch}`));
  gateway.addEventListener("readings", ({ detail }) => lines.push(detail.map((/** @type {any} */ r) => `${r.name} ${r.seq}`).join()));
  gateway.addEventListener("motor", ({ detail }) => lines.push(`${detail.target} ${detail.running}`));
  gateway.addEventListener("resumed", ({ detail }) => lines.push(`resumed ${detail.skipped}`));
  return lines;
}

const hex = (/** @type {number} */ n, /** @type {number} */ digits) => n.toString(16).padStart(digits, "0");

/** The bytes of a record. @param {number} seq @param {number} [flags] @param {number} [sensor] */
const record = (seq, flags = 0, sensor = 2) => bytes(hex(sensor, 4), hex(flags, 2), "00", hex(seq, 8), "41a0000042480000", "0000000000000000");

/** Plays a step of a conversation. @param {Browser} browser @param {any} step @param {any} asked the client's last request to replay, with its id */
async function play(browser, { hello, records, asks, answers, refuses, passes_ms, ends }, asked) {
  if (hello) {
    browser.accept();
    browser.say({ type: "hello", payload: hello });
  } else if (records) {
    const all = records.map((/** @type {number[]} */ [sensor, seq, flags]) => [...new Uint8Array(record(seq, flags, sensor))]);
    browser.say(Uint8Array.from(all.flat()).buffer);
  } else if (asks) {
    equal(asked?.payload, asks);
  } else if (answers) {
    browser.say({ type: "subscribed", id: asked.id, payload: answers });
  } else if (refuses) {
    browser.say({ type: "error", id: asked.id, payload: refuses });
  } else if (passes_ms) {
    browser.now += passes_ms;
  } else {
    browser.lose(ends);
    browser.run(Math.max(...browser.timers.map(({ ms }) => ms))); // the wait
  }
  await promises();
}

for (const { name, steps, readings, counts } of conversations) {
  inBrowser(`a conversation: ${name}`, async (browser) => {
    const gateway = new Gateway("ws://gateway/");
    /** @type {string[]} */
    const came = [];
    gateway.addEventListener("readings", ({ detail }) => came.push(...detail.map((/** @type {any} */ r) => `${r.name} ${r.seq}${r.historical ? " replayed" : ""}`)));
    gateway.open();
    for (const step of steps) await play(browser, step, browser.socket.sent.findLast((/** @type {any} */ m) => m.payload.since));
    equal(came, readings);
    const counted = Object.fromEntries([...gateway.sequences.values()].map(({ name, counts: { received, recovered, conflated, missed, lost } }) => [name, { received, recovered, conflated, missing: missed + lost }]));
    for (const [sensor, want] of Object.entries(counts)) equal(counted[sensor], want, sensor);
  });
}

inBrowser("a gateway reads, loses, waits, comes back and asks for what it missed", async (browser) => {
  const gateway = new Gateway("http://gateway/", { topics: ["motors"] }), lines = log(gateway);
  gateway.open();
  gateway.open(); // one is enough
  equal([browser.sockets.length, browser.socket.url, browser.socket.protocols], [1, "ws://gateway/", ["readings.v2"]]);
  browser.say(record(1)); // nothing counts before hello
  browser.greet();
  equal(browser.socket.sent.map((/** @type {any} */ m) => [m.type, m.payload.topic]), [["subscribe", "motors"], ["ping", undefined]]);
  browser.say(record(256));
  browser.lose(1012, "Service restart; retry_ms=731");
  browser.run(731);
  browser.greet();
  equal(browser.socket.sent[0].payload, { topic: "sensors", epoch: "e", since: { indoor: 256 } });
  browser.say(record(290));
  browser.say({ type: "subscribed", id: browser.socket.sent[0].id, payload: { topic: "sensors", recovered: true } });
  await promises();
  browser.say(record(290)); // again after the answer
  browser.say(record(257, 4));
  browser.say(record(257, 4));
  equal(lines, ["connecting", "hello e", "connected", "m false", "indoor 256", "waiting", "connecting", "hello e", "connected", "m false",
    "resumed false", "indoor 290", "indoor 257"]);
  equal(gateway.counts, { received: 3, recovered: 1, conflated: 0, missed: 0, lost: 0 });
});

inBrowser("a gateway that loses more in the middle of a replay says so, unasked", async (browser) => {
  const gateway = new Gateway("http://gateway/"), lines = log(gateway);
  gateway.open();
  browser.greet();
  browser.say(record(256));
  browser.lose();
  browser.run(1250);
  browser.greet();
  browser.say({ type: "subscribed", id: browser.socket.sent[0].id, payload: { topic: "sensors", recovered: true } });
  await promises();
  browser.say(record(300));
  browser.say(record(257, 4));
  browser.say({ type: "subscribed", payload: { topic: "sensors", recovered: false, from: { indoor: 290, attic: 5 } } });
  equal(gateway.counts, { received: 3, recovered: 1, conflated: 0, missed: 0, lost: 32 });
  for (let seq = 290; seq < 300; seq++) browser.say(record(seq, 4));
  equal(gateway.counts, { received: 13, recovered: 11, conflated: 0, missed: 0, lost: 32 });
  equal(lines.at(-1), "indoor 299");
});

inBrowser("another epoch begins anew, and nothing older than wanted is asked for", async (browser) => {
  const gateway = new Gateway("ws://gateway/sensors/indoor", { replay: 2000 });
  gateway.open();
  browser.greet();
  browser.say(record(256));
  browser.lose();
  browser.run(1250);
  browser.greet();
  equal(browser.socket.sent[0].payload, { topic: "sensors/indoor", epoch: "e", since: { indoor: 279 } }); // of 300, 20 ticks
  browser.lose();
  gateway.open(); // somebody is there: no need to wait
  browser.greet({ epoch: "f" });
  equal(browser.socket.sent[0].payload, { topic: "sensors/indoor", epoch: "f", since: { indoor: 279 } });
});

inBrowser("a gateway counts failures until hello, and opens the circuit after ten", (browser) => {
  const gateway = new Gateway("ws://gateway/");
  gateway.open();
  for (const wait of [2250, 4250, 8250, 16250, 32250, 60000, 60000, 60000, 60000, 300000, 300000]) {
    browser.lose();
    browser.run(wait);
  }
  browser.greet();
  browser.lose(1012, "Service restart; retry_ms=500");
  browser.run(500);
  browser.run(10000); // no hello in time
  equal(gateway.phase, "waiting");
  gateway.close();
  equal([gateway.phase, browser.timers.length], ["closed", 0]);
});

inBrowser("an unknown sensor ends it, too many messages do not", (browser) => {
  const gateway = new Gateway("http://gateway/sensors/nope");
  /** @type {string[]} */
  const heard = [];
  gateway.addEventListener("refused", ({ detail }) => heard.push(`${gateway.phase}: ${detail}`));
  gateway.open();
  browser.accept();
  browser.lose(1008, "Rate limit exceeded");
  equal([gateway.phase, heard], ["waiting", []]);
  gateway.open();
  browser.accept();
  browser.lose(1008, "Unknown endpoint");
  equal([heard, browser.timers], [["closed: unknown sensor nope"], []]);
});

inBrowser("a command is answered, refused, or says that it was lost; none is kept for later", async (browser) => {
  const gateway = new Gateway("ws://gateway/");
  equal((await rejection(gateway.command("start", "m"))).code, 0);
  gateway.open();
  browser.greet();
  const done = gateway.command("start", "m", { speed: 0.5 }), sent = browser.socket.sent.at(-1);
  equal(sent.payload, { action: "start", target: "m", speed: 0.5 });
  browser.say({ type: "state", payload: { target: "m", running: false, ts: 9 } }); // stopped since, by another
  browser.say({ type: "ack", id: sent.id, payload: { action: "start", target: "m", status: "ok", state: { target: "m", running: true, ts: 5 } } });
  equal((await done).status, "ok");
  equal(gateway.motors.get("m")?.running, false, "an answer does not hide what came after it");
  const refused = gateway.command("start", "m"), id = browser.socket.sent.at(-1).id;
  equal(id === sent.id, false);
  browser.say({ type: "error", id, payload: { code: 409, message: "interlock" } });
  const { code, message } = await rejection(refused);
  equal([code, message], [409, "interlock"]);
  const lost = gateway.command("stop", "m");
  browser.lose();
  equal((await rejection(lost)).code, 0);
  browser.run(1250);
  browser.greet();
  equal(browser.socket.sent.filter((/** @type {any} */ m) => m.type === "command"), []);
});

inBrowser("a look at the motors shows their interlocks, is no command, and does not get ahead of a change", async (browser) => {
  const gateway = new Gateway("ws://gateway/"), lines = log(gateway);
  gateway.open();
  browser.greet();
  lines.length = 0;
  const look = async (/** @type {object[]} */ motors) => {
    const looked = gateway.look(), { type, id, payload } = browser.socket.sent.at(-1);
    equal([type, payload], ["subscribe", { topic: "motors" }]);
    browser.say({ type: "subscribed", id, payload: { topic: "motors", motors } });
    await looked;
  };
  const interlocks = [{ condition: "indoor.age < 1s", holds: false }];
  await look([{ target: "m", running: false, ts: 1, interlocks }]);
  equal([lines, gateway.motors.get("m")?.interlocks], [["m false"], interlocks]);
  await look([{ target: "m", running: true, ts: 2 }]); // whose state message is on its way
  equal(lines, ["m false"]);
  browser.say({ type: "state", payload: { target: "m", running: true, ts: 2 } });
  equal(lines, ["m false", "m true"]);
  const looked = gateway.look();
  browser.lose();
  equal((await rejection(looked)).code, 0);
});

inBrowser("a lease is kept alive until it is released or the motor stops", async (browser) => {
  const gateway = new Gateway("ws://gateway/");
  gateway.open();
  browser.greet();
  const keeps = () => browser.timers.filter((t) => t.ms === 500).length;
  let ts = 5;
  const hold = async () => {
    const held = gateway.hold("m", {}, 1500), sent = browser.socket.sent.at(-1);
    equal(sent.payload, { action: "start", target: "m", lease_ms: 1500 });
    browser.say({ type: "ack", id: sent.id, payload: { state: { target: "m", running: true, ts: ++ts } } });
    await held;
    equal([gateway.holds("m"), keeps()], [true, 1]);
  };
  await hold();
  browser.timers.find((t) => t.ms === 500)?.then();
  equal(browser.socket.sent.at(-1).payload, { action: "keepalive", target: "m" });
  gateway.release();
  equal([gateway.holds("m"), keeps()], [false, 0]);
  await hold();
  browser.say({ type: "state", payload: { target: "m", running: false, reason: "interlock", ts: ++ts } });
  equal(keeps(), 0);
  await hold();
  browser.lose();
  equal(keeps(), 0);
});

/** Starts motor m under a lease of 1500 ms. @param {Browser} browser @param {Gateway} gateway @returns how to acknowledge it */
function begin(browser, gateway) {
  const held = gateway.hold("m", {}, 1500), { id, payload } = browser.socket.sent.at(-1);
  equal(payload, { action: "start", target: "m", lease_ms: 1500 });
  held.catch(() => {});
  return async () => {
    browser.say({ type: "ack", id, payload: { state: { target: "m", running: true, ts: 5 } } });
    await held;
  };
}

/** What may come between a start and its acknowledgement, and whether the lease is kept alive after it. @type {Record<string, [keeps: boolean, (browser: Browser, gateway: Gateway) => unknown]>} */
const between = {
  "nothing": [true, () => {}],
  "the page is hidden": [false, (browser) => browser.hide(true)],
  "the page is hidden, unsaid": [false, (browser) => browser.hide(true, "nothing")],
  "the page is hidden and shown again": [false, (browser) => {
    browser.hide(true);
    browser.hide(false);
  }],
  "the page is hidden when its scripts are paused, and shown again": [false, (browser) => {
    browser.hide(true, "freeze");
    browser.hide(false, "resume");
  }],
  "the page is left": [false, () => window.dispatchEvent(new Event("pagehide"))],
  "a release": [false, (_, gateway) => gateway.release("m")],
  "a release of all": [false, (_, gateway) => gateway.release()],
  "a release of another": [true, (_, gateway) => gateway.release("n")],
  "an e-stop": [false, (_, gateway) => void gateway.estop().catch(() => {})],
  "what the motor was before": [true, (browser) => browser.say({ type: "state", payload: { target: "m", running: false, ts: 4 } })],
  "that it was stopped since": [false, (browser) => browser.say({ type: "state", payload: { target: "m", running: false, ts: 6 } })],
  "what another motor does": [true, (browser) => browser.say({ type: "state", payload: { target: "n", running: false, ts: 9 } })],
};

for (const [what, [keeps, happens]] of Object.entries(between)) {
  inBrowser(`a lease is kept alive only while somebody can see the page: between a start and its acknowledgement, ${what}`, async (browser) => {
    const gateway = new Gateway("ws://gateway/");
    gateway.open();
    browser.greet();
    const acknowledge = begin(browser, gateway);
    happens(browser, gateway);
    await acknowledge();
    equal([gateway.holds("m"), browser.timers.filter((t) => t.ms === 500).length], [keeps, Number(keeps)]);
    browser.hide(false);
    equal(gateway.holds("m"), keeps, "when it is shown again");
  });
}

inBrowser("a lease is kept alive over no loss of the connection, whenever the answer comes", async (browser) => {
  const gateway = new Gateway("ws://gateway/");
  gateway.open();
  browser.greet();
  begin(browser, gateway);
  const { id } = browser.socket.sent.at(-1), ack = { type: "ack", id, payload: { state: { target: "m", running: true, ts: 5 } } };
  browser.lose();
  await promises();
  browser.run(1250);
  browser.greet();
  browser.say(ack);
  await promises();
  equal(gateway.holds("m"), false);
});

inBrowser("a hidden page starts nothing, and a keepalive that is due when it was hidden is not sent", async (browser) => {
  const gateway = new Gateway("ws://gateway/");
  gateway.open();
  browser.greet();
  await begin(browser, gateway)();
  browser.hide(true, "nothing"); // a timer may run before the event comes
  const sent = browser.socket.sent.length;
  browser.run(500);
  equal([gateway.holds("m"), browser.timers.some((t) => t.ms === 500)], [false, false]);
  equal((await rejection(gateway.hold("m"))).message, "the page is hidden");
  equal(browser.socket.sent.length, sent);
});

inBrowser("the shortest lease sets the pace, and none ends for another's start", async (browser) => {
  const gateway = new Gateway("ws://gateway/");
  gateway.open();
  browser.greet();
  const hold = async (/** @type {string} */ target, /** @type {number} */ lease) => {
    const held = gateway.hold(target, {}, lease), { id } = browser.socket.sent.at(-1);
    browser.say({ type: "ack", id, payload: { state: { target, running: true, ts: 5 } } });
    await held;
  };
  const timers = () => browser.timers.filter((t) => t.ms < 2000).map((t) => `${t.id} every ${t.ms}`), kept = () => browser.socket.sent.filter((/** @type {any} */ m) => m.payload.action === "keepalive").length;
  await hold("m", 3000);
  const [first] = timers();
  await hold("n", 3000);
  await hold("o", 6000);
  equal([timers(), kept()], [[first], 0], "a timer that began anew with each start would never run");
  await hold("p", 600);
  equal([timers().map((t) => t.split(" ")[2]), kept() > 0], [["200"], true]);
  gateway.release("p");
  equal(timers().map((t) => t.split(" ")[2]), ["1000"]);
  gateway.release();
  equal(timers(), []);
});

inBrowser("32 motors are held with one keepalive for all", async (browser) => {
  const gateway = new Gateway("ws://gateway/");
  gateway.open();
  browser.greet();
  const names = Array.from({ length: 32 }, (_, i) => `motor_${i}`);
  for (const target of names) {
    const held = gateway.hold(target, {}, 1500), { id } = browser.socket.sent.at(-1);
    browser.say({ type: "ack", id, payload: { state: { target, running: true, ts: 5 } } });
    await held;
  }
  const before = browser.socket.sent.length;
  browser.run(500);
  equal(browser.socket.sent.slice(before).map((/** @type {any} */ m) => m.payload), [{ action: "keepalive", target: names }]);
});

inBrowser("an e-stop goes out as soon as there is a connection, and never after it was given up", async (browser) => {
  const gateway = new Gateway("ws://gateway/");
  const stopped = gateway.estop(10_000);
  equal(gateway.phase, "connecting"); // without waiting
  browser.greet();
  browser.run(200);
  await promises();
  const sent = browser.socket.sent.at(-1);
  equal(sent.payload, { action: "estop" });
  browser.say({ type: "ack", id: sent.id, payload: { action: "estop", target: "all", status: "ok", motors: [] } });
  equal((await stopped).status, "ok");
  browser.lose();
  const failed = gateway.estop(0);
  equal((await rejection(failed)).code, 0);
  gateway.open();
  browser.greet();
  equal(browser.socket.sent.some((/** @type {any} */ m) => m.payload.action === "estop"), false);
});

inBrowser("a room is joined, again after a loss, and not under a name that is taken", (browser) => {
  const room = new Room("eve", "http://gateway/chat");
  /** @type {string[]} */
  const heard = [];
  room.addEventListener("message", ({ detail }) => heard.push(`${detail.type} ${detail.nick}`));
  room.addEventListener("refused", ({ detail }) => heard.push(`refused ${detail}`));
  room.open();
  browser.accept();
  equal([browser.socket.url, browser.socket.sent], ["ws://gateway/chat", [{ type: "join", nick: "eve", text: "" }]]);
  equal(room.say("early"), false);
  browser.say({ type: "info", nick: "server", text: "You are eve, alone here" });
  equal(room.say("hi"), true);
  equal(browser.socket.sent.at(-1), { type: "chat", nick: "eve", text: "hi" });
  browser.lose();
  browser.run(1250);
  browser.accept();
  browser.lose(1008, "Nick taken"); // its own ghost
  equal(room.phase, "waiting");
  room.close();
  const other = new Room("eve", "http://gateway/chat");
  other.addEventListener("refused", ({ detail }) => heard.push(`refused ${detail}`));
  other.open();
  browser.accept();
  browser.lose(1008, "Nick taken");
  equal([other.phase, heard], ["closed", ["info server", "refused Nick taken"]]);
});
