// @ts-check
// What gateway.js promises to whoever imports it: records, counts, waits.

import { backoff, cause, decode } from "/page/gateway.js";
import { askedWait } from "/page/link.js";
import { faultNamed, faultOfFloat } from "/page/readings.js";
import { Sequence } from "/page/sequence.js";
import { bytes } from "./browser.js";
import { equal, test, throws } from "./harness.js";

const golden = await (await fetch("/wire/records.json")).json(); // of the wire package's own tests

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
