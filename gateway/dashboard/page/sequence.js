// @ts-check
// What came of a sensor's numbered ticks, and what did not.

/** @typedef {import("./readings.js").Reading} Reading */

/**
 * Which numbers of one sensor have come, in two lanes: live, and what was missed.
 *
 * Both lanes are in order and leave nothing out. So a number that its lane went
 * past is a tick that was never made, or one that others stand for. Lost is what
 * the gateway says it no longer has.
 */
export class Sequence {
  counts = { received: 0, recovered: 0, conflated: 0, missed: 0, lost: 0 };
  /** @type {number | undefined} the next number of the live lane */
  next;
  /** @type {{from: number, to: number, conflated: boolean}[]} missed numbers that may still come, [from, to) */
  holes = [];
  #resumed = false; // the live lane has yet to say where it begins

  /** The last number before which none is missing. */
  get since() {
    if (this.next === undefined) return undefined;
    return ((this.holes[0]?.from ?? this.next) - 1) >>> 0;
  }

  /** The stream begins anew with number `from`; what is before it and has not come will not. @param {number} from */
  resume(from) {
    if (this.next === undefined) return;
    for (const hole of this.holes) {
      const gone = Math.min(ahead(from, hole.from), ahead(hole.to, hole.from));
      if (gone > 0) this.#cut(hole, (hole.from + gone) >>> 0, "lost");
    }
    this.holes = this.holes.filter((h) => h.from !== h.to);
    const gone = ahead(from, this.next);
    if (gone > 0) {
      this.counts.lost += gone;
      this.next = from;
    }
    this.#resumed = true;
  }

  /** What was missed is all there: what has not come was never made. */
  settle() {
    for (const hole of this.holes) this.#cut(hole, hole.to, "missed");
    this.holes = [];
  }

  /** Whether the reading is new. @param {Reading} reading */
  accept({ seq, historical, conflated }) {
    this.next ??= seq;
    const skipped = ahead(seq, this.next);
    if (skipped < 0) return this.#fill(seq);
    if (skipped > 0) {
      if (this.#resumed && !historical) this.holes.push({ from: this.next, to: seq, conflated });
      else if (conflated) this.counts.conflated += skipped;
      else this.counts.missed += skipped;
    }
    if (historical) this.counts.recovered++;
    else this.#resumed = false;
    this.counts.received++;
    this.next = (seq + 1) >>> 0;
    return true;
  }

  /** @param {number} seq */
  #fill(seq) {
    const hole = this.holes.find((h) => ahead(seq, h.from) >= 0 && ahead(h.to, seq) > 0);
    if (!hole) return false; // a double
    this.#cut(hole, seq, "missed");
    hole.from = (seq + 1) >>> 0;
    if (hole.from === hole.to) this.holes.splice(this.holes.indexOf(hole), 1);
    this.counts.recovered++;
    this.counts.received++;
    return true;
  }

  /** Takes the numbers before `to` from a hole. @param {Sequence["holes"][0]} hole @param {number} to @param {"missed" | "lost"} as */
  #cut(hole, to, as) {
    this.counts[hole.conflated && as === "missed" ? "conflated" : as] += ahead(to, hole.from);
    hole.from = to;
  }
}

/** How far number a is ahead of b, around the wrap (RFC 1982). @param {number} a @param {number} b */
const ahead = (a, b) => (a - b) | 0;
