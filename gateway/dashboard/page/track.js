// @ts-check
// What is known of one sensor: its last value, its last failure, its last
// minute and which of its numbers never came. Times are those of
// performance.now(), so that neither clock has to be right.

/** @typedef {import("./readings.js").Reading} Reading */
/** @typedef {{id: number, name: string, model: string, interval_ms: number}} Info as in hello */
/** @typedef {{at: number, temperature: number, joined: boolean}} Point NaN if failed; joined if nothing is missing before it */
/** @typedef {"waiting" | "live" | "failed" | "stale"} State */

export const MINUTE = 60_000;

/** How long a sensor may be silent and still count as live. @param {number} interval ms */
export const patience = (interval) => Math.max(1500, 3 * interval);

export class Track {
  /** @type {Point[]} those of the last minute, oldest first */
  points = [];
  /** @type {{at: number, reading: Reading} | undefined} */
  good;
  /** @type {{at: number, reading: Reading} | undefined} */
  failed;
  /** @type {number | undefined} when the last record of any kind was made */
  heard;
  fault = 0; // of the last record
  received = 0;
  missed = 0;
  conflated = 0;
  /** @type {number | undefined} */
  #seq;

  /** @param {Info} info */
  constructor(info) {
    this.info = info;
  }

  /** A new epoch began: numbers no longer continue the old ones. */
  restart() {
    this.#seq = undefined;
  }

  /** @param {Reading} reading @param {number} at when it was made */
  add(reading, at) {
    // Replayed records belong to the past, and what is not newer is a double.
    const step = this.#seq === undefined ? 0 : (reading.seq - this.#seq) | 0;
    if (reading.historical || (this.#seq !== undefined && step <= 0)) return;
    this.#count(reading, step - 1);
    this.#seq = reading.seq;
    this.heard = at;
    this.fault = reading.fault;
    if (reading.fault) this.failed = { at, reading };
    else this.good = { at, reading };
    this.points.push({
      at,
      temperature: reading.fault ? NaN : reading.temperature,
      joined: step === 1 || reading.conflated,
    });
    this.forget(at);
  }

  /**
   * Numbers skipped before a conflated record are those it stands for; before
   * any other they never came.
   * @param {Reading} reading @param {number} skipped
   */
  #count(reading, skipped) {
    this.received++;
    if (skipped <= 0) return;
    if (reading.conflated) this.conflated += skipped;
    else this.missed += skipped;
  }

  /** Forgets points older than a minute. @param {number} now */
  forget(now) {
    const first = this.points.findIndex((p) => now - p.at < MINUTE);
    this.points.splice(0, first < 0 ? this.points.length : first);
  }

  /** @param {number} now @param {boolean} connected @returns {State} */
  state(now, connected) {
    if (this.heard === undefined) return "waiting";
    if (!connected || now - this.heard > patience(this.info.interval_ms)) return "stale";
    return this.fault ? "failed" : "live";
  }
}
