// @ts-check
// What is on the charts as CSV.

import { LATE } from "./columns.js";
import { lacking, query } from "./history.js";
import { cause } from "./readings.js";

/** @typedef {import("./sensor.js").Sensor} Sensor */
/** @typedef {import("./chart.js").View} View */

const READ = 60_000; // ms in which a browser has read what it saves

/** The columns of every reading, before and behind those of the quantities. */
const BEFORE = ["time", "unix_ms", "sensor", "seq"], BEHIND = ["fault"];

/**
 * One table, of the columns that `gateway export` has: readings as the gateway
 * keeps them, or as the page does where it cannot be asked. Of a sensor whose ticks
 * are closer than the step, the means of each step; these have no number.
 * @param {URL} base @param {Sensor[]} sensors @param {View} view @param {number} step ms @param {(lack: import("./history.js").Lack) => void} [lacks] is called if readings are lacking
 */
export async function csv(base, sensors, { from, to }, step, lacks) {
  const lack = { minutes: 0, asked: 0, why: "" };
  const files = await Promise.all(sensors.map(async ({ info, ring }) => {
    const summed = step > info.interval_ms ? step : undefined;
    try {
      const span = { sensor: info.name, from: Math.floor(from), to: Math.ceil(to) };
      const answer = await query(base, { ...span, step: summed }, "text/csv");
      let less = lacking(answer);
      if (less && summed) { // sums have no readings fetched: who exports wants them
        const readings = await query(base, span, "text/csv");
        less = lacking(readings);
        await readings.body?.cancel();
      }
      if (less) Object.assign(lack, { minutes: lack.minutes + less.minutes, asked: lack.asked + less.asked, why: lack.why || less.why });
      return await answer.text();
    } catch (error) {
      if (ring.oldest > from) throw error; // better none than half
      return held(info.name, ring, { from, to });
    }
  }));
  if (lack.minutes) lacks?.(lack);
  const parsed = files.map(parse);
  parsed.forEach((file, i) => (file.rows = withGaps(file.rows, sensors[i].info.interval_ms, step)));
  const columns = [...new Set([...BEFORE, ...parsed.flatMap(({ quantities }) => quantities), ...BEHIND])];
  return [columns, ...parsed.flatMap(({ rows }) => rows).map((row) => columns.map((column) => row[column] ?? ""))].map((cells) => `${cells.join()}\n`).join("");
}

/** The rows of a file, each by column: of a sum, the means, and a fault only where there is none. @param {string} file */
function parse(file) {
  const [heading, ...lines] = file.trimEnd().split(/\r?\n/), columns = heading.split(",");
  const summed = columns.includes("count");
  const quantities = columns.filter((column) => (summed ? column.endsWith("_mean") : ![...BEFORE, ...BEHIND].includes(column))).map((column) => column.replace(/_mean$/, ""));
  const rows = lines.map((line) => {
    /** @type {Record<string, string>} */
    const row = Object.fromEntries(line.split(",").map((cell, i) => [columns[i].replace(/_mean$/, ""), cell]));
    if (summed && row.count !== "0") row.fault = "";
    return row;
  });
  return { quantities, rows };
}

/**
 * Adds a row where rows are missing between two.
 * @param {Record<string, string>[]} rows @param {number} interval of the sensor, ms @param {number} step ms; each row is of a step if that is longer
 */
const withGaps = (rows, interval, step) => rows.flatMap((row, i) => {
  const before = i ? Number(rows[i - 1].unix_ms) : Infinity, begin = before + Math.max(interval, step);
  if (Number(row.unix_ms) - before <= LATE * interval + (step > interval ? step : 0)) return [row];
  return [{ time: new Date(begin).toISOString(), unix_ms: String(begin), sensor: row.sensor, fault: "no_record" }, row];
});

/** @param {string} name @param {import("./ring.js").Ring} ring @param {View} view */
function held(name, ring, { from, to }) {
  const rows = [[...BEFORE, ...ring.names, ...BEHIND].join()];
  for (let i = ring.before(from); i < ring.length; i++) {
    const at = ring.at(i), time = ring.times[at], fault = ring.faults[at];
    if (time >= to) break;
    const values = ring.values.map((each) => (fault ? "" : short(each[at])));
    rows.push([new Date(time).toISOString(), time, name, ring.seqs[at], ...values, fault ? cause(fault).name : ""].join());
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
  setTimeout(() => URL.revokeObjectURL(link.href), READ); // some browsers, those of iOS, read it later
}
