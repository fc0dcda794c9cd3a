// @ts-check
// A browser and a gateway's messages for tests of gateway.js.

import { test } from "./harness.js";

/** @typedef {import("/page/gateway.js").Gateway} Gateway */

/** @param {string[]} hex @returns {ArrayBuffer} */
export const bytes = (...hex) => Uint8Array.from(hex.join("").match(/../g) ?? [], (byte) => parseInt(byte, 16)).buffer;

/** A browser in which no time passes until a timer is run. */
export class Browser {
  /** @type {any[]} */
  sockets = [];
  /** @type {{id: number, then: () => void, ms: number}[]} */
  timers = [];
  #kept = { fetch: globalThis.fetch, WebSocket: globalThis.WebSocket, setTimeout: globalThis.setTimeout, clearTimeout: globalThis.clearTimeout, setInterval: globalThis.setInterval, clearInterval: globalThis.clearInterval };
  #random = Math.random;
  #ids = 0;
  now = 1000; // ms

  constructor() {
    const browser = this;
    const set = (/** @type {() => void} */ then, /** @type {number} */ ms) => {
      browser.timers.push({ id: ++browser.#ids, then, ms });
      return browser.#ids;
    };
    const clear = (/** @type {number} */ id) => (browser.timers = browser.timers.filter((t) => t.id !== id));
    Object.assign(globalThis, {
      WebSocket: class {
        readyState = 0;
        /** @type {any[]} */
        sent = [];
        /** @param {URL} url @param {string[]} protocols */
        constructor(url, protocols) {
          this.url = String(url);
          this.protocols = protocols;
          browser.sockets.push(this);
        }
        /** @param {string} text */
        send(text) { this.sent.push(JSON.parse(text)); }
        close() { this.readyState = 3; }
      },
      setTimeout: set, clearTimeout: clear, setInterval: set, clearInterval: clear,
    });
    Math.random = () => 0.25;
    performance.now = () => this.now;
  }

  /** Hides the page, or shows it, and says so unless told not to. @param {boolean} is @param {string} [event] */
  hide(is, event = "visibilitychange") {
    Object.defineProperty(document, "hidden", { value: is, configurable: true });
    document.dispatchEvent(new Event(event));
  }

  restore() {
    delete (/** @type {any} */ (document)).hidden; // the browser's own is its prototype's
    Object.assign(globalThis, this.#kept);
    Math.random = this.#random;
    delete (/** @type {any} */ (performance)).now; // likewise
  }

  get socket() { return this.sockets.at(-1); }

  accept() {
    this.socket.readyState = 1;
    this.socket.onopen?.();
  }

  /** @param {any} message */
  say(message) {
    this.socket.onmessage({ data: message instanceof ArrayBuffer ? message : JSON.stringify(message) });
  }

  /** @param {number} code @param {string} reason */
  lose(code = 1006, reason = "") {
    this.socket.onclose({ code, reason });
  }

  /** Runs the newest timer with this wait. @param {number} ms */
  run(ms) {
    const timer = this.timers.findLast((t) => t.ms === ms);
    if (!timer) throw new Error(`no timer of ${ms} ms: ${this.timers.map((t) => t.ms)}`);
    this.timers = this.timers.filter((t) => t !== timer);
    timer.then();
  }

  /** @param {object} over */
  greet(over = {}) {
    this.accept();
    const sensors = [{ id: 2, name: "indoor", model: "SHT3x", interval_ms: 100, next_seq: 300 }];
    this.say({ type: "hello", payload: { server: "gateway", version: "1", epoch: "e", sensors, motors: [{ target: "m", running: false, ts: 1 }], ...over } });
  }
}

/** Lets all promises go on that can. */
export const promises = async () => { for (let i = 0; i < 10; i++) await undefined; };

/** @param {string} name @param {(browser: Browser) => unknown} body */
export const inBrowser = (name, body) => test(name, async () => {
  const browser = new Browser();
  try {
    await body(browser);
  } finally {
    browser.restore();
  }
});

/** @param {Gateway} gateway @returns {string[]} */
export function log(gateway) {
  /** @type {string[]} */
  const lines = [];
  gateway.addEventListener("phase", ({ detail }) => lines.push(detail));
  gateway.addEventListener("hello", ({ detail }) => lines.push(`hello ${detail.epoch}`));
  gateway.addEventListener("readings", ({ detail }) => lines.push(detail.map((/** @type {any} */ r) => `${r.name} ${r.seq}`).join()));
  gateway.addEventListener("motor", ({ detail }) => lines.push(`${detail.target} ${detail.running}`));
  gateway.addEventListener("resumed", ({ detail }) => lines.push(`resumed ${detail.skipped}`));
  return lines;
}

const hex = (/** @type {number} */ n, /** @type {number} */ digits) => n.toString(16).padStart(digits, "0");

/** The bytes of a record. @param {number} seq @param {number} [flags] @param {number} [sensor] */
export const record = (seq, flags = 0, sensor = 2) => bytes(hex(sensor, 4), hex(flags, 2), "00", hex(seq, 8), "41a0000042480000", "0000000000000000");
