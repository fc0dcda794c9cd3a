// @ts-check
// What came of a sensor's numbered ticks, and what did not.

/** @typedef {import("./readings.js").Reading} Reading */

/** Which numbers of one sensor have come, in two lanes: live, and what was missed. */
export class Sequence {
  counts = { received: 0, recovered: 0, conflated: 0, lost: 0 };
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
      if (gone > 0) this.#lose(hole, (hole.from + gone) >>> 0);
    }
    this.holes = this.holes.filter((h) => h.from !== h.to);
    const gone = ahead(from, this.next);
    if (gone > 0) {
      this.counts.lost += gone;
      this.next = from;
    }
    this.#resumed = true;
  }

  /** Gives up on what has not come. */
  settle() {
    for (const hole of this.holes) this.#lose(hole, hole.to);
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
      else this.counts.lost += skipped;
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
    this.#lose(hole, seq); // its lane is in order
    hole.from = (seq + 1) >>> 0;
    if (hole.from === hole.to) this.holes.splice(this.holes.indexOf(hole), 1);
    this.counts.recovered++;
    this.counts.received++;
    return true;
  }

  /** @param {Sequence["holes"][0]} hole @param {number} to */
  #lose(hole, to) {
    this.counts[hole.conflated ? "conflated" : "lost"] += ahead(to, hole.from);
    hole.from = to;
  }
}

/** How far number a is ahead of b, around the wrap (RFC 1982). @param {number} a @param {number} b */
const ahead = (a, b) => (a - b) | 0;
