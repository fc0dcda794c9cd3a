// @ts-check
// One WebSocket to the gateway, opened again whenever it is lost.

import { SUBPROTOCOL, decode } from "./readings.js";
import { patience } from "./track.js";

/** @typedef {import("./readings.js").Reading} Reading */
/** @typedef {import("./track.js").Info} Info */
/** @typedef {{server: string, version: string, epoch: string, simulated: boolean, clock_synced: boolean, sensors: Info[]}} Hello */
/** @typedef {"connecting" | "connected" | "waiting"} Phase */

const OPENING = 10_000; // ms for the handshake and hello
const LONGEST = 60_000; // ms between two tries
const CIRCUIT_TRIES = 10, CIRCUIT_PAUSE = 5 * 60_000;
const SERVICE_RESTART = 1012;

/**
 * How long to wait before the next try, in ms.
 * @param {number} failures tries that failed in a row; 0 when a connection was lost
 * @param {number} random 0…1, spreads clients that lost the server together
 */
export function pause(failures, random) {
  if (failures >= CIRCUIT_TRIES) return CIRCUIT_PAUSE;
  return Math.min((2 ** failures + random) * 1000, LONGEST);
}

/**
 * The wait that a restarting server asks for, in ms.
 * @param {number} code @param {string} reason of the close
 * @returns {number | undefined}
 */
export function asked(code, reason) {
  const match = code === SERVICE_RESTART && /\bretry_ms=(\d+)/.exec(reason);
  return match ? Math.min(Number(match[1]), LONGEST) : undefined;
}

export class Link {
  /** @type {Phase} */
  phase = "connecting";
  failures = 0;
  /** When the next try is due, on performance.now(). */
  due = 0;

  /** @type {WebSocket | undefined} */
  #socket;
  /** @type {ReturnType<typeof setTimeout> | undefined} the handshake's, the silence's or the pause's, one at a time */
  #timer;
  #silence = OPENING;
  #url;
  #on;

  /**
   * @param {string | URL} url
   * @param {object} on what is told to whom
   * @param {(hello: Hello) => void} on.hello
   * @param {(readings: Reading[]) => void} on.readings
   * @param {() => void} on.phase
   */
  constructor(url, on) {
    this.#url = url;
    this.#on = on;
  }

  /** Tries now, unless it is connected or trying. */
  open() {
    if (this.#socket) return;
    const socket = new WebSocket(this.#url, SUBPROTOCOL);
    socket.binaryType = "arraybuffer";
    socket.onmessage = (event) => this.#receive(event.data);
    socket.onclose = (event) => this.#lost(asked(event.code, event.reason));
    this.#socket = socket;
    this.#after(OPENING, () => this.#lost());
    this.#enter("connecting");
  }

  /** @param {string | ArrayBuffer} data */
  #receive(data) {
    if (typeof data === "string") this.#text(JSON.parse(data));
    else if (this.phase === "connected") this.#on.readings(decode(data));
    if (this.phase === "connected") this.#after(this.#silence, () => this.#lost());
  }

  /** @param {{type: string, payload: any}} message */
  #text({ type, payload }) {
    if (type !== "hello") return;
    this.failures = 0;
    // A gateway says something each tick, if only that a sensor failed, and a
    // browser is not told of a peer that vanished: long silence means that.
    const intervals = payload.sensors.map((/** @type {Info} */ s) => s.interval_ms);
    this.#silence = 5000 + patience(Math.min(...intervals));
    this.#on.hello(payload);
    this.#enter("connected");
  }

  /** @param {number} [retry] ms that the server asked to wait */
  #lost(retry) {
    const socket = this.#socket;
    if (!socket) return;
    this.#socket = undefined;
    socket.onmessage = socket.onclose = null;
    socket.close();
    const wasConnected = this.phase === "connected";
    if (!wasConnected) this.failures++;
    const wait = (wasConnected ? retry : undefined) ?? pause(this.failures, Math.random());
    this.due = performance.now() + wait;
    this.#after(wait, () => this.open());
    this.#enter("waiting");
  }

  /** Replaces the timer; never calls back if ms is infinite. @param {number} ms @param {() => void} then */
  #after(ms, then) {
    clearTimeout(this.#timer);
    this.#timer = Number.isFinite(ms) ? setTimeout(then, ms) : undefined;
  }

  /** @param {Phase} phase */
  #enter(phase) {
    this.phase = phase;
    this.#on.phase();
  }
}
