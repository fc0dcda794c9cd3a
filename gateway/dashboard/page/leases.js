// @ts-check
// The leases of the motors that a client holds, kept alive while somebody can see
// the page.

const KEPT_ALIVE = 3; // times in a lease

/** Whether nobody can see the page; never where there is none, as in a program. */
export const hidden = () => globalThis.document?.hidden ?? false;

export class Leases {
  /** @type {Map<string, number>} those kept alive, in ms, by motor */
  #leases = new Map();
  /** @type {Set<{target: string}>} starts whose leases are to be kept alive once they are acknowledged */
  #starting = new Set();
  /** @type {ReturnType<typeof setInterval> | undefined} */
  #timer;
  #every = Infinity; // ms between two keepalives
  #kept = 0; // when the last was sent, or the first is counted from
  #send;

  /** @param {(target: string | string[]) => void} send sends a keepalive */
  constructor(send) {
    this.#send = send;
    // freeze comes to a page whose scripts are about to be paused, pagehide to one
    // that is left and may be shown again from the browser's cache.
    for (const event of ["visibilitychange", "freeze"]) globalThis.document?.addEventListener(event, () => this.#attend());
    globalThis.window?.addEventListener("pagehide", () => this.release());
  }

  /**
   * Starts a motor, and keeps its lease alive unless it was released meanwhile, or
   * the motor no longer runs.
   * @template T @param {string} target @param {number} lease ms @param {() => Promise<T>} start @param {() => boolean} runs
   */
  async begin(target, lease, start, runs) {
    const starting = { target };
    this.#starting.add(starting);
    try {
      const ack = await start();
      if (this.#starting.has(starting) && this.#attend() && runs()) {
        this.#leases.set(target, lease);
        this.#pace();
      }
      return ack;
    } finally {
      this.#starting.delete(starting);
    }
  }

  /** @param {string} target */
  has(target) {
    return this.#leases.has(target);
  }

  /** The motor has stopped; a start of it may be under way. @param {string} target */
  end(target) {
    if (this.#leases.delete(target)) this.#pace();
  }

  /** Keeps a lease alive no longer, nor that of a start under way. @param {string} [target] without one: all */
  release(target) {
    for (const start of this.#starting) if (target === undefined || start.target === target) this.#starting.delete(start);
    if (target === undefined) this.#leases.clear();
    else this.#leases.delete(target);
    this.#pace();
  }

  /** A message has come. Those of a page that is busy drawing may come before its timers, which are late. */
  received() {
    if (performance.now() - this.#kept > 1.5 * this.#every) this.#keepAlive();
  }

  /** Keeps no lease alive while nobody can see the page. @returns whether somebody can */
  #attend() {
    if (hidden()) this.release();
    return !hidden();
  }

  /** Sends keepalives as often as the shortest lease needs. */
  #pace() {
    const before = this.#every, every = Math.min(...this.#leases.values()) / KEPT_ALIVE;
    if (every === before) return;
    clearInterval(this.#timer);
    this.#every = every;
    if (!this.#leases.size) return;
    if (before === Infinity) this.#kept = performance.now();
    else this.#keepAlive(); // the interval starts again, the leases do not
    this.#timer = setInterval(() => this.#keepAlive(), every);
  }

  /** One keepalive names all motors: one each would be too many messages. */
  #keepAlive() {
    if (!this.#attend()) return;
    this.#kept = performance.now();
    const [target, ...more] = this.#leases.keys();
    this.#send(more.length ? [target, ...more] : target);
  }
}
