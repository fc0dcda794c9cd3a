// @ts-check
// STOP ALL: an emergency stop, latched until it is reset, so that no script starts a
// motor again a second later. It can always be pressed. Without a connection it tries
// for ten seconds, then says that it did not get through; nothing is sent after that.

import { get, mark, text } from "./dom.js";

/** @typedef {import("./gateway.js").Gateway} Gateway */

const TRIES = 10_000; // ms
const TWICE = 1_000; // ms between two Escapes

/** A refusal, or that nobody was there to refuse, in words. @param {any} error */
export const message = (error) => (error.code === 0 ? `Did not get through: ${error.message}` : error.message);

/** @param {Gateway} gateway */
export function stopAll(gateway) {
  const button = get("stop-all"), alert = get("stop-alert");
  let pressed = -Infinity, presses = 0;

  async function stop() {
    const press = ++presses, end = performance.now() + TRIES;
    const say = (/** @type {string} */ state, /** @type {string} */ words) => {
      if (press !== presses) return; // a later press shows its own state
      mark(button, "state", state);
      mark(alert, "state", state);
      text(alert, words);
    };
    say("trying", "Stopping all motors …");
    const ticking = setInterval(() => {
      if (gateway.phase !== "connected") say("trying", `No connection. Trying to stop for ${Math.ceil((end - performance.now()) / 1000)} s more.`);
    }, 1000);
    try {
      const { kept } = await gateway.estop(TRIES);
      say("done", kept === false ? "All motors are stopped, but this is not stored yet: the gateway would forget it in a restart." : ""); // latch.js says the rest
    } catch (error) {
      const code = /** @type {any} */ (error).code;
      say("failed", `STOP DID NOT GET THROUGH: ${code ? message(error) : "no answer for 10 s"}. Use the stop at the machine. Nothing will be sent later.`);
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
