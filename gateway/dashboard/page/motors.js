// @ts-check
// The motors: what they do, as the gateway acknowledged it (nothing is assumed
// before), which interlocks block a start, who holds them and why they stopped.

import { Control } from "./control.js";
import { copy, find, get, mark, press, text } from "./dom.js";
import { percent } from "./format.js";
import { message } from "./stop.js";
import { shownCondition } from "./units.js";
import { words } from "./words.js";

/** @typedef {import("./gateway.js").Gateway} Gateway */
/** @typedef {import("./gateway.js").MotorState} MotorState */

const LEASE = 2000; // ms
const FORBIDDEN = 403;
const POLL = 2000; // ms between two polls of the interlocks
const MANY = 3; // interlocks; more are folded
const SETTLED = 150; // ms without a move of the slider, after which its value is sent

/** @param {MotorState} state */
export function why({ running, reason, by }) {
  if (reason === "command") return running ? words.startedBy(by) : words.stoppedBy(by);
  if (reason.startsWith("interlock:")) return words.byInterlock(shownCondition(reason.slice("interlock:".length)));
  return words.reasonBy(words.reasons[reason] ?? reason, by);
}

/** What a motor does. @param {MotorState} state */
export const does = ({ running, speed, direction, reversible }) => (running ? words.running(percent(speed), reversible && words.directions[direction] || undefined) : words.off);

export class Motors {
  /** @type {Map<string, Motor>} */
  #motors = new Map();
  #gateway;

  /** @param {Gateway} gateway */
  constructor(gateway) {
    this.#gateway = gateway;
    gateway.addEventListener("hello", ({ detail }) => this.#begin(detail));
    gateway.addEventListener("motor", ({ detail }) => this.#show(detail));
    gateway.addEventListener("event", ({ detail }) => {
      if (detail.kind === "control") this.#motors.get(detail.target)?.control.event(detail);
    });
    gateway.addEventListener("phase", () => this.#motors.forEach((motor) => motor.show()));
    document.addEventListener("units", () => this.#motors.forEach((motor) => motor.show()));
    document.addEventListener("visibilitychange", () => {
      if (!document.hidden) this.#poll();
    });
    setInterval(() => this.#poll(), POLL);
    if (gateway.hello) this.#begin(gateway.hello); // it was quicker than this part of the page
  }

  /** @param {import("./gateway.js").Hello} hello */
  #begin({ motors: states, you }) {
    get("motors-section").hidden = !states.length;
    if (states.map((s) => s.target).join() !== [...this.#motors.keys()].join()) {
      const deny = (/** @type {string} */ reason) => this.#deny(reason);
      this.#motors = new Map(states.map((state) => [state.target, new Motor(this.#gateway, state, deny)]));
      get("motors").replaceChildren(...[...this.#motors.values()].map(({ element }) => element));
    }
    this.#motors.forEach(({ control }) => control.begin());
    this.#deny(you.denied ?? "");
  }

  /** Disables what starts and changes motors, until the next hello; whoever may connect may stop. @param {string} reason "" if there is none */
  #deny(reason) {
    text(get("denied"), reason && words.stopOnly(reason));
    this.#motors.forEach((motor) => {
      motor.denied = reason !== "";
      motor.show();
    });
  }

  /** Asks for the state of the interlocks, while the page can be seen. */
  #poll() {
    if (document.hidden || this.#gateway.phase !== "connected") return;
    const some = [...this.#gateway.motors.values()].some(({ interlocks }) => interlocks);
    if (some) this.#gateway.look().catch(() => {}); // a lost connection shows elsewhere
  }

  /** @param {MotorState} state */
  #show(state) {
    this.#motors.get(state.target)?.show(state);
  }
}

class Motor {
  denied = false; // this page may not start it
  #gateway;
  #deny;
  #state;
  #busy = false;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #moved;

  /** @param {Gateway} gateway @param {MotorState} state @param {(reason: string) => void} deny called if the gateway takes no such command from this page */
  constructor(gateway, state, deny) {
    this.#gateway = gateway;
    this.#deny = deny;
    this.#state = state;
    const element = (this.element = copy("motor"));
    this.control = new Control(gateway, state.target);
    element.append(this.control.element);
    element.addEventListener("change", () => this.show());
    const part = (/** @type {string} */ selector) => find(element, selector);
    const name = state.target;
    text(part("h3"), name);
    text(part("legend"), words.howRuns(name));
    part(".interlocks").setAttribute("aria-label", words.interlocksOf(name));
    part(".start").setAttribute("aria-label", words.start(name));
    part(".stop").setAttribute("aria-label", words.stop(name));
    part("input").setAttribute("aria-label", words.speedOf(name));
    part(".direction").setAttribute("aria-label", words.directionOf(name));
    text(part("output"), percent(this.#speed));
    part(".start").addEventListener("click", () => this.#do(() => gateway.hold(name, this.#wanted(), LEASE)));
    part(".stop").addEventListener("click", () => this.#do(() => gateway.command("stop", name)));
    part("input").addEventListener("input", () => {
      text(part("output"), percent(this.#speed));
      clearTimeout(this.#moved);
      this.#moved = setTimeout(() => this.#set({ speed: this.#speed }), SETTLED);
    });
    part(".direction").addEventListener("click", (/** @type {any} */ { target }) => {
      const { direction } = target.dataset;
      if (!direction) return;
      press(part(".direction"), (button) => button === target);
      this.#set({ direction });
    });
    this.show();
  }

  get #speed() {
    return Number(find(this.element, "input").value) / 100;
  }

  /** The parameters that the visible controls are set to. */
  #wanted() {
    const { reversible, proportional } = this.#state, { direction } = find(this.element, ".direction [aria-pressed=true]").dataset;
    return { ...(proportional && { speed: this.#speed }), ...(reversible && { direction }) };
  }

  /** @param {{speed?: number, direction?: "forward" | "reverse"}} change */
  #set(change) {
    if (this.#state.running && !document.hidden) this.#do(() => this.#gateway.command("set", this.#state.target, change));
  }

  /** @param {() => Promise<unknown>} command */
  async #do(command) {
    const error = find(this.element, ".error");
    this.#busy = true;
    this.show();
    try {
      await command();
      text(error, "");
    } catch (/** @type {any} */ refused) {
      if (refused.code === FORBIDDEN) this.#deny(refused.message);
      else text(error, message(refused));
    }
    this.#busy = false;
    this.show();
  }

  /** @param {MotorState} [state] */
  show(state = this.#state) {
    this.#state = state;
    const part = (/** @type {string} */ selector) => find(this.element, selector);
    const connected = this.#gateway.phase === "connected", mine = this.#gateway.holds(state.target);
    if (mark(this.element, "running", String(connected ? state.running : "unknown")) && state.running) text(part(".error"), "");
    text(part(".state"), connected ? does(state) : words.unknownNow);
    const holder = state.holder ? words.heldBy(mine ? words.thisPage : state.holder) : "";
    text(part(".why"), why(state) + holder);
    this.control.show(state, connected && !this.denied);
    part(".start").disabled = !connected || state.running || !!state.latched || this.#busy || this.denied || this.control.others;
    part("fieldset").disabled = this.denied || this.control.others;
    part(".speed").hidden = !state.proportional;
    part(".direction").hidden = !state.reversible;
    part("fieldset").hidden = !state.proportional && !state.reversible;
    showInterlocks(part(".fold"), state.interlocks ?? [], connected);
    this.element.setAttribute("aria-busy", String(this.#busy));
  }
}

/**
 * Shows which interlocks hold; where there are many, behind a line that says it in all.
 * @param {any} fold @param {{condition: string, holds: boolean}[]} interlocks @param {boolean} connected
 */
function showInterlocks(fold, interlocks, connected) {
  const list = find(fold, "ul"), blocking = interlocks.filter(({ holds }) => !holds).map(({ condition }) => shownCondition(condition));
  fold.hidden = !interlocks.length;
  const many = String(interlocks.length > MANY);
  if (mark(fold, "many", many)) fold.open = many === "false";
  mark(fold, "holds", connected ? String(!blocking.length) : "unknown");
  text(find(fold, "summary"), words.interlocks(interlocks.length, !connected ? words.unknownNow : blocking.length ? words.blocking(blocking.join(", "), blocking.length) : words.allHold));
  while (list.children.length > interlocks.length) list.lastElementChild?.remove();
  while (list.children.length < interlocks.length) list.append(copy("interlock"));
  interlocks.forEach(({ condition, holds }, i) => {
    const item = /** @type {HTMLElement} */ (list.children[i]);
    mark(item, "holds", connected ? String(holds) : "unknown");
    text(find(item, ".condition"), shownCondition(condition));
    text(find(item, ".holds"), !connected ? words.unknownNow : holds ? words.holds : words.doesNotHold);
  });
}
