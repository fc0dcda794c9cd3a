// @ts-check
// The newest readings of one sensor, in typed arrays of a fixed size.

/** @typedef {import("./readings.js").Reading} Reading */

/** Age up to which the page holds readings, in ms; older ones come from the gateway in buckets. */
export const KEPT = 15 * 60_000;
const BACK = 2_000; // ms; after a step back of less, times wait for the clock

export class Ring {
  length = 0;
  #start = 0;

  /** @param {number} capacity readings @param {string[]} [names] of the quantities that the sensor measures */
  constructor(capacity, names = ["temperature", "humidity"]) {
    this.capacity = capacity;
    this.names = names;
    this.times = new Float64Array(capacity); // of the gateway's clock, Unix ms
    this.values = names.map(() => new Float32Array(capacity));
    this.seqs = new Uint32Array(capacity);
    this.faults = new Uint8Array(capacity);
    this.conflated = new Uint8Array(capacity);
  }

  /** Where the i-th oldest stands in the arrays. @param {number} i */
  at(i) {
    const at = this.#start + i;
    return at < this.capacity ? at : at - this.capacity;
  }

  /** Time of the oldest; infinite if there is none. */
  get oldest() {
    return this.length ? this.times[this.#start] : Infinity;
  }

  /** Time of the newest, if there is one. */
  get newest() {
    return this.times[this.at(this.length - 1)];
  }

  /** How many are older than time. @param {number} time */
  before(time) {
    let low = 0, high = this.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.times[this.at(middle)] < time) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** Adds a reading at its place in time; the oldest makes room. @param {Reading} r */
  add(r) {
    if (!r.historical && r.time < this.newest - BACK) this.clear(); // the clock was set back
    if (this.length === this.capacity) {
      if (r.time < this.oldest) return;
      this.#start = this.at(1);
      this.length--;
    }
    let i = this.length++;
    for (; i > 0 && this.times[this.at(i - 1)] > r.time; i--) this.#copy(this.at(i - 1), this.at(i)); // replayed: few are newer
    this.#put(this.at(i), r);
  }

  /** Adds readings that are older than all others, oldest first, as far as there is room. @param {Reading[]} readings */
  addBefore(readings) {
    for (const r of readings.toReversed()) {
      if (this.length === this.capacity) return;
      this.#start = this.#start ? this.#start - 1 : this.capacity - 1;
      this.length++;
      this.#put(this.#start, r);
    }
  }

  clear() {
    this.length = 0;
  }

  /** @param {number} at @param {Reading} r */
  #put(at, r) {
    this.times[at] = r.time;
    this.values.forEach((values, i) => (values[at] = r[/** @type {"temperature"} */ (this.names[i])] ?? NaN));
    this.seqs[at] = r.seq;
    this.faults[at] = r.fault;
    this.conflated[at] = Number(r.conflated);
  }

  /** @param {number} from @param {number} to */
  #copy(from, to) {
    for (const array of [this.times, ...this.values, this.seqs, this.faults, this.conflated]) array[to] = array[from];
  }
}
