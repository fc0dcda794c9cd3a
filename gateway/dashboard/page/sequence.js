// @ts-check
// What came of a sensor's numbered ticks, and what did not.

/** @typedef {import("./readings.js").Reading} Reading */

/**
 * Which numbers of one sensor have come, in two lanes: live, and what was missed.
 *
 * Both lanes are in order and leave nothing out. So a number that its lane went
 * past is a tick that was never made, or one that others stand for. Lost is what
 * the gateway says it no longer has, unless it comes all the same: what lies
 * before a loss may be kept, or was in hand when it was lost.
 */
export class Sequence {
  counts = { received: 0, recovered: 0, conflated: 0, missed: 0, lost: 0 };
  /** @type {number | undefined} the next number of the live lane */
  next;
  /** @type {{from: number, to: number, conflated: boolean}[]} missed numbers that may still come, [from, to) */
  holes = [];
  /** @type {{from: number, to: number}[]} numbers that are lost, in this replay */
  #gone = [];
  #resumed = false; // the live lane has yet to say where it begins

  /** The last number before which none is missing. */
  get since() {
    if (this.next === undefined) return undefined;
    return ((this.holes[0]?.from ?? this.next) - 1) >>> 0;
  }

  /** The stream begins anew with number `from`; what is before it and has not come is lost. @param {number} from */
  resume(from) {
    this.#gone = [];
    this.lose(from);
    this.#resumed = true;
  }

  /** The gateway no longer has what is before number `from` and has not come. @param {number} from */
  lose(from) {
    if (this.next === undefined) return;
    for (const hole of this.holes) hole.from = this.#give(hole.from, Math.min(ahead(from, hole.from), ahead(hole.to, hole.from)));
    this.holes = this.holes.filter((h) => h.from !== h.to);
    this.next = this.#give(this.next, ahead(from, this.next));
  }

  /** Gives up so many numbers, if any. @param {number} from @param {number} count @returns the number after them */
  #give(from, count) {
    if (count <= 0) return from;
    const to = (from + count) >>> 0;
    this.counts.lost += count;
    this.#gone.push({ from, to });
    return to;
  }

  /** What was missed is all there: what has not come was never made. */
  settle() {
    for (const hole of this.holes) this.#cut(hole, hole.to);
    this.holes = [];
    this.#gone = [];
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
    const within = (/** @type {{from: number, to: number}} */ h) => ahead(seq, h.from) >= 0 && ahead(h.to, seq) > 0;
    const hole = this.holes.find(within), gone = this.#gone.find(within);
    if (hole) {
      this.#cut(hole, seq);
      hole.from = (seq + 1) >>> 0;
      if (hole.from === hole.to) this.holes.splice(this.holes.indexOf(hole), 1);
    } else if (gone) {
      this.counts.lost--;
      gone.from = (seq + 1) >>> 0;
    } else return false; // a double
    this.counts.recovered++;
    this.counts.received++;
    return true;
  }

  /** Takes the numbers before `to` from a hole: its lane went past them. @param {Sequence["holes"][0]} hole @param {number} to */
  #cut(hole, to) {
    this.counts[hole.conflated ? "conflated" : "missed"] += ahead(to, hole.from);
    hole.from = to;
  }
}

/** How far number a is ahead of b, around the wrap (RFC 1982). @param {number} a @param {number} b */
const ahead = (a, b) => (a - b) | 0;
