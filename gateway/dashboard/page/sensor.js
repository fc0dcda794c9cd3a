// @ts-check
// What is known of one sensor. Ages are by performance.now(): no clock has to be right.

import { quantities } from "./readings.js";
import { KEPT, Ring } from "./ring.js";

/** @typedef {import("./gateway.js").Reading} Reading */
/** @typedef {import("./gateway.js").SensorInfo} SensorInfo */
/** @typedef {"waiting" | "live" | "failed" | "stale"} State */

const MINUTE = 60_000;
const ENDS = 5_000; // ms averaged at both ends of a trend

/** How long a sensor may be silent and still count as live. @param {number} interval ms */
export const patience = (interval) => Math.max(1500, 3 * interval);

export class Sensor {
  /** @type {{at: number, reading: Reading} | undefined} the newest good one */
  good;
  /** @type {{at: number, reading: Reading} | undefined} the newest failed one */
  failed;
  /** @type {number | undefined} when the last reading of any kind came */
  heard;
  fault = 0; // of the last reading
  /** @type {boolean | undefined} whether it is in the charts; undefined: not decided */
  shown;
  /** @type {number | undefined} of its lines, if it is shown */
  colour;

  /** @param {SensorInfo} info */
  constructor(info) {
    this.info = info;
    this.quantities = quantities(info);
    this.ring = new Ring(Math.ceil(KEPT / info.interval_ms) + 100, this.quantities.map(({ quantity }) => quantity));
  }

  /** Whether what this page holds of it begins within the last minute. @param {number} now on the gateway's clock */
  young(now) {
    return this.ring.oldest > now - MINUTE;
  }

  /** Adds what the gateway kept of the time before the page was opened. @param {Reading[]} readings oldest first */
  addPast(readings) {
    const { oldest } = this.ring;
    this.ring.addBefore(readings.filter(({ time }) => time < oldest));
  }

  /** @param {Reading} reading @param {number} at when it came */
  add(reading, at) {
    this.ring.add(reading);
    if (reading.historical) return;
    this.heard = at;
    this.fault = reading.fault;
    if (reading.fault) this.failed = { at, reading };
    else this.good = { at, reading };
  }

  /** @param {number} ms by which what came is older */
  age(ms) {
    this.heard &&= this.heard - ms;
    for (const each of [this.good, this.failed]) if (each) each.at -= ms;
  }

  /** @param {number} now @param {boolean} connected @returns {State} */
  state(now, connected) {
    if (this.heard === undefined) return "waiting";
    if (!connected || now - this.heard > patience(this.info.interval_ms)) return "stale";
    return this.fault ? "failed" : "live";
  }

  /**
   * How the last minute went: failed readings, all of them, how many ms of it are
   * known, and the change of the first value a minute, NaN if unknown.
   */
  minute() {
    const { ring } = this, [values] = ring.values, end = ring.newest, begin = end - MINUTE;
    const first = mean(), last = mean();
    let failed = 0;
    const from = ring.before(begin);
    for (let i = from; i < ring.length; i++) {
      const at = ring.at(i), time = ring.times[at];
      if (ring.faults[at]) failed++;
      else if (time < ring.times[ring.at(from)] + ENDS) first.add(time, values[at]);
      else if (time > end - ENDS) last.add(time, values[at]);
    }
    const between = last.time - first.time;
    const known = Math.min(MINUTE, end - ring.oldest + 2 * this.info.interval_ms); // one may be late
    return { all: ring.length - from, failed, known, slope: between > 2 * ENDS ? ((last.value - first.value) / between) * MINUTE : NaN };
  }
}

function mean() {
  let n = 0, times = 0, values = 0;
  return {
    /** @param {number} time @param {number} value */
    add(time, value) {
      n++;
      times += time;
      values += value;
    },
    get time() { return times / n; },
    get value() { return values / n; },
  };
}
