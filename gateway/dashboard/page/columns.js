// @ts-check
// What a chart shows of one sensor: a column about a pixel wide for each step of
// time, from the gateway's buckets if it is older than the page's own readings. A
// line connects two good columns only if nothing failed or is missing between them.

/** @typedef {import("./ring.js").Ring} Ring */
/** @typedef {{min: number, mean: number, max: number}} Span */
/** @typedef {{time: number, count: number, failed: number, fault: number, values: (Span | null)[]}} Bucket */
/** @typedef {{step: number, buckets: Bucket[]}} Slab oldest first */
/**
 * Values by column: at null the line has a gap, over undefined it goes on to the next value.
 * @typedef {{mean: (number | null | undefined)[], min: (number | null | undefined)[], max: (number | null | undefined)[]}} Line
 */

const STEPS = [100, 200, 500, 1e3, 2e3, 5e3, 10e3, 15e3, 30e3, 60e3, 120e3, 300e3, 600e3, 900e3, 1800e3, 3600e3];

/** The step of time of which a span has no more than `most`, in ms. @param {number} span ms @param {number} most */
export const stepOf = (span, most) => STEPS.find((step) => span / step <= most) ?? Math.ceil(span / most / 3600e3) * 3600e3;

/** Ticks that may pass between two readings that belong together: one late, none missing. */
export const LATE = 2.5;

/**
 * Whether nothing is missing before a reading. Numbers alone do not say so, for they
 * go on after a restart; the time must have passed that they take.
 * @param {number} numbers from the reading before @param {number} passed ms since then
 * @param {boolean} conflated it stands for those between @param {number} interval ms
 */
export const follows = (numbers, passed, conflated, interval) => (numbers === 1 || conflated) && passed <= (numbers - 1 + LATE) * interval;

export class Columns {
  /**
   * @param {number} from Unix ms, a multiple of step @param {number} step ms @param {number} count
   * @param {number} [values] of a reading
   */
  constructor(from, step, count, values = 2) {
    this.from = from;
    this.step = step;
    this.count = count;
    this.counts = new Float64Array(count);
    this.failed = new Float64Array(count);
    this.faults = new Uint8Array(count); // cause of the last failed one
    this.broken = new Uint8Array(count); // something is missing before it
    this.spans = Array.from({ length: values }, () => newSpans(count));
    this.banded = true; // a column may stand for many readings
  }

  /**
   * @param {Ring} ring @param {Slab | undefined} slab @param {number} interval of the sensor, ms
   */
  fill(ring, slab, interval) {
    this.banded = this.step > interval;
    const end = this.from + this.step * this.count;
    let last = -Infinity; // end of what came before
    for (const bucket of slab?.buckets ?? []) {
      if (bucket.time >= ring.oldest || bucket.time >= end) break;
      if (bucket.time >= this.from) this.#addBucket(bucket, bucket.time - last > LATE * interval);
      last = bucket.time + /** @type {Slab} */ (slab).step;
    }
    let before = -1; // the reading before
    for (let i = Math.max(0, ring.before(this.from) - 1); i < ring.length; i++) {
      const at = ring.at(i), time = ring.times[at];
      if (time >= end) break;
      const joined = before < 0 ? time - last <= LATE * interval
        : follows((ring.seqs[at] - ring.seqs[before]) >>> 0, time - ring.times[before], ring.conflated[at] === 1, interval);
      before = at;
      if (time >= this.from) this.#addReading(ring, at, joined);
    }
    return this;
  }

  /**
   * Adds what follows from the first two values, of each column from their means: one
   * value each, without a lowest and a highest.
   * @param {{of: (temperature: number, humidity: number) => number}[]} derived
   */
  derive(derived) {
    const [temperature, humidity] = this.spans;
    for (const { of } of derived) {
      const spans = newSpans(this.count);
      for (let i = 0; i < this.count; i++) {
        const count = this.counts[i], value = of(temperature.sum[i] / count, humidity.sum[i] / count);
        if (Number.isFinite(value)) addSpan(spans, i, value, value, value, count);
      }
      this.spans.push(spans);
    }
    return this;
  }

  /** @param {Bucket} b @param {boolean} broken */
  #addBucket(b, broken) {
    const column = this.#column(b.time);
    this.counts[column] += b.count;
    this.failed[column] += b.failed;
    if (b.failed) this.faults[column] = b.fault;
    if (broken) this.broken[column] = 1;
    b.values.forEach((span, i) => {
      if (span) addSpan(this.spans[i], column, span.min, span.mean, span.max, b.count);
    });
  }

  /** @param {Ring} ring @param {number} at @param {boolean} joined */
  #addReading(ring, at, joined) {
    const column = this.#column(ring.times[at]);
    if (!joined) this.broken[column] = 1;
    if (ring.faults[at]) {
      this.failed[column]++;
      this.faults[column] = ring.faults[at];
      return;
    }
    this.counts[column]++;
    this.spans.forEach((spans, i) => {
      const value = ring.values[i][at];
      addSpan(spans, column, value, value, value, 1);
    });
  }

  /** The middle of each column; of the one in which the view ends, no later than that. @param {number} to @returns {number[]} */
  times(to) {
    const last = this.#column(to);
    return Array.from({ length: this.count }, (_, i) => {
      const middle = this.from + (i + 0.5) * this.step;
      return i === last ? Math.min(middle, to) : middle;
    });
  }

  /** @param {number} time */
  #column(time) {
    return Math.floor((time - this.from) / this.step);
  }

  /** Whether a column has a value: not where half of the measurements failed. @param {number} column */
  good(column) {
    return this.counts[column] > this.failed[column];
  }

  /** The line of each value; without a lowest and a highest where they say no more. @returns {Line[]} */
  lines() {
    const edge = this.banded ? this.count : 0;
    /** @type {Line[]} */
    const lines = this.spans.map(() => ({ mean: Array(this.count), min: Array(edge), max: Array(edge) }));
    const put = (/** @type {Line} */ { mean, min, max }, /** @type {number} */ i, /** @type {(number | null)[]} */ values) => {
      mean[i] = values[0];
      if (edge) [, min[i], max[i]] = values;
    };
    const nothing = [null, null, null];
    let previous = -1, gap = true;
    for (let i = 0; i < this.count; i++) {
      gap ||= this.broken[i] === 1 || (this.failed[i] > 0 && !this.good(i));
      if (!this.good(i)) continue;
      for (const [n, line] of lines.entries()) {
        const { sum, min, max } = this.spans[n];
        put(line, i, min[i] <= max[i] ? [sum[i] / this.counts[i], min[i], max[i]] : nothing); // a thermometer has no humidity
        if (gap) for (let j = previous + 1; j < i; j++) put(line, j, nothing);
      }
      previous = i;
      gap = false;
    }
    for (const line of lines) for (let j = previous + 1; j < this.count; j++) put(line, j, nothing);
    return lines;
  }

  /**
   * The column at or shortly before this one that has anything, -1 if none has.
   * @param {number} column @param {number} interval of the sensor, ms
   */
  nearest(column, interval) {
    const reach = Math.ceil((LATE * interval) / this.step);
    for (let i = column; i >= 0 && i >= column - reach; i--) if (this.counts[i] || this.failed[i]) return i;
    return -1;
  }
}

/** @param {number} count */
const newSpans = (count) => ({ sum: new Float64Array(count), min: new Float64Array(count).fill(Infinity), max: new Float64Array(count).fill(-Infinity) });

/** @param {ReturnType<typeof newSpans>} spans @param {number} i @param {number} min @param {number} mean @param {number} max @param {number} count */
function addSpan(spans, i, min, mean, max, count) {
  spans.sum[i] += mean * count;
  if (min < spans.min[i]) spans.min[i] = min;
  if (max > spans.max[i]) spans.max[i] = max;
}
