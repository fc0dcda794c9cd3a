// @ts-check
// What is known of one sensor. Ages are measured with performance.now(), so that
// neither the browser's clock nor the gateway's has to be right.

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
  shown = true; // in the charts

  /** @param {SensorInfo} info */
  constructor(info) {
    this.info = info;
    this.ring = new Ring(Math.ceil(KEPT / info.interval_ms) + 100);
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

  /** @param {number} now @param {boolean} connected @returns {State} */
  state(now, connected) {
    if (this.heard === undefined) return "waiting";
    if (!connected || now - this.heard > patience(this.info.interval_ms)) return "stale";
    return this.fault ? "failed" : "live";
  }

  /** How the last minute went: failed readings, all of them, and °C a minute, NaN if unknown. */
  minute() {
    const { ring } = this, end = ring.length ? ring.times[ring.at(ring.length - 1)] : 0, begin = end - MINUTE;
    const first = mean(), last = mean();
    let failed = 0;
    const from = ring.before(begin);
    for (let i = from; i < ring.length; i++) {
      const at = ring.at(i), time = ring.times[at];
      if (ring.faults[at]) failed++;
      else if (time < ring.times[ring.at(from)] + ENDS) first.add(time, ring.temperatures[at]);
      else if (time > end - ENDS) last.add(time, ring.temperatures[at]);
    }
    const between = last.time - first.time;
    return { all: ring.length - from, failed, slope: between > 2 * ENDS ? ((last.value - first.value) / between) * MINUTE : NaN };
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
