// @ts-check
// One WebSocket to the gateway, opened again whenever it is lost.

/** @typedef {"closed" | "connecting" | "connected" | "waiting"} Phase */

const OPENING = 10_000; // ms for the handshake and the first message
const SILENCE = 12_000; // ms without a message, after which the connection counts as lost
const WAKES = 3_000; // ms for an answer after a sleep
const LONGEST = 60_000, CIRCUIT_TRIES = 10, CIRCUIT_PAUSE = 5 * 60_000;
const SERVICE_RESTART = 1012;
const REFUSED = [401, 403]; // statuses of an answer to who is known, or not
const TOKEN = /^gwt_[A-Za-z0-9_-]{43}[A-Za-z0-9]{6}$/;

/**
 * How long to wait before the next try, in ms.
 * @param {number} failures tries that failed in a row; 0 when a connection was lost
 * @param {number} random 0…1, spreads clients that lost the server together
 */
export function backoff(failures, random) {
  if (failures >= CIRCUIT_TRIES) return CIRCUIT_PAUSE;
  return Math.min((2 ** failures + random) * 1000, LONGEST);
}

/**
 * The wait that a restarting server asks for, in ms.
 * @param {number} code @param {string} reason of the close
 * @returns {number | undefined}
 */
export function askedWait(code, reason) {
  const match = code === SERVICE_RESTART && /\bretry_ms=(\d+)/.exec(reason);
  return match ? Math.min(Number(match[1]), LONGEST) : undefined;
}

/** Whether a connection was closed because who the client is no longer holds. @param {string} reason */
export const isEnd = (reason) => /^(Token (revoked|expired|needed)|Session ended)$/.test(reason);

/** A WebSocket that is opened again whenever it is lost. */
export class Link extends EventTarget {
  /** @type {Phase} */
  phase = "closed";
  failures = 0;
  /** When the next try is due, on performance.now(). */
  due = 0;
  urgent = false; // failed tries are not counted: whoever sets this makes the next one itself

  /** @type {Pick<WebSocket, "readyState" | "send" | "close"> & {onopen: unknown, onmessage: unknown, onclose: unknown} | undefined} */
  #socket;
  /** @type {ReturnType<typeof setTimeout> | undefined} the handshake's, the silence's or the pause's, one at a time */
  #timer;
  #heard = 0;
  #woken = 0; // when wake was called, until an answer
  #url;
  #protocols;
  #token;
  #ticket;

  /**
   * @param {string | URL} url @param {string[]} protocols
   * @param {{token?: string, ticket?: () => string | Promise<string>}} [known] by which who connects is; with a token, protocols must not be empty
   */
  constructor(url, protocols, { token, ticket } = {}) {
    super();
    this.#url = new URL(url);
    this.#url.protocol = this.#url.protocol.replace(/^http/, "ws");
    // As a subprotocol of one that is no form of a token a browser would show all of it.
    if (token !== undefined && !TOKEN.test(token)) throw new TypeError("this is no token: one is gwt_ and 49 letters, digits, - and _");
    this.#token = token;
    this.#ticket = ticket;
    this.#protocols = token === undefined ? protocols : [...protocols, `gateway.token.${token}`];
  }

  /** Connects now, unless it is connected or connecting. */
  open() {
    if (this.#socket) return;
    if (this.#ticket) void this.#fetchTicket(this.#ticket);
    else this.#connect(this.#url);
    this.#after(OPENING, () => this.#lost(0, ""));
    this.#enter("connecting");
  }

  /** Connects with another ticket: each is good once. @param {() => string | Promise<string>} ticket */
  async #fetchTicket(ticket) {
    const none = this.#socket = { readyState: 0, onopen: null, onmessage: null, onclose: null, send() {}, close() {} }; // until there is one
    const url = new URL(this.#url);
    try {
      url.searchParams.set("ticket", await Promise.resolve().then(ticket)); // not before open has returned
    } catch (error) {
      console.error("gateway: no ticket:", error);
      if (this.#socket === none) this.#lost(0, "");
      return;
    }
    if (this.#socket === none) this.#connect(url); // not given up meanwhile
  }

  /** @param {URL} url */
  #connect(url) {
    const socket = new WebSocket(url, this.#protocols);
    socket.binaryType = "arraybuffer";
    socket.onopen = () => this.opened();
    socket.onmessage = ({ data }) => {
      this.#heard = performance.now();
      this.received(data);
    };
    socket.onclose = ({ code, reason }) => this.#lost(code, reason);
    this.#socket = socket;
  }

  close() {
    this.#drop();
    clearTimeout(this.#timer);
    this.#enter("closed");
  }

  /**
   * Connects without waiting, and makes sure that a connection still works: while a
   * machine sleeps or changes its network nobody says that it has ended. If it ends, or
   * there is no answer within `ms`, it connects again at once.
   * @param {number} [ms]
   */
  wake(ms = WAKES) {
    const socket = this.#socket, asked = performance.now();
    if (!socket) return this.open();
    this.#woken = asked;
    if (this.phase !== "connected") return;
    this.probe().then(() => (this.#woken = 0), () => {});
    setTimeout(() => {
      // What comes within a second may be from before.
      if (this.#socket === socket && this.#woken === asked && this.#heard < asked + 1000) this.#lost(0, "");
    }, ms);
  }

  abandon() {
    if (this.phase === "connected") this.#lost(0, "");
  }

  /** @param {object} message @returns whether it went out */
  transmit(message) {
    if (this.#socket?.readyState !== 1) return false;
    this.#socket.send(JSON.stringify(message));
    return true;
  }

  /** The server has sent its first message: the try has succeeded. */
  established() {
    this.failures = 0;
    this.#enter("connected");
    this.#listen();
  }

  /**
   * As EventTarget's, for editors that know types: all events here are CustomEvents.
   * @param {string} type @param {((event: CustomEvent<any>) => void) | EventListenerObject | null} listener
   * @param {boolean | AddEventListenerOptions} [options]
   */
  addEventListener(type, listener, options) {
    super.addEventListener(type, /** @type {EventListener} */ (listener), options);
  }

  /** @param {string} type @param {unknown} detail */
  emit(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }

  // What the kinds of link do.
  silence = SILENCE; // the longest, once established
  opened() {}
  async probe() {} // gets an answer
  /** @param {string | ArrayBuffer} data */
  received(data) {}
  dropped() {}
  /** Whether to connect again after this close. @param {number} code @param {string} reason */
  returns(code, reason) {
    return true;
  }
  /** What to say of a close after which it does not. @param {string} reason @returns {string} */
  refusal(reason) {
    return reason;
  }

  /** Waits until the server has been silent for too long. */
  #listen() {
    const left = this.#heard + this.silence - performance.now();
    if (left > 0) this.#after(left, () => this.#listen());
    else this.#lost(0, "");
  }

  /** @param {number} code @param {string} reason */
  #lost(code, reason) {
    if (!this.#socket) return;
    const established = this.phase === "connected", woken = this.#woken > 0;
    this.#woken = 0; // once
    this.#drop();
    if (!this.returns(code, reason)) {
      this.close();
      return this.emit("refused", this.refusal(reason));
    }
    if (!established && !this.urgent) this.failures++;
    const wait = (established ? askedWait(code, reason) : undefined) ?? (woken ? 0 : backoff(this.failures, Math.random()));
    this.due = performance.now() + wait;
    this.#after(wait, () => this.open());
    this.#enter("waiting");
    if (!established && this.#token !== undefined) void this.#explain();
  }

  /** Ends the tries if the token is refused: a plain request says so, a failed WebSocket does not. */
  async #explain() {
    const address = new URL(/\/sensors\/[^/]+$/.test(this.#url.pathname) ? this.#url : new URL("api/v1/sensors", this.#url));
    address.protocol = address.protocol.replace(/^ws/, "http");
    try {
      const answer = await fetch(address, { headers: { Authorization: `Bearer ${this.#token}` }, cache: "no-store", credentials: "omit", signal: AbortSignal.timeout(OPENING) });
      const words = (await answer.text()).trim();
      if (!REFUSED.includes(answer.status) || this.phase === "connected" || this.phase === "closed") return;
      this.close();
      this.emit("refused", `${answer.status}: ${words.slice(0, 300)}`);
    } catch { /* no answer: the tries go on */ }
  }

  #drop() {
    const socket = this.#socket;
    if (!socket) return;
    this.#socket = undefined;
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close();
    this.dropped();
  }

  /** Replaces the timer; never if ms is infinite. @param {number} ms @param {() => void} then */
  #after(ms, then) {
    clearTimeout(this.#timer);
    if (Number.isFinite(ms)) this.#timer = setTimeout(then, ms);
  }

  /** @param {Phase} phase */
  #enter(phase) {
    if (this.phase === phase) return;
    this.phase = phase;
    this.emit("phase", phase);
  }
}
