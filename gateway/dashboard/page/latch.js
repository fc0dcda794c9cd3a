// @ts-check
// The emergency stop: who pressed it and when, and its reset, which asks once more.
// Latched faults too.

import { find, get, text } from "./dom.js";
import { moment } from "./format.js";
import { message } from "./stop.js";
import { words } from "./words.js";

/** @typedef {import("./gateway.js").Gateway} Gateway */
/** @typedef {import("./gateway.js").MotorState} MotorState */

const ASKED = 10_000; // ms after which a question that nobody answered is withdrawn

/** Why nothing starts, in words; "" if nothing is latched. @param {MotorState[]} motors */
function latchedWords(motors) {
  const latched = motors.filter((m) => m.latched), faults = latched.filter((m) => m.fault);
  const pressed = latched.find((m) => m.reason === "estop") ?? latched.find((m) => !m.fault);
  return [
    pressed && words.latched(pressed.by, moment(pressed.ts * 1000)),
    ...faults.map(({ target, fault = "" }) => words.motorFault(target, fault)),
  ].filter(Boolean).join(" ");
}

/** @param {Gateway} gateway */
export function showLatch(gateway) {
  const bar = get("latched"), reset = get("reset"), question = find(bar, ".question"), error = find(bar, ".error");
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let withdrawn;

  /** @param {boolean} open */
  function ask(open) {
    const focused = bar.contains(document.activeElement);
    clearTimeout(withdrawn);
    if (open) withdrawn = setTimeout(() => ask(false), ASKED);
    question.hidden = !open;
    reset.hidden = open;
    if (focused) (open ? find(question, ".no") : reset).focus();
  }

  function show() {
    const latched = latchedWords([...gateway.motors.values()]);
    if (!latched === bar.hidden && latched === find(bar, "p").textContent) return;
    bar.hidden = !latched;
    text(find(bar, "p"), latched);
    text(error, "");
    if (!latched) ask(false);
  }

  reset.addEventListener("click", () => ask(true));
  find(question, ".no").addEventListener("click", () => ask(false));
  find(question, ".yes").addEventListener("click", async () => {
    ask(false);
    try {
      await gateway.command("reset");
      text(error, "");
    } catch (refused) {
      text(error, words.notReset(message(refused)));
    }
  });
  gateway.addEventListener("motor", show);
  gateway.addEventListener("hello", ({ detail: { motors, you } }) => {
    reset.disabled = !!you.denied;
    find(bar, ".denied").hidden = !you.denied;
    if (!motors.length) show();
  });
}
