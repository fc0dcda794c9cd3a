// @ts-check
// STOP ALL: an emergency stop, latched until it is reset, so that no script starts a
// motor again a second later. It can always be pressed.

import { get, mark, text } from "./dom.js";
import { words } from "./words.js";

/** @typedef {import("./gateway.js").Gateway} Gateway */

const TRIES = 10_000; // ms
const TWICE = 1_000; // ms between two Escapes

/** A refusal, or that nobody was there to refuse, in words. @param {any} error */
export const message = (error) => (error.code === 0 ? words.notThrough(words.unsent(error.message)) : error.message);

/** @param {Gateway} gateway */
export function stopAll(gateway) {
  const button = get("stop-all"), alert = get("stop-alert");
  let pressed = -Infinity, presses = 0;

  async function stop() {
    const press = ++presses, end = performance.now() + TRIES;
    const say = (/** @type {string} */ state, /** @type {string} */ what) => {
      if (press !== presses) return; // a later press shows its own state
      mark(button, "state", state);
      mark(alert, "state", state);
      text(alert, what);
    };
    say("trying", words.stopping);
    const ticking = setInterval(() => {
      if (gateway.phase !== "connected") say("trying", words.tryingToStop(Math.ceil((end - performance.now()) / 1000)));
    }, 1000);
    try {
      const { kept } = await gateway.estop(TRIES);
      say("done", kept === false ? words.stopNotKept : ""); // latch.js says the rest
    } catch (error) {
      const code = /** @type {any} */ (error).code;
      say("failed", words.stopFailed(code ? message(error) : words.noAnswerFor10s));
    } finally {
      clearInterval(ticking);
    }
  }

  gateway.addEventListener("hello", ({ detail }) => (button.hidden = !detail.motors.length));
  button.addEventListener("click", stop);
  window.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || event.repeat) return;
    const now = performance.now();
    if (now - pressed <= TWICE) {
      pressed = -Infinity;
      stop();
    } else pressed = now;
  });
  // After a reset the alert is removed.
  gateway.addEventListener("motor", ({ detail }) => {
    if (!detail.latched && alert.dataset.state === "done") {
      mark(alert, "state", "");
      mark(button, "state", "");
      text(alert, "");
    }
  });
}
