// @ts-check
// What is on the charts as CSV.

import { query } from "./history.js";
import { cause } from "./readings.js";

/** @typedef {import("./sensor.js").Sensor} Sensor */
/** @typedef {import("./chart.js").View} View */

/**
 * Readings as the gateway keeps them, or as the page does where it cannot be
 * asked; with a step of more than a tick, buckets.
 * @param {URL} base @param {Sensor[]} sensors @param {View} view @param {number} step ms
 */
export async function csv(base, sensors, { from, to }, step) {
  const files = await Promise.all(sensors.map(async ({ info, ring }) => {
    const summed = step > info.interval_ms ? step : undefined;
    try {
      return await (await query(base, { sensor: info.name, from: Math.floor(from), to: Math.ceil(to), step: summed }, "text/csv")).text();
    } catch (error) {
      if (ring.oldest > from) throw error; // better none than half
      return held(info.name, ring, { from, to });
    }
  }));
  // Sensors of different intervals may be summed up or not: a table for each kind.
  /** @type {Map<string, string[]>} rows by heading */
  const tables = new Map();
  for (const file of files) {
    const [heading, ...rows] = file.trimEnd().split(/\r?\n/);
    tables.set(heading, [...(tables.get(heading) ?? []), ...rows]);
  }
  return [...tables].map(([heading, rows]) => [heading, ...rows, ""].join("\n")).join("\n");
}

/** @param {string} name @param {import("./ring.js").Ring} ring @param {View} view */
function held(name, ring, { from, to }) {
  const rows = ["time,unix_ms,sensor,seq,temperature,humidity,fault"];
  for (let i = ring.before(from); i < ring.length; i++) {
    const at = ring.at(i), time = ring.times[at], fault = ring.faults[at];
    if (time >= to) break;
    const values = fault ? ["", "", cause(fault).name] : [short(ring.temperatures[at]), short(ring.humidities[at]), ""];
    rows.push([new Date(time).toISOString(), time, name, ring.seqs[at], ...values].join(","));
  }
  return rows.join("\n");
}

/** As few digits as still say the same float32. @param {number} value */
function short(value) {
  if (Number.isNaN(value)) return ""; // not measured
  for (let digits = 6; digits < 9; digits++) {
    const text = Number(value.toPrecision(digits));
    if (Math.fround(text) === value) return String(text);
  }
  return String(value);
}

/** Gives the browser's user a file. @param {string} name @param {string} content */
export function download(name, content) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([content], { type: "text/csv" }));
  link.download = name;
  link.click();
  URL.revokeObjectURL(link.href);
}
