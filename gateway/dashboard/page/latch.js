// @ts-check
// The emergency stop as everybody sees it, whoever pressed it, also after a reload: who
// it was and when, and the reset, which asks once more. It shows latched faults too.

import { find, get, text } from "./dom.js";
import { moment } from "./format.js";
import { message } from "./stop.js";

/** @typedef {import("./gateway.js").Gateway} Gateway */
/** @typedef {import("./gateway.js").MotorState} MotorState */

const ASKED = 10_000; // ms after which a question that nobody answered is withdrawn

/** Why nothing starts, in words; "" if nothing is latched. @param {MotorState[]} motors */
export function latchedWords(motors) {
  const latched = motors.filter((m) => m.latched), faults = latched.filter((m) => m.fault);
  const pressed = latched.find((m) => m.reason === "estop") ?? latched.find((m) => !m.fault);
  return [
    pressed && `Emergency stop${pressed.by && ` by ${pressed.by}`}, ${moment(pressed.ts * 1000)}. All motors stay off until it is reset.`,
    ...faults.map(({ target, fault }) => `Fault of ${target}: ${fault}. It stays off until a reset.`),
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
    const words = latchedWords([...gateway.motors.values()]);
    if (!words === bar.hidden && words === find(bar, "p").textContent) return;
    bar.hidden = !words;
    text(find(bar, "p"), words);
    text(error, "");
    if (!words) ask(false);
  }

  reset.addEventListener("click", () => ask(true));
  find(question, ".no").addEventListener("click", () => ask(false));
  find(question, ".yes").addEventListener("click", async () => {
    ask(false);
    try {
      await gateway.command("reset");
      text(error, "");
    } catch (refused) {
      text(error, `Not reset: ${message(refused)}`);
    }
  });
  gateway.addEventListener("motor", show);
  gateway.addEventListener("hello", ({ detail: { motors, you } }) => {
    reset.disabled = !!you.denied;
    find(bar, ".denied").hidden = !you.denied;
    if (!motors.length) show();
  });
}
