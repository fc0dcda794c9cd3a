// @ts-check
// What came of a sensor's numbered ticks, and what did not.

/** @typedef {import("./readings.js").Reading} Reading */
/** @typedef {{from: number, to: number}} Range of numbers, [from, to) */
/** @typedef {Range & {conflated: boolean, unknown: boolean}} Hole where it is unknown how many of its numbers were used, they are not counted */
/** @typedef {Range & {as: "missed" | "conflated" | "lost"}} Gone how it was counted */

/** In another epoch the numbers begin anywhere: no gateway has more than these before the next one. */
const FAR = 2 ** 30;

/** How many holes are remembered: each takes a connection that ended before its replay did. */
const MOST_HOLES = 16;

/** How many ranges are remembered that did not come: a hub fills no more at a time. */
const MOST_GONE = 64;

/**
 * Which numbers of one sensor have come, in two lanes: live, and replayed.
 *
 * Both lanes are in order and leave nothing out. So a number that its lane went
 * past is a tick that was never made, or one that others stand for. Lost is what
 * the gateway says it no longer has. Some comes all the same, and is counted anew:
 * what lies before a loss may be kept, or was in hand when it was lost; and a hub
 * sends, in the lane of what is replayed, whatever it gets later than its live lane.
 */
export class Sequence {
  counts = { received: 0, recovered: 0, conflated: 0, missed: 0, lost: 0 };
  /** @type {Hole[]} numbers that may still be replayed, in order */
  holes = [];
  /** @type {Gone[]} numbers that were counted as gone, and may come all the same */
  #gone = [];
  #late = false; // some did, long after: this is a hub
  #next;
  /** @type {"anywhere" | "follows" | "apart"} how the next live number goes with those before: what lies between was never made, or may be replayed */
  #entry = "anywhere";
  #unknown = false; // what lies between #next and the first number that comes

  /** @param {string} name of the sensor @param {number} next the number that the gateway gives next */
  constructor(name, next) {
    this.name = name;
    this.#next = next;
  }

  /** The last number before which none is missing. */
  get since() {
    return ((this.holes[0]?.from ?? this.#next) - 1) >>> 0;
  }

  /** No number up to this one may come late; {@link since} if nobody sends late. */
  get asked() {
    return this.#gone.reduce((first, { from, as }) => (this.#late && as === "missed" && ahead(from - 1, first) < 0 ? (from - 1) >>> 0 : first), this.since);
  }

  /** A replay of what comes after {@link since}, or {@link asked}, is requested. */
  ask() {
    this.#entry = "apart";
    if (this.holes.length >= MOST_HOLES) this.#giveUp(this.holes.splice(0, 1));
  }

  /** Likewise in another epoch, of what comes after a number of that. @param {number} next the number that the gateway gives next @param {number} [since] */
  askAnew(next, since = (next - FAR) >>> 0) {
    this.holes = [];
    this.#gone = [];
    this.#next = (since + 1) >>> 0;
    this.#unknown = true;
    this.ask();
  }

  /** The replay of what comes after number `since` begins with `from`, or with the first if nothing is lost. @param {number} since @param {number} [from] */
  answered(since, from) {
    if (from === undefined || this.#unknown || this.holes[0]?.unknown) return;
    if (ahead(from, since) > 0) return this.lose(from);
    this.holes = this.#gone = []; // the gateway is behind, so its numbers are other ones
    this.#next = from;
  }

  /** There will be no replay. */
  refused() {
    this.#giveUp(this.holes);
    this.#end();
  }

  /** The gateway no longer has what is before number `from` and has not come. @param {number} from */
  lose(from) {
    for (const hole of this.holes) {
      if (!hole.unknown) hole.from = this.#give(hole.from, Math.min(ahead(from, hole.from), ahead(hole.to, hole.from)));
    }
    this.#fold();
    if (!this.#unknown) this.#next = this.#give(this.#next, ahead(from, this.#next));
  }

  /** The replay is over: what has not come was never made, or a hub has not got it yet. */
  settle() {
    this.#pass(this.#next, true);
    this.#end();
  }

  #end() {
    this.holes = [];
    if (this.#entry === "apart") this.#entry = this.#unknown ? "anywhere" : "follows";
  }

  /** Whether the reading is new. @param {Pick<Reading, "seq" | "historical" | "conflated">} reading */
  accept({ seq, historical, conflated }) {
    if (this.#entry === "anywhere") {
      this.#next = seq;
      this.#entry = historical ? "apart" : "follows";
    }
    const skipped = ahead(seq, this.#next);
    if (skipped < 0) return historical && this.#fill(seq);
    if (historical) this.#pass(this.#next);
    if (skipped > 0 && !historical && this.#entry === "apart") this.holes.push({ from: this.#next, to: seq, conflated, unknown: this.#unknown });
    else if (!this.#unknown) this.#forgo(this.#next, skipped, conflated ? "conflated" : "missed", !historical);
    this.#unknown = false;
    if (historical) this.counts.recovered++;
    else this.#entry = "follows";
    this.counts.received++;
    this.#next = (seq + 1) >>> 0;
    return true;
  }

  /** @param {number} seq */
  #fill(seq) {
    const within = (/** @type {Range} */ r) => ahead(seq, r.from) >= 0 && ahead(r.to, seq) > 0;
    const hole = this.holes.find(within), gone = this.#gone.find(within);
    if (!hole && !gone) return false; // a double
    this.#pass(seq);
    if (hole) {
      hole.from = (seq + 1) >>> 0;
      hole.unknown = false;
      this.#fold();
    } else if (gone) {
      this.#late ||= gone.as === "missed";
      if (gone.as !== "conflated") this.counts[gone.as]--;
      this.#gone = this.#gone.map((r) => (r === gone ? { ...r, from: (seq + 1) >>> 0 } : r)).filter(({ from, to }) => from !== to);
    }
    this.counts.recovered++;
    this.counts.received++;
    return true;
  }

  /** The replay has reached number `to`: what is before it does not come any more; or it is over, and something may. @param {number} to */
  #pass(to, over = false) {
    if (!over) this.#gone = this.#gone.filter((r) => ahead(r.to, to) > 0);
    for (const hole of this.holes) {
      const count = Math.min(ahead(to, hole.from), ahead(hole.to, hole.from));
      if (count <= 0) break;
      if (!hole.unknown) this.#forgo(hole.from, count, hole.conflated ? "conflated" : "missed", over);
      hole.from = (hole.from + count) >>> 0;
    }
    this.#fold();
  }

  /** Forgets holes that are filled. */
  #fold() {
    this.holes = this.holes.filter(({ from, to }) => from !== to);
  }

  /** @param {Hole[]} holes */
  #giveUp(holes) {
    for (const { from, to, unknown } of holes) if (!unknown) this.#give(from, ahead(to, from));
  }

  /** Counts so many numbers as lost, if any. @param {number} from @param {number} count @returns the number after them */
  #give(from, count) {
    return count > 0 ? this.#forgo(from, count, "lost", true) : from;
  }

  /** Counts so many numbers that did not come, and remembers those that still may. @param {number} from @param {number} count @param {Gone["as"]} as @param {boolean} mayCome */
  #forgo(from, count, as, mayCome) {
    const to = (from + count) >>> 0;
    this.counts[as] += count;
    if (mayCome && count > 0) this.#gone = [...this.#gone, { from, to, as }].slice(-MOST_GONE);
    return to;
  }
}

/** How far number a is ahead of b, around the wrap (RFC 1982). @param {number} a @param {number} b */
const ahead = (a, b) => (a - b) | 0;
