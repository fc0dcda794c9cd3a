// @ts-check
// What the page's modules promise, run by `go test` with Node, which writes
// golden.json next to this file from the wire package.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";

import { age, humidity, temperature, wait } from "../page/format.js";
import { Link, asked, pause } from "../page/link.js";
import { cause, decode } from "../page/readings.js";
import { sparkline } from "../page/sparkline.js";
import { Track } from "../page/track.js";

const golden = JSON.parse(readFileSync(new URL("golden.json", import.meta.url), "utf8"));

/** @param {string} hex */
const bytes = (hex) => new Uint8Array(Buffer.from(hex, "hex")).buffer;

test("decodes every golden message as the gateway wrote it", () => {
  assert.notEqual(golden.messages.length, 0);
  for (const { hex, readings } of golden.messages) {
    const want = readings.map((/** @type {any} */ r) => ({ ...r, temperature: r.temperature ?? NaN, humidity: r.humidity ?? NaN }));
    assert.deepEqual(decode(bytes(hex)), want, hex);
  }
});

test("refuses a message that is no whole number of records", () => {
  for (const size of [0, 1, 16, 23, 25, 47]) assert.throws(() => decode(new ArrayBuffer(size)), RangeError);
});

test("has words of its own for every cause", () => {
  const names = golden.faults.map((/** @type {number} */ f) => cause(f)[0]);
  assert.equal(new Set(names).size, golden.faults.length);
  for (const name of names) assert.doesNotMatch(name, /^cause /);
  assert.deepEqual(cause(77)[0], "cause 77");
});

test("formats ages rounded down, waits rounded up", () => {
  const ages = { "-3": "0 ms", 94.7: "94 ms", 999.9: "999 ms", 1000: "1.0 s", 3299: "3.2 s", 59999: "59.9 s", 60000: "1 min", 3599999: "59 min", 7500000: "2 h 5 min", 284400000: "3 d 7 h" };
  for (const [ms, want] of Object.entries(ages)) assert.equal(age(Number(ms)), want);
  const waits = { "-5": "0 s", 3001: "4 s", 59000: "59 s", 60000: "1 min 0 s", 298500: "4 min 59 s" };
  for (const [ms, want] of Object.entries(waits)) assert.equal(wait(Number(ms)), want);
});

test("formats values without a negative zero, and none that is no number", () => {
  assert.deepEqual([21.456, -3.4, -0.001, NaN, Infinity].map(temperature), ["21.46", "−3.40", "0.00", "–", "–"]);
  assert.deepEqual([68.25, 100].map(humidity), ["68.3", "100.0"]);
});

/** @param {object} over */
const reading = (over) => ({
  sensor: 0, simulated: false, unsynced: false, historical: false, conflated: false,
  fault: 0, seq: 1, temperature: 20, humidity: 50, time: 0, ...over,
});
const info = { id: 0, name: "outdoor", model: "SHT31", interval_ms: 100 };

test("counts what never came, and what others stood for", () => {
  const track = new Track(info);
  const records = [
    { seq: 0xfffffffd }, // the first says nothing about earlier ones
    { seq: 0xffffffff }, // one lost
    { seq: 0 }, // wraps
    { seq: 4, conflated: true }, // three stood for
    { seq: 5 },
    { seq: 5 }, // a double
    { seq: 3 }, // late: not newer
    { seq: 9, historical: true }, // the past is not live
    { seq: 8, fault: 2 }, // two lost
  ];
  records.forEach((r, i) => track.add(reading(r), i));
  assert.deepEqual([track.received, track.missed, track.conflated], [6, 3, 3]);
  assert.deepEqual(track.points.map((p) => p.joined), [false, false, true, true, true, false]);
  track.restart(); // another epoch begins anywhere
  track.add(reading({ seq: 1 }), 10);
  assert.deepEqual([track.received, track.missed], [7, 3]);
});

test("never shows an old value as live", () => {
  const track = new Track(info);
  assert.equal(track.state(0, true), "waiting");
  track.add(reading({ seq: 1, temperature: 21 }), 1000);
  assert.equal(track.state(2500, true), "live");
  assert.equal(track.state(2501, true), "stale");
  assert.equal(track.state(1001, false), "stale");
  track.add(reading({ seq: 2, fault: 2, temperature: NaN }), 1100);
  assert.equal(track.state(1100, true), "failed");
  assert.deepEqual([track.good?.at, track.good?.reading.temperature], [1000, 21]);
  track.add(reading({ seq: 3 }), 1200);
  assert.equal(track.state(1200, true), "live");
  const slow = new Track({ ...info, interval_ms: 5000 });
  slow.add(reading({}), 0);
  assert.equal(slow.state(15000, true), "live");
  assert.equal(slow.state(15001, true), "stale");
});

test("remembers a minute", () => {
  const track = new Track(info);
  for (let i = 0; i < 2000; i++) track.add(reading({ seq: i }), i * 100);
  assert.equal(track.points.length, 600);
  track.forget(199900 + 30000);
  assert.equal(track.points.length, 300);
  track.forget(1e9);
  assert.equal(track.points.length, 0);
});

test("draws failures and holes as gaps", () => {
  const at = (/** @type {number} */ i) => 1000 + i * 100;
  const points = [
    { at: at(0), temperature: 20, joined: false }, { at: at(1), temperature: 21, joined: true },
    { at: at(2), temperature: NaN, joined: true }, { at: at(3), temperature: 20, joined: true },
    { at: at(4), temperature: 20, joined: false },
  ];
  const drawn = sparkline(points, at(4));
  assert.equal(drawn.line.match(/M/g)?.length, 3);
  assert.equal(drawn.line.match(/L/g)?.length, 1);
  assert.equal(drawn.failures.match(/M/g)?.length, 1);
  assert.deepEqual([drawn.low, drawn.high, drawn.failed], [20, 21, 1]);
  assert.notEqual(drawn.tip, "");
  assert.equal(sparkline(points.slice(0, 3), at(2)).tip, "", "no live point after a failure");
  assert.deepEqual(sparkline([], 0).line, "");
  for (const path of [drawn.line, drawn.failures]) assert.doesNotMatch(path, /NaN|Infinity/);
});

test("waits longer after each failure, five minutes after ten", () => {
  assert.deepEqual([0, 1, 2, 5, 6, 9, 10, 11].map((n) => pause(n, 0.5)),
    [1500, 2500, 4500, 32500, 60000, 60000, 300000, 300000]);
  assert.equal(asked(1012, "Service restart; retry_ms=731"), 731);
  assert.equal(asked(1012, "Service restart; retry_ms=99999999"), 60000);
  assert.equal(asked(1012, "Service restart"), undefined);
  assert.equal(asked(1001, "retry_ms=731"), undefined);
});

/** A browser in which time stands still until a timer is run. */
class Browser {
  /** @type {any[]} */
  sockets = [];
  /** @type {{then: () => void, ms: number} | undefined} */
  timer;
  /** @type {string[]} */
  log = [];

  constructor() {
    const browser = this;
    const set = (/** @type {() => void} */ then, /** @type {number} */ ms) => (browser.timer = { then, ms });
    const clear = (/** @type {any} */ timer) => { if (timer === browser.timer) browser.timer = undefined; };
    Object.assign(globalThis, {
      WebSocket: class {
        /** @param {string} url @param {string} protocol */
        constructor(url, protocol) {
          assert.deepEqual([url, protocol], ["ws://gateway/", "readings.v2"]);
          browser.sockets.push(this);
        }
        close() { browser.log.push("close"); }
      },
      setTimeout: set,
      clearTimeout: clear,
    });
    Math.random = () => 0.25;
    this.link = new Link("ws://gateway/", {
      hello: (hello) => this.log.push(`hello ${hello.epoch}`),
      readings: (readings) => this.log.push(`readings ${readings.length}`),
      phase: () => this.log.push(this.link.phase),
    });
  }

  get socket() { return this.sockets.at(-1); }

  greet(intervals = [100, 1000]) {
    const sensors = intervals.map((interval_ms) => ({ interval_ms }));
    this.socket.onmessage({ data: JSON.stringify({ type: "hello", payload: { epoch: "e", sensors } }) });
  }

  run() {
    const { timer } = this;
    assert(timer);
    this.timer = undefined;
    timer.then();
    return timer.ms;
  }
}

test("a link reads, loses, waits and opens again", () => {
  const browser = new Browser();
  browser.link.open();
  browser.link.open(); // one is enough
  assert.equal(browser.sockets.length, 1);
  browser.socket.onmessage({ data: new ArrayBuffer(24) }); // nothing counts before hello
  browser.greet();
  browser.socket.onmessage({ data: new ArrayBuffer(48) });
  browser.socket.onmessage({ data: '{"type":"event","payload":{}}' });
  browser.socket.onclose({ code: 1006, reason: "" });
  assert.equal(browser.link.phase, "waiting");
  assert.equal(browser.run(), 1250);
  assert.equal(browser.sockets.length, 2);
  assert.deepEqual(browser.log, ["connecting", "hello e", "connected", "readings 2", "close", "waiting", "connecting"]);
});

test("a link counts failures until hello, and opens the circuit after ten", () => {
  const browser = new Browser();
  browser.link.open();
  const waits = Array.from({ length: 11 }, () => {
    browser.socket.onclose({ code: 1006, reason: "" });
    return browser.run();
  });
  assert.deepEqual(waits, [2250, 4250, 8250, 16250, 32250, 60000, 60000, 60000, 60000, 300000, 300000]);
  browser.greet();
  browser.socket.onclose({ code: 1012, reason: "Service restart; retry_ms=500" });
  assert.equal(browser.run(), 500);
});

test("a link gives up a socket that says nothing", () => {
  const browser = new Browser();
  browser.link.open();
  assert.equal(browser.run(), 10000); // no hello
  assert.equal(browser.link.phase, "waiting");
  browser.link.open(); // somebody is there: no need to wait
  browser.greet([1000, 5000]);
  assert.equal(browser.run(), 8000); // 5 s more than three of the shortest interval
  assert.equal(browser.link.phase, "waiting");
  browser.link.open();
  browser.greet([]);
  assert.equal(browser.timer, undefined, "without sensors silence means nothing");
});
