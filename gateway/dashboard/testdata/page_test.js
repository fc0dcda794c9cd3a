// @ts-check
// What the page's modules promise, apart from the client.

import { read, write } from "/page/address.js";
import { round, strip } from "/page/chart.js";
import { Columns, stepOf } from "/page/columns.js";
import { csv } from "/page/export.js";
import { age, measured, trend, wait } from "/page/format.js";
import { DAY, History, HOUR, oldest } from "/page/history.js";
import { limitsOf } from "/page/units.js";
import { Ring } from "/page/ring.js";
import { Sensor } from "/page/sensor.js";
import { stopAll } from "/page/stop.js";
import { fillTable, total } from "/page/table.js";
import { words } from "/page/words.js";
import { equal, rejection, test } from "./harness.js";

test("formats ages rounded down, waits rounded up", () => {
  const ages = { "-3": "0 ms", 94.7: "94 ms", 999.9: "999 ms", 1000: "1.0 s", 3299: "3.2 s", 59999: "59.9 s", 60000: "1 min", 3599999: "59 min", 7500000: "2 h 5 min", 284400000: "3 d 7 h" };
  for (const [ms, want] of Object.entries(ages)) equal(age(Number(ms)), want);
  const waits = { "-5": "0 s", 3001: "4 s", 59000: "59 s", 60000: "1 min 0 s", 298500: "4 min 59 s" };
  for (const [ms, want] of Object.entries(waits)) equal(wait(Number(ms)), want);
});


test("formats values without a negative zero, and none that is no number", () => {
  equal([21.456, -3.4, -0.001, NaN, Infinity].map((v) => measured({ quantity: "temperature", unit: "°C" }, v)), ["21.46", "−3.40", "0.00", "–", "–"]);
  equal([68.25, 100].map((v) => measured({ quantity: "humidity", unit: "%" }, v)), ["68.3", "100.0"]);
  equal([0.3, -1.234, 0.04, NaN].map((v) => trend({ quantity: "temperature", unit: "°C" }, v)), ["↗ +0.30 °C/min", "↘ −1.23 °C/min", "→ steady", ""]);
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

test("counts of the last minute what the gateway kept of it too", () => {
  const sensor = new Sensor(info);
  for (let i = 500; i < 600; i++) sensor.add(reading({ seq: i, time: i * 100 }), i);
  equal([sensor.minute().failed, sensor.minute().known < 11_000, sensor.young(60_000)], [0, true, true]);
  sensor.addPast(Array.from({ length: 510 }, (_, i) => reading({ seq: i, time: i * 100, fault: i % 100 ? 0 : 3 }))); // ten of them are there
  equal([sensor.minute().all, sensor.minute().failed, sensor.minute().known], [600, 5, 60_000]);
  equal(Array.from({ length: sensor.ring.length }, (_, i) => sensor.ring.seqs[sensor.ring.at(i)]), Array.from({ length: 600 }, (_, i) => i));
});

test("draws and exports whatever a sensor measures", async () => {
  const air = new Sensor({ ...info, name: "air", interval_ms: 1000, values: [{ quantity: "co2", unit: "ppm" }] });
  air.add(/** @type {any} */ (reading({ co2: 612, time: 1000, temperature: undefined, humidity: undefined })), 0);
  equal(new Columns(1000, 1000, 1, 1).fill(air.ring, undefined, 1000).lines().map(({ mean }) => mean), [[612]]);
  await answering(() => new Response("", { status: 503 }), async () => {
    equal(await csv(base, [air], { from: 1000, to: 2000 }, 100), "time,unix_ms,sensor,seq,co2,fault\n1970-01-01T00:00:01.000Z,1000,air,1,612,\n");
  });
  const history = new History(base, () => {});
  await answering(() => Response.json({ buckets: [{ ts: 1, count: 1, failed: 0, values: { co2: { min: 1, mean: 2, max: 3 } } }] }), () => history.want([{ name: "air", raw: Infinity, names: ["co2"] }], 0, 2000, 1000));
  equal(history.slabs.get("air")?.buckets[0].values, [{ min: 1, mean: 2, max: 3 }]);
});

test("each sensor has a strip of its own", () => {
  equal([0, 1, 2].map((i) => strip([20, 21], i, 3)), [[18, 21], [19, 22], [20, 23]]);
});

test("ticks of days are local midnights, also across a change of the clocks", () => { // the tests' browser is in Berlin
  const hours = (/** @type {string} */ from, /** @type {string} */ to, /** @type {number} */ step) => round(null, 0, Date.parse(from), Date.parse(to), step * 3600e3).map((t) => new Date(t).getHours());
  equal(hours("2026-10-23T09:00Z", "2026-10-28T09:00Z", 24), [0, 0, 0, 0, 0]);
  equal(hours("2027-03-26T09:00Z", "2027-03-30T09:00Z", 24), [0, 0, 0, 0]);
  equal(hours("2026-10-24T20:00Z", "2026-10-26T01:00Z", 6), [0, 6, 12, 18, 0]);
  equal(round(null, 0, Date.parse("2026-10-24T23:00Z"), Date.parse("2026-10-25T03:00Z"), 3600e3).length, 5, "the hour that there is twice");
});

test("an address says the view, and is read as it was written", () => {
  for (const place of [{}, { range: 900e3 }, { range: 864e5, sensors: ["indoor", "a_b"] }, { from: 1000, to: 2000 }, { sensors: [] }, { group: "Kuzey & south", order: "name" }]) equal(read(write(place)), place);
  equal(write({ range: 864e5, sensors: ["indoor"] }), "#range=24h&sensors=indoor");
  equal([write({}), write({ range: 6048e5 })], ["", "#range=7d"]);
  for (const odd of ["#", "#range=never", "#range=0h", "#from=2&to=", "#from=2026-01-02T00:00Z&to=2026-01-01T00:00Z", "#a%ZZ"]) equal(read(odd), {}, odd);
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

test("a ring begins anew when the gateway's clock was set back", () => {
  const ring = new Ring(5), times = () => Array.from({ length: ring.length }, (_, i) => ring.times[ring.at(i)]);
  for (const time of [80_000, 90_000, 100_000, 110_000, 120_000, 118_500]) ring.add(reading({ time }));
  equal([times(), ring.newest], [[90_000, 100_000, 110_000, 118_500, 120_000], 120_000], "set back so little that times wait");
  ring.add(reading({ time: 95_000, historical: true }));
  equal(times(), [95_000, 100_000, 110_000, 118_500, 120_000], "replayed");
  for (const time of [60_000, 60_100]) ring.add(reading({ time }));
  equal([times(), ring.newest], [[60_000, 60_100], 60_100]);
  const sensor = new Sensor(info);
  for (let i = 0; i < 10_000; i++) sensor.add(reading({ seq: i, time: 5e6 + i * 100 }), i); // as many as it holds, and more
  for (let i = 0; i < 100; i++) sensor.add(reading({ seq: 1e4 + i, time: 2e6 + i * 100, fault: 3 }), i);
  equal([sensor.minute().all, sensor.minute().failed], [100, 100]);
});

/** @param {any[]} readings */
function ringOf(readings) {
  const ring = new Ring(100);
  readings.forEach((r) => ring.add(reading(r)));
  return ring;
}

test("no column stands beyond the end of the view", () => {
  equal(new Columns(0, 100, 4).times(220), [50, 150, 220, 350]); // what follows is empty
  equal(new Columns(0, 100, 3).times(260), [50, 150, 250]);
});

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

test("a time without readings is a gap although the numbers go on", () => {
  const outage = ringOf([{ seq: 1, time: 0 }, { seq: 2, time: 100 }, { seq: 3, time: 900 }, { seq: 4, time: 1000 }]);
  equal(means(new Columns(0, 100, 11).fill(outage, undefined, 100)), [20, 20, null, null, null, null, null, null, null, 20, 20]);
  const late = ringOf([{ seq: 1, time: 0 }, { seq: 2, time: 240 }]);
  equal(means(new Columns(0, 100, 3).fill(late, undefined, 100)), [20, undefined, 20], "one that is late");
  const slow = ringOf([{ seq: 1, time: 0 }, { seq: 6, time: 500, conflated: true }, { seq: 8, time: 900, conflated: true }]);
  equal(means(new Columns(0, 100, 10).fill(slow, undefined, 100)), [20, undefined, undefined, undefined, undefined, 20, null, null, null, 20], "one that stands for others");
  const wrap = ringOf([{ seq: 0xffffffff, time: 0 }, { seq: 0, time: 100 }]);
  equal(means(new Columns(0, 100, 2).fill(wrap, undefined, 100)), [20, 20]);
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
const bucket = (time, over) => ({ time, count: 2, failed: 0, fault: 0, values: [{ min: 1, mean: 2, max: 3 }, { min: 4, mean: 5, max: 6 }], ...over });

test("joins buckets and raw readings without a seam, and without one where something is missing", () => {
  const buckets = [bucket(0), bucket(200), bucket(400, { count: 0, failed: 2, fault: 8, values: [null, null] }), bucket(600), bucket(800)];
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

/** Answers the page's requests with a function of their addresses. @param {(url: URL, accept: string) => Response} answer @param {() => Promise<void>} body */
async function answering(answer, body) {
  const { fetch } = globalThis;
  globalThis.fetch = async (url, options) => answer(new URL(String(url)), /** @type {any} */ (options).headers.Accept);
  try {
    await body();
  } finally {
    globalThis.fetch = fetch;
  }
}

const base = new URL("http://gateway/somewhere/");

test("all that is stored begins with the oldest reading of what is shown", async () => {
  const to = 20_000 * DAY + 5_000_000;
  /** @type {Record<string, number[]>} when readings were made */
  const kept = { indoor: [to - 90 * DAY, to - 1000], outdoor: [to - 3 * HOUR, to - 1000], cellar: [] };
  /** As the gateway sums up: each bucket that has readings, by when it begins. @param {URL} url */
  const answer = (url) => {
    const [from, to, step] = ["from", "to", "step"].map((name) => Number(url.searchParams.get(name)));
    equal((to - from) / step < 1000, true, `${(to - from) / step} buckets`);
    const times = kept[url.searchParams.get("sensor") ?? ""].filter((time) => time >= from && time < to);
    return new Response(JSON.stringify({ buckets: times.map((time) => ({ ts: Math.floor(time / step) * step / 1000, count: 0, failed: 1 })) }));
  };
  await answering(answer, async () => {
    for (const [sensors, ago] of /** @type {[string[], number][]} */ ([[["indoor", "outdoor"], 90 * DAY], [["cellar", "outdoor"], 3 * HOUR]])) {
      const found = to - await oldest(base, sensors, to);
      equal(found >= ago && found < ago + HOUR, true, `${sensors}: ${found / DAY} days`);
    }
    equal(to - await oldest(base, ["outdoor"], to) < 3 * HOUR + HOUR / 6, true);
    equal(await oldest(base, ["cellar"], to), Infinity);
  });
});

test("fetches the past that is in view and not held, once", async () => {
  /** @type {string[]} */
  const asked = [];
  let changes = 0;
  const history = new History(base, () => changes++);
  await answering((url) => {
    asked.push(url.pathname + url.search);
    return Response.json({ buckets: [
      { ts: 1.2, count: 2, failed: 1, fault: "checksum", temp: { min: 1, mean: 2, max: 3 }, humidity: { min: 4, mean: 5, max: 6 } },
      { ts: 1.4, count: 0, failed: 3, fault: "no_ack", temp: null, humidity: null },
    ] });
  }, async () => {
    const raw = 5000, names = ["temperature", "humidity"], sensors = [{ name: "indoor", raw, names }];
    await history.want(sensors, 1000, 9000, 200);
    await history.want(sensors, 1100, 9100, 200); // it moves on: nothing new is needed
    await history.want(sensors, raw, 9000, 200); // all of it is held
    equal(asked, ["/somewhere/api/v1/readings?sensor=indoor&from=1000&to=9000&step=200"]);
    await history.want(sensors, 800, 9000, 200);
    await history.want(sensors, 800, 9000, 500);
    await history.want([{ name: "indoor", raw: Infinity, names }], 800, 9999, 500); // not yet again
    equal([asked.length, changes], [3, 3]);
  });
  equal(history.slabs.get("indoor")?.buckets, [
    { time: 1200, count: 2, failed: 1, fault: 2, values: [{ min: 1, mean: 2, max: 3 }, { min: 4, mean: 5, max: 6 }] },
    { time: 1400, count: 0, failed: 3, fault: 1, values: [null, null] },
  ]);
});

test("does not insist when the gateway has no time", async () => {
  let asked = 0;
  const history = new History(base, () => {});
  await answering(() => (asked++, new Response("", { status: 429 })), async () => {
    for (let i = 0; i < 5; i++) await history.want([{ name: "indoor", raw: 5000, names: [] }, { name: "outdoor", raw: 5000, names: [] }], 1000, 9000, 200);
  });
  equal(asked, 1);
});

test("exports what the gateway keeps, and what the page holds where nobody can be asked", async () => {
  const sensor = (/** @type {string} */ name, /** @type {number} */ interval_ms) => new Sensor({ ...info, name, interval_ms });
  const indoor = sensor("indoor", 100), slow = sensor("slow", 1000);
  /** @type {string[]} */
  const asked = [];
  await answering((url, accept) => {
    const name = url.searchParams.get("sensor");
    asked.push(`${accept} ${name} ${url.searchParams.get("step")}`);
    if (name === "air") return new Response(`time,unix_ms,sensor,seq,co2,fault\nt,3,air,9,612,\n`);
    return new Response(url.searchParams.has("step")
      ? `time,unix_ms,sensor,count,failed,fault,temperature_min,temperature_mean,temperature_max,humidity_min,humidity_mean,humidity_max\r\nt,1,${name},5,1,no_ack,20,21,22,40,41,42\r\nt,2,${name},0,5,stuck,,,,,,\r\n`
      : `time,unix_ms,sensor,seq,temperature,humidity,fault\nt,1,${name},7,21,40,\nt,2,${name},8,,,stuck\n`);
  }, async () => {
    const heading = "time,unix_ms,sensor,seq,temperature,humidity,fault\n";
    equal(await csv(base, [indoor, sensor("other", 100)], { from: 1, to: 2 }, 100), `${heading}t,1,indoor,7,21,40,\nt,2,indoor,8,,,stuck\nt,1,other,7,21,40,\nt,2,other,8,,,stuck\n`);
    equal(await csv(base, [indoor, slow], { from: 1, to: 2 }, 500), `${heading}t,1,indoor,,21,41,\nt,2,indoor,,,,stuck\nt,1,slow,7,21,40,\nt,2,slow,8,,,stuck\n`, "of two intervals");
    equal(await csv(base, [slow, sensor("air", 1000)], { from: 1, to: 2 }, 500), "time,unix_ms,sensor,seq,temperature,humidity,co2,fault\nt,1,slow,7,21,40,,\nt,2,slow,8,,,,stuck\nt,3,air,9,,,612,\n", "of two kinds");
  });
  equal(asked.slice(0, 4), ["text/csv indoor null", "text/csv other null", "text/csv indoor 500", "text/csv slow null"]);
  [{ time: 1000, seq: 1, temperature: Math.fround(21.3), humidity: 40 }, { time: 1100, seq: 2, temperature: NaN, humidity: NaN, fault: 4 }, { time: 1200, seq: 3 }]
    .forEach((r) => indoor.add(reading(r), 0));
  await answering(() => new Response("", { status: 503 }), async () => {
    equal(await csv(base, [indoor], { from: 1000, to: 1200 }, 100), `time,unix_ms,sensor,seq,temperature,humidity,fault
1970-01-01T00:00:01.000Z,1000,indoor,1,21.3,40,
1970-01-01T00:00:01.100Z,1100,indoor,2,,,stuck
`);
    await rejection(csv(base, [indoor], { from: 500, to: 1200 }, 100)); // better none than half
  });
});

test("an export says of how many minutes a hub has the summaries alone", async () => {
  const sensor = (/** @type {string} */ name) => new Sensor({ ...info, name });
  /** @type {Record<string, string>} by sensor */
  const said = { indoor: "minutes=6, asked=6, gone=0", outdoor: 'minutes=30, asked=0, gone=4, reason="pi-7 is away: \\"no line\\""', air: 'minutes=1, asked=0, gone=0, reason="\\a"' };
  await answering((url) => {
    const is = said[url.searchParams.get("sensor") ?? ""];
    return new Response("time,unix_ms,sensor,seq,temperature,humidity,fault\n", { headers: is ? { "Readings-Lacking": is } : {} });
  }, async () => {
    /** @type {unknown[]} */
    const told = [];
    for (const names of [["cellar"], ["indoor", "cellar"], ["indoor", "outdoor"], ["air"]]) await csv(base, names.map(sensor), { from: 1, to: 2 }, 100, (lack) => told.push(lack));
    /** @type {string[]} */
    const asked = [];
    await answering((url) => {
      const step = url.searchParams.get("step");
      asked.push(`${step}`);
      return new Response("time,unix_ms,sensor,count,failed,fault,temperature_min,temperature_mean,temperature_max\n", { headers: { "Readings-Lacking": `minutes=6, asked=${step ? 0 : 6}, gone=0` } });
    }, async () => { await csv(base, [sensor("indoor")], { from: 1, to: 2 }, 500, (lack) => told.push(lack)); });
    equal(asked, ["500", "null"], "of sums, the readings are asked for");
    equal(told.pop(), { minutes: 6, asked: 6, why: "" });
    equal(told, [{ minutes: 6, asked: 6, why: "" }, { minutes: 36, asked: 6, why: 'pi-7 is away: "no line"' }, { minutes: 1, asked: 0, why: '"\\a"' }]);
  });
  equal(words.exportLacks(6, 6, ""), "6 min of readings are not here yet: they are fetched from the gateway, export again in a minute");
  equal(words.exportLacks(30, 0, "pi-7 is away"), "30 min of readings are not here, only their means: pi-7 is away");
});

test("what is exported has a row where there is no record", async () => {
  const sensor = new Sensor(info), rows = (/** @type {string} */ text) => text.trimEnd().split("\n").slice(1).map((line) => line.split(",").slice(1).join());
  await answering((url) => new Response(url.searchParams.has("step")
    ? "time,unix_ms,sensor,count,failed,fault,temperature_min,temperature_mean,temperature_max\nt,0,outdoor,5,0,,20,21,22\nt,1000,outdoor,5,0,,20,21,22\nt,5000,outdoor,5,0,,20,21,22\n"
    : "time,unix_ms,sensor,seq,temperature,humidity,fault\nt,0,outdoor,7,21,40,\nt,240,outdoor,8,21,40,\nt,15240,outdoor,9,21,40,\n"), async () => {
    equal(rows(await csv(base, [sensor], { from: 0, to: 20_000 }, 100)), ["0,outdoor,7,21,40,", "240,outdoor,8,21,40,", "340,outdoor,,,,no_record", "15240,outdoor,9,21,40,"]);
    equal(rows(await csv(base, [sensor], { from: 0, to: 20_000 }, 1000)), ["0,outdoor,,21,", "1000,outdoor,,21,", "2000,outdoor,,,no_record", "5000,outdoor,,21,"]);
  });
});

test("an e-stop that the gateway could not store says so", async () => {
  for (const kept of [undefined, false]) {
    const button = document.createElement("button"), alert = document.createElement("div"), gateway = Object.assign(new EventTarget(), { phase: "connected", estop: async () => ({ status: "ok", kept }) });
    button.id = "stop-all";
    alert.id = "stop-alert";
    document.body.append(button, alert);
    try {
      stopAll(/** @type {any} */ (gateway));
      button.click();
      await new Promise((then) => setTimeout(then));
      equal([alert.dataset.state, alert.textContent?.includes("not stored")], ["done", kept === false]);
    } finally {
      button.remove();
      alert.remove();
    }
  }
});

test("a table says of each value what the charts show, and that there is nothing", () => {
  const columns = new Columns(0, 1000, 4, 2);
  columns.counts.set([10, 0, 2, 0]);
  columns.failed.set([0, 5, 1, 0]);
  columns.spans[0].sum.set([200, 0, 44, 0]);
  columns.spans[0].min.set([19], 0);
  columns.spans[0].min.set([21], 2);
  columns.spans[0].max.set([21], 0);
  columns.spans[0].max.set([23], 2);
  equal(total(columns, 0), { good: 12, failed: 6, low: 19, high: 23, mean: 244 / 12, last: 22 });
  const body = document.createElement("tbody"), row = { name: "indoor", quantity: "temperature", unit: "°C", columns, value: 0 };
  const shown = () => [...body.rows].map((line) => [...line.cells].map(({ textContent }) => textContent));
  fillTable(body, [row, { ...row, quantity: "humidity", unit: "%", value: 1 }]);
  equal(shown(), [["indoor", "Temperature, °C", "22.00", "19.00", "20.33", "23.00", "12", "6"], ["indoor", "Humidity, %", "–", "–", "–", "–", "12", "6"]]);
  const first = body.rows[0];
  const unknown = (/** @type {Partial<typeof row>} */ other) => fillTable(body, [{ ...row, name: "outdoor", ...other }]);
  unknown({ columns: undefined });
  equal([shown(), body.rows[0] === first], [[["outdoor", "Temperature, °C", "–", "–", "–", "–", "0", "0"]], true]);
  unknown({ quantity: "dew_point", value: 2 }); // chosen since the charts were drawn
  equal(shown(), [["outdoor", "Dew point, °C", "–", "–", "–", "–", "0", "0"]]);
});

test("limits are those of interlocks on values, each once", () => {
  const motor = (/** @type {string[]} */ ...conditions) => ({ interlocks: conditions.map((condition) => ({ condition, holds: true })) });
  equal(limitsOf([motor("indoor.temperature < 60", "indoor.age < 500ms", "indoor.temperature < 60"), {}, motor("indoor.temperature < 60.0", "a_b.co2 >= -1.5", "nonsense", "a.age < 5")]),
    [{ sensor: "indoor", quantity: "temperature", limit: 60 }, { sensor: "a_b", quantity: "co2", limit: -1.5 }]);
});

test("limits are those that raise alarms, too", () => {
  equal(limitsOf([{ interlocks: [{ condition: "indoor.temperature < 60" }] }], ["indoor.temperature > 35 for 30s until indoor.temperature < 33", "a.co2 >= 1000 until a.co2 < 800", "a.humidity<9", "a.age > 10s for 1m", "indoor.temperature > 60"]),
    [{ sensor: "indoor", quantity: "temperature", limit: 60 }, { sensor: "indoor", quantity: "temperature", limit: 35 }, { sensor: "a", quantity: "co2", limit: 1000 }, { sensor: "a", quantity: "humidity", limit: 9 }]);
});
