// @ts-check
// What gateway.js promises to whoever imports it: commands, leases and the e-stop.

import { Gateway } from "/page/gateway.js";
import { inBrowser, log, promises } from "./browser.js";
import { equal, rejection } from "./harness.js";

/** @typedef {import("./browser.js").Browser} Browser */

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

inBrowser("a lease is kept alive though the gateway's clock was set back since the motor last changed", async (browser) => {
  const gateway = new Gateway("ws://gateway/");
  gateway.open();
  browser.greet();
  browser.say({ type: "state", payload: { target: "m", running: false, ts: 900 } });
  await begin(browser, gateway)();
  equal([gateway.holds("m"), gateway.motors.get("m")?.running], [true, true]);
});

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
  equal([timers(), kept()], [[first], 0], "a timer that started again with each motor would never run");
  await hold("p", 600);
  equal([timers().map((t) => t.split(" ")[2]), kept() > 0], [["200"], true]);
  gateway.release("p");
  equal(timers().map((t) => t.split(" ")[2]), ["1000"]);
  gateway.release();
  equal(timers(), []);
});

inBrowser("a busy page, whose timers come late, keeps a lease alive with the messages that it gets", async (browser) => {
  const gateway = new Gateway("ws://gateway/");
  gateway.open();
  browser.greet();
  const message = (/** @type {number} */ after) => { // and the keepalives so far
    browser.now += after;
    browser.say({ type: "state", payload: { target: "n", running: false, ts: 1 } });
    return browser.socket.sent.filter((/** @type {any} */ m) => m.payload.action === "keepalive").length;
  };
  equal(message(5000), 0, "there is no lease");
  await begin(browser, gateway)();
  equal([message(500), message(240)], [0, 0], "the timer is not late yet");
  equal([message(20), message(20), message(700), message(30), message(1)], [1, 1, 1, 1, 2]);
  browser.hide(true, "nothing");
  equal([message(2000), gateway.holds("m")], [2, false], "nobody can see the page");
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

inBrowser("control is requested and answered; its acknowledgement does not hide what came after it", async (browser) => {
  const gateway = new Gateway("ws://gateway/");
  gateway.open();
  browser.greet();
  const state = (/** @type {object} */ more) => ({ target: "m", running: false, ts: 5, ...more });
  browser.say({ type: "state", payload: state({}) });
  const asked = gateway.control("request", "m", { timeout_ms: 5000, allow_takeover: true }), sent = browser.socket.sent.at(-1);
  equal([sent.type, sent.payload], ["control", { action: "request", target: "m", timeout_ms: 5000, allow_takeover: true }]);
  browser.say({ type: "ack", id: sent.id, payload: { action: "request", target: "m", status: "ok", pending: ["m"], state: state({ control: { by: "anna", since: 4 } }) } });
  equal((await asked).pending, ["m"]);
  equal(gateway.motors.get("m")?.control?.by, "anna");
  const again = gateway.control("request", "m"), { id } = browser.socket.sent.at(-1);
  browser.say({ type: "state", payload: state({ control: { by: "me", since: 6 } }) }); // granted meanwhile
  browser.say({ type: "ack", id, payload: { action: "request", target: "m", status: "ok", repeat: true, state: state({ control: { by: "anna", since: 4 } }) } });
  await again;
  equal(gateway.motors.get("m")?.control?.by, "me");
  const refused = gateway.control("grant", "m");
  browser.say({ type: "error", id: browser.socket.sent.at(-1).id, payload: { code: 409, message: "nobody requests control of m" } });
  equal((await rejection(refused)).code, 409);
});
