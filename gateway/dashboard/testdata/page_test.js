// @ts-check
// What the page's modules promise, apart from the client.

import { Columns, stepOf } from "/page/columns.js";
import { age, humidity, temperature, trend, wait } from "/page/format.js";
import { Ring } from "/page/ring.js";
import { Sensor } from "/page/sensor.js";
import { equal, test } from "./harness.js";

test("formats ages rounded down, waits rounded up", () => {
  const ages = { "-3": "0 ms", 94.7: "94 ms", 999.9: "999 ms", 1000: "1.0 s", 3299: "3.2 s", 59999: "59.9 s", 60000: "1 min", 3599999: "59 min", 7500000: "2 h 5 min", 284400000: "3 d 7 h" };
  for (const [ms, want] of Object.entries(ages)) equal(age(Number(ms)), want);
  const waits = { "-5": "0 s", 3001: "4 s", 59000: "59 s", 60000: "1 min 0 s", 298500: "4 min 59 s" };
  for (const [ms, want] of Object.entries(waits)) equal(wait(Number(ms)), want);
});

test("formats values without a negative zero, and none that is no number", () => {
  equal([21.456, -3.4, -0.001, NaN, Infinity].map(temperature), ["21.46", "−3.40", "0.00", "–", "–"]);
  equal([68.25, 100].map(humidity), ["68.3", "100.0"]);
  equal([0.3, -1.234, 0.04, NaN].map(trend), ["↗ +0.30 °C/min", "↘ −1.23 °C/min", "→ steady", ""]);
});

/** @param {object} over @returns {any} */
const reading = (over) => ({
  sensor: 0, name: "outdoor", simulated: false, unsynced: false, historical: false, conflated: false,
  fault: 0, seq: 1, temperature: 20, humidity: 50, time: 0, ...over,
});
const info = { id: 0, name: "outdoor", model: "SHT3x", interval_ms: 100, next_seq: 0 };

test("never shows an old value as live", () => {
  const sensor = new Sensor(info);
  equal(sensor.state(0, true), "waiting");
  sensor.add(reading({ temperature: 21 }), 1000);
  equal(sensor.state(2500, true), "live");
  equal(sensor.state(2501, true), "stale");
  equal(sensor.state(1001, false), "stale");
  sensor.add(reading({ seq: 2, fault: 2, temperature: NaN, time: 100 }), 1100);
  equal(sensor.state(1100, true), "failed");
  equal([sensor.good?.at, sensor.good?.reading.temperature], [1000, 21]);
  sensor.add(reading({ seq: 3, time: 200 }), 1200);
  equal(sensor.state(1200, true), "live");
  sensor.add(reading({ seq: 0, time: -100, temperature: 99, historical: true }), 9999);
  equal([sensor.good?.reading.temperature, sensor.heard, sensor.ring.length], [20, 1200, 4], "the past is not news");
  const slow = new Sensor({ ...info, interval_ms: 5000 });
  slow.add(reading({}), 0);
  equal([slow.state(15000, true), slow.state(15001, true)], ["live", "stale"]);
});

test("tells how the last minute went", () => {
  const sensor = new Sensor(info);
  equal(sensor.minute().slope, NaN);
  for (let i = 0; i < 1200; i++) sensor.add(reading({ seq: i, time: i * 100, temperature: 20 + i / 6000, fault: i % 100 ? 0 : 3 }), i);
  const { all, failed, slope } = sensor.minute();
  equal([all, failed, Math.abs(slope - 0.1) < 1e-3], [601, 6, true]); // 0.1 °C in 600 ticks
});

test("a ring keeps the newest, in order of time", () => {
  const ring = new Ring(5);
  for (const time of [10, 20, 50, 30, 40, 60, 70, 5]) ring.add(reading({ time, seq: time }));
  equal(Array.from({ length: ring.length }, (_, i) => ring.times[ring.at(i)]), [30, 40, 50, 60, 70]);
  equal([29, 30, 31, 70, 71].map((t) => ring.before(t)), [0, 0, 1, 4, 5]);
  equal(ring.oldest, 30);
  ring.clear();
  equal([ring.length, ring.oldest], [0, Infinity]);
});

/** @param {any[]} readings */
function ringOf(readings) {
  const ring = new Ring(100);
  readings.forEach((r) => ring.add(reading(r)));
  return ring;
}

/** The mean temperatures of a chart's columns. @param {Columns} columns */
const means = (columns) => columns.lines()[0].mean;

test("draws failures and holes as gaps, and a line where nothing is missing", () => {
  const ring = ringOf([
    { seq: 1, time: 0, temperature: 1 }, { seq: 2, time: 100, temperature: 2 },
    { seq: 3, time: 200, fault: 2, temperature: NaN },
    { seq: 4, time: 300, temperature: 4 }, { seq: 5, time: 400, temperature: 5 },
    { seq: 7, time: 600, temperature: 7 }, // 6 never came
    { seq: 9, time: 800, temperature: 9, conflated: true }, // stands for 8 too
  ]);
  const columns = new Columns(0, 100, 10).fill(ring, undefined, 100);
  equal(means(columns), [1, 2, null, 4, 5, null, 7, undefined, 9, null]);
  equal([columns.failed[2], columns.faults[2], columns.nearest(2, 100), columns.nearest(9, 100), columns.nearest(9, 10)], [1, 2, 2, 8, 8]);
});

test("a failed tick makes a gap even where it shares its column", () => {
  const ring = ringOf([{ seq: 1, time: 0 }, { seq: 2, time: 110 }, { seq: 3, time: 190, fault: 1, temperature: NaN }, { seq: 4, time: 210 }]);
  equal(means(new Columns(0, 100, 3).fill(ring, undefined, 100)), [20, null, 20]);
});

test("a line goes on between the ticks of a slow sensor, and ends where one failed", () => {
  const slow = [{ seq: 1, time: 0 }, { seq: 2, time: 300 }, { seq: 3, time: 600, fault: 1, temperature: NaN }, { seq: 4, time: 900 }];
  equal(means(new Columns(0, 100, 10).fill(ringOf(slow), undefined, 300)),
    [20, undefined, undefined, 20, null, null, null, null, null, 20]);
});

/** @param {number} time @param {object} [over] @returns {any} */
const bucket = (time, over) => ({ time, count: 2, failed: 0, fault: 0, temperature: { min: 1, mean: 2, max: 3 }, humidity: { min: 4, mean: 5, max: 6 }, ...over });

test("joins buckets and raw readings without a seam, and without one where something is missing", () => {
  const buckets = [bucket(0), bucket(200), bucket(400, { count: 0, failed: 2, fault: 8, temperature: null, humidity: null }), bucket(600), bucket(800)];
  const ring = ringOf([{ seq: 50, time: 910, temperature: 8 }, { seq: 51, time: 1010, temperature: 8 }]);
  const columns = new Columns(0, 200, 7).fill(ring, { step: 200, buckets }, 100);
  equal(means(columns), [2, 2, null, 2, 4, 8, null]); // the last bucket and the first reading share a column
  equal([columns.lines()[0].min[4], columns.lines()[0].max[4], columns.faults[2]], [1, 8, 8]);
  const late = ringOf([{ seq: 50, time: 1610, temperature: 8 }]);
  equal(means(new Columns(0, 200, 9).fill(late, { step: 200, buckets: [bucket(800)] }, 100)),
    [null, null, null, null, 2, null, null, null, 8]);
  equal(means(new Columns(400, 200, 3).fill(ringOf([]), { step: 200, buckets: [bucket(0), bucket(600)] }, 100)), [null, 2, null]);
});

test("shows no more columns than there are pixels", () => {
  equal([stepOf(60e3, 800), stepOf(900e3, 800), stepOf(864e5, 800), stepOf(6048e5, 800), stepOf(6048e5, 10)],
    [100, 2000, 120e3, 900e3, 61200e3]);
});
