// @ts-check
// What gateway.js promises to whoever imports it: connections, what was missed, the chat.

import { Gateway, Room } from "/page/gateway.js";
import { inBrowser, log, promises, record } from "./browser.js";
import { equal, throws } from "./harness.js";

/** @typedef {import("./browser.js").Browser} Browser */

const { conversations } = await (await fetch("/client/conversations.json")).json(); // the Go client's tests play them too

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

inBrowser("a gateway that wakes asks whether the connection still works, and has another one soon", async (browser) => {
  const gateway = new Gateway("ws://gateway/"), lines = log(gateway);
  gateway.wake(); // it connects
  browser.greet();
  await promises();
  const asked = browser.socket.sent.length;
  gateway.wake();
  equal(browser.socket.sent.slice(asked).map((/** @type {any} */ m) => m.type), ["ping"]);
  browser.now += 2900;
  browser.say(record(300)); // any word will do
  browser.now += 100;
  browser.run(3000);
  equal([browser.sockets.length, gateway.phase], [1, "connected"]);
  browser.now += 600_000; // asleep: no timer has run
  gateway.wake();
  browser.now += 20;
  browser.say(record(301)); // what came before its network went
  browser.now += 2980;
  browser.run(3000);
  browser.run(0);
  equal([browser.sockets.length, gateway.phase], [2, "connecting"]);
  browser.greet();
  equal(browser.socket.sent[0].payload, { topic: "sensors", epoch: "e", since: { indoor: 301 } });
  browser.now += 600_000;
  gateway.wake();
  browser.say(record(302));
  browser.lose(); // its end, which was to be told while it slept, comes now
  browser.run(0);
  equal([browser.sockets.length, gateway.phase], [3, "connecting"]);
  browser.run(3000);
  browser.lose();
  equal([browser.sockets.length, gateway.phase], [3, "waiting"]); // once
  gateway.wake();
  equal([browser.sockets.length, lines.filter((line) => line === "connected").length], [4, 2]);
  browser.now += 1000;
  gateway.wake();
  browser.lose(); // a try is older than the sleep, too
  browser.run(0);
  equal([browser.sockets.length, gateway.phase], [5, "connecting"]);
  browser.greet();
  browser.now += 1000;
  gateway.wake();
  browser.say({ type: "pong", id: browser.socket.sent.at(-1).id, payload: {} });
  await promises();
  browser.run(3000);
  equal([browser.sockets.length, gateway.phase], [5, "connected"]); // it has answered
  gateway.wake();
  browser.lose(1012, "Service restart; retry_ms=500");
  equal([browser.sockets.length, gateway.phase], [5, "waiting"]); // the gateway's wait holds
});

inBrowser("another epoch starts again, and nothing older than wanted is asked for", async (browser) => {
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

const token = `gwt_${"A".repeat(43)}2x1kK3`;

/** An answer to a plain request. @param {number} status @param {string} [words] */
const answered = (status, words = "") => /** @type {any} */ ({ status, text: async () => words });

/** Answers plain requests, which it lists. @param {() => Response | Promise<Response>} answer @returns {string[]} */
function serve(answer) {
  /** @type {string[]} */
  const asked = [];
  globalThis.fetch = async (address, init) => {
    asked.push(`${address} ${/** @type {any} */ (init?.headers).Authorization === `Bearer ${token}`}`);
    return answer();
  };
  return asked;
}

inBrowser("a token goes along as a subprotocol beside a real one, on every connection, and never in an address", (browser) => {
  const gateway = new Gateway("https://gateway/gw/", { token }), room = new Room("eve", "https://gateway/gw/chat", { token });
  gateway.open();
  browser.greet();
  browser.lose();
  browser.run(1250);
  room.open();
  equal(browser.sockets.map(({ url, protocols }) => [url, protocols]), ["", "", "chat"].map((path) => [`wss://gateway/gw/${path}`, ["readings.v2", `gateway.token.${token}`]]));
  for (const wrong of ["", "gwt_", `${token} `, token.slice(1), `${token.slice(0, -1)},`]) throws(() => new Gateway("ws://gateway/", { token: wrong }), TypeError);
  room.close();
  gateway.close();
});

inBrowser("a token that is refused ends the tries, in the gateway's words", async (browser) => {
  for (const [url, address] of [["ws://gateway/", "http://gateway/api/v1/sensors"], ["wss://gateway/gw/sensors/indoor", "https://gateway/gw/sensors/indoor"]]) {
    const gateway = new Gateway(url, { token }), asked = serve(() => answered(401, "the token of fence has expired\n"));
    /** @type {string[]} */
    const heard = [];
    gateway.addEventListener("refused", ({ detail }) => heard.push(`${gateway.phase}: ${detail}`));
    gateway.open();
    browser.lose();
    await promises();
    equal([asked, heard, browser.timers], [[`${address} true`], ["closed: 401: the token of fence has expired"], []]);
  }
});

inBrowser("a handshake that fails for another reason is tried again, and so is one of whom nothing is known", async (browser) => {
  for (const answer of [() => answered(200, "{}"), () => answered(503, "busy"), () => Promise.reject(new TypeError("Failed to fetch"))]) {
    const gateway = new Gateway("ws://gateway/", { token }), asked = serve(answer);
    gateway.open();
    browser.lose();
    await promises();
    equal([gateway.phase, asked.length], ["waiting", 1]);
    browser.run(2250);
    browser.greet();
    browser.lose(); // it had been let in: nothing is to be asked
    await promises();
    equal([gateway.phase, asked.length], ["waiting", 1]);
    gateway.close();
  }
  const anonymous = new Gateway("ws://gateway/"), asked = serve(() => answered(401));
  anonymous.open();
  browser.lose();
  await promises();
  equal([anonymous.phase, asked], ["waiting", []]); // the page says why, and may be let in after a login
});

inBrowser("whose token is revoked while connected is told so, and not let in again", (browser) => {
  for (const reason of ["Token revoked", "Token expired", "Session ended"]) {
    const gateway = new Gateway("ws://gateway/", { token }), room = new Room("eve", "ws://gateway/chat", { token });
    /** @type {string[]} */
    const heard = [];
    for (const link of [gateway, room]) link.addEventListener("refused", ({ detail }) => heard.push(detail));
    gateway.open();
    browser.greet();
    browser.lose(1008, reason);
    room.open();
    browser.accept();
    browser.say({ type: "info", nick: "server", text: "You are eve, alone here" });
    browser.lose(1008, reason);
    equal([heard, gateway.phase, room.phase, browser.timers], [[reason, reason], "closed", "closed", []]);
  }
});
