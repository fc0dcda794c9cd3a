// @ts-check
// Values in other units, and those that follow from what was measured.

import { Columns } from "/page/columns.js";
import { fixed, inUnit, measured, trend } from "/page/format.js";
import { Ring } from "/page/ring.js";
import { absoluteHumidity, derivedFrom, dewPoint, shownCondition, shownMet, shownUnit, want, wanted } from "/page/units.js";
import { equal, test } from "./harness.js";

const temperature = { quantity: "temperature", unit: "°C" }, humidity = { quantity: "humidity", unit: "%" };

/** With something wanted, for as long as body runs. @param {keyof typeof wanted} what @param {() => void} body */
function wanting(what, body) {
  const before = wanted[what];
  want(what, true);
  try {
    body();
  } finally {
    want(what, before);
    localStorage.removeItem(what);
  }
}

test("temperatures are in °C, or in °F for who has chosen it", () => {
  equal(inUnit(temperature, 21.456), "21.46 °C");
  wanting("fahrenheit", () => {
    equal(localStorage.getItem("fahrenheit"), "yes");
    equal([0, 100, -40, 21.456, NaN].map((v) => measured(temperature, v)), ["32.00", "212.00", "−40.00", "70.62", "–"]);
    equal([inUnit(temperature, 20), inUnit(humidity, 50), shownUnit("hPa")], ["68.00 °F", "50.0 %", "hPa"]);
    equal(trend(temperature, 0.5), "↗ +0.90 °F/min", "a difference has no 32 in it");
  });
});

test("limits on temperatures are in the unit of the values beside them", () => {
  const alarm = "greenhouse.2.temperature > 35 for 30s until greenhouse.2.temperature <= -1.5", others = ["indoor.age < 1m", "indoor.humidity < 101", "odd.temperature < x"];
  equal([shownCondition(alarm), shownMet(alarm, 35.2)], [alarm, "35.2"], "in °C as it was configured");
  wanting("fahrenheit", () => {
    equal(shownCondition(alarm), "greenhouse.2.temperature > 95 °F for 30s until greenhouse.2.temperature <= 29.3 °F");
    equal([shownMet(alarm, 35.200000762939453), shownMet(others[0], 70), shownMet("", 3)], ["95.36 °F", "70", "3"]);
    equal(others.map(shownCondition), others);
  });
});

test("the choice holds without storage too", () => {
  const kept = /** @type {PropertyDescriptor} */ (Object.getOwnPropertyDescriptor(globalThis, "localStorage"));
  Object.defineProperty(globalThis, "localStorage", { configurable: true, get() { throw new DOMException("denied", "SecurityError"); } });
  try {
    want("fahrenheit", true);
    equal(inUnit(temperature, 0), "32.00 °F");
    want("fahrenheit", false);
  } finally {
    Object.defineProperty(globalThis, "localStorage", kept);
  }
});

test("numbers have their decimals, and no negative zero", () => {
  equal([fixed(1234.5, 1), fixed(-0.04, 1), fixed(-1.25, 2)], ["1234.5", "0.0", "−1.25"]);
});

test("dew point and absolute humidity are those of published tables", () => {
  // Saturated: water vapour over water, g/m³ (CRC Handbook of Chemistry and Physics).
  for (const [at, want] of [[0, 4.85], [10, 9.4], [20, 17.3], [30, 30.4], [40, 51.1]]) equal(Math.abs(absoluteHumidity(at, 100) - want) < 0.15, true, `${at} °C: ${absoluteHumidity(at, 100)}`);
  // Psychrometric tables: temperature, relative humidity, dew point.
  for (const [at, relative, want] of [[20, 50, 9.3], [25, 50, 13.9], [20, 60, 12.0], [30, 70, 23.9], [10, 100, 10]]) equal(Math.abs(dewPoint(at, relative) - want) < 0.1, true, `${at} °C, ${relative} %: ${dewPoint(at, relative)}`);
  equal([dewPoint(20, 0), dewPoint(NaN, 50), absoluteHumidity(20, 0)], [NaN, NaN, 0]);
});

test("what follows from values is a line of its own, with the same gaps, if it is wanted", () => {
  const both = [temperature, humidity];
  equal(derivedFrom(both), []);
  wanting("derived", () => {
    equal([derivedFrom(both).length, derivedFrom([temperature]).length, derivedFrom([{ quantity: "co2", unit: "ppm" }]).length], [2, 0, 0]);
    const ring = new Ring(10);
    const reading = { sensor: 0, simulated: false, unsynced: false, historical: false, conflated: false, fault: 0, temperature: 20, humidity: 50 };
    ring.add({ ...reading, seq: 1, time: 0 });
    ring.add({ ...reading, seq: 2, time: 100, fault: 2, temperature: NaN, humidity: NaN });
    ring.add({ ...reading, seq: 3, time: 200, humidity: NaN });
    const lines = new Columns(0, 100, 3).fill(ring, undefined, 100).derive(derivedFrom(both)).lines();
    equal(lines.map(({ mean }) => mean.map((v) => v && Math.round(v * 10) / 10)), [[20, null, 20], [50, null, null], [9.3, null, null], [8.6, null, null]]);
  });
});
