// @ts-check
// Stored readings in buckets, fetched from the gateway: those that are in view and
// older than the readings that the page holds itself.

import { decode, faultNamed } from "./readings.js";

/** @typedef {import("./columns.js").Slab & {from: number, to: number, at: number}} Slab of [from, to), fetched at, on performance.now() */

export const HOUR = 3_600_000, DAY = 24 * HOUR; // ms
const LONGEST = 3660 * DAY; // for which a gateway may be configured to keep readings
const LACKING = "readings-lacking"; // a header
const PAUSE = 10_000; // ms after a failure, and between two fetches of the same

export class History {
  /** @type {Map<string, Slab>} by sensor name; one each */
  slabs = new Map();
  #busy = false;
  #notBefore = 0;
  #base;
  #changed;

  /** @param {URL} base @param {() => void} changed */
  constructor(base, changed) {
    this.#base = base;
    this.#changed = changed;
  }

  /**
   * Sees to it that what is in view, [from, to), is there of each sensor: as far as
   * the page does not hold it raw. It fetches all of it, because what the page
   * holds raw today it will not hold in 15 minutes.
   * @param {{name: string, raw: number, names: string[]}[]} sensors with their quantities, and since when they are held raw; Infinity: not at all
   * @param {number} from @param {number} to Unix ms @param {number} step ms @param {number} [ahead] ms to fetch before that, for who moves on into the past
   */
  async want(sensors, from, to, step, ahead = 0) {
    const now = performance.now();
    if (this.#busy || now < this.#notBefore) return;
    const missing = sensors.filter(({ name, raw }) => {
      const slab = this.slabs.get(name);
      if (from >= raw) return false;
      if (!slab || slab.step !== step || slab.from > from) return true;
      return slab.to < Math.min(to, raw) && now - slab.at > PAUSE;
    });
    if (!missing.length) return;
    this.#busy = true;
    try {
      for (const { name, names } of missing) { // one at a time, to leave the gateway time for live readings
        this.slabs.set(name, await this.#fetch(name, names, from - Math.ceil(ahead / step) * step, to, step));
        this.#changed();
      }
    } catch {
      this.#notBefore = performance.now() + PAUSE;
    } finally {
      this.#busy = false;
    }
  }

  /** @param {string} sensor @param {string[]} names of its quantities @param {number} from @param {number} to @param {number} step @returns {Promise<Slab>} */
  async #fetch(sensor, names, from, to, step) {
    const { buckets } = await (await query(this.#base, { sensor, from, to, step }, "application/json")).json();
    return {
      step, from, to, at: performance.now(),
      buckets: buckets.map((/** @type {any} */ b) => ({
        time: Math.round(b.ts * 1000), count: b.count, failed: b.failed, fault: b.fault ? faultNamed(b.fault) : 0,
        values: names.map((name) => (b.values ? b.values[name] : name === "temperature" ? b.temp : b[name]) ?? null),
      })),
    };
  }
}

/**
 * The readings of a sensor of [from, to), oldest first, as the gateway keeps them.
 * @param {URL} base @param {import("./gateway.js").SensorInfo} info @param {number} from @param {number} to Unix ms
 */
export async function stored(base, info, from, to) {
  const content = await (await query(base, { sensor: info.name, from, to }, "application/octet-stream")).arrayBuffer();
  return content.byteLength ? decode(content, [info]) : [];
}

/**
 * The time of the oldest stored reading of these sensors, to ten minutes; Infinity if there is none.
 * @param {URL} base @param {string[]} sensors @param {number} to Unix ms
 */
export async function oldest(base, sensors, to) {
  /** @param {number} from @param {number} until @param {number} step ms @returns {Promise<number>} */
  const first = async (from, until, step) => {
    const times = [];
    for (const sensor of sensors) { // one at a time, to leave the gateway time for live readings
      const { buckets } = await (await query(base, { sensor, from, to: until, step }, "application/json")).json();
      const begin = buckets.find((/** @type {any} */ { count, failed }) => count || failed);
      if (begin) times.push(Math.max(begin.ts * 1000, from));
    }
    return Math.min(...times);
  };
  let from = to - LONGEST, until = to;
  for (const step of [30 * DAY, DAY, HOUR / 6]) {
    from = await first(from, until, step);
    if (from === Infinity) break;
    until = Math.min(from + step, to); // where a finer step finds it
  }
  return from;
}

/**
 * What is missing in a hub's answer: minutes of which it has summaries alone; undefined if nothing is.
 * @typedef {{minutes: number, asked: number, why: string}} Lack asked: of so many the gateway is asked for the readings now
 * @param {Response} answer @returns {Lack | undefined}
 */
export function lacking({ headers }) {
  const [, minutes, asked, reason = ""] = headers.get(LACKING)?.match(/^minutes=(\d+), asked=(\d+),.*?(?:reason=(.*))?$/) ?? [];
  if (!minutes) return undefined;
  let why = reason;
  try {
    why = JSON.parse(reason);
  } catch { /* none, or one with what JSON does not escape so */ }
  return { minutes: Number(minutes), asked: Number(asked), why };
}

/**
 * @param {URL} base @param {{sensor: string, from: number, to: number, step?: number}} of @param {string} accept
 */
export async function query(base, of, accept) {
  const url = new URL("api/v1/readings", base);
  for (const [key, value] of Object.entries(of)) if (value) url.searchParams.set(key, String(value));
  const response = await fetch(url, { headers: { Accept: accept } });
  if (!response.ok) throw new Error(`${response.status} ${response.statusText}`);
  return response;
}
