// @ts-check
// Control of a motor: who has it, who requests it, and what who is asked answers.

import { copy, find, text } from "./dom.js";
import { moment, wait } from "./format.js";
import { message } from "./stop.js";
import { words } from "./words.js";

/** @typedef {import("./gateway.js").Gateway} Gateway */
/** @typedef {import("./gateway.js").MotorState} MotorState */

/** What became of the control of a motor, in words. @param {any} event */
export function controlWords({ action, by, from, to, holder, reason }) {
  const lost = reason === "disconnect" ? words.gone(by) : reason === "revoked" ? words.mayNoLonger(by) : "";
  if (action === "request") return words.requests(by, holder);
  if (action === "grant") return words.granted(to, reason === "timeout" ? words.didNotAnswer(from) : lost);
  if (action === "deny") return reason === "timeout" ? words.nobodyAnswered(to) : words.denied(by, to);
  return from ? words.nobodyHas(lost || words.released(from)) : words.withdrew(by, lost);
}

export class Control {
  #gateway;
  #name;
  #me = ""; // as others see who this is; "" while that is not known
  #ends = 0; // when the time for the answer is up, on performance.now()
  /** @type {ReturnType<typeof setInterval> | undefined} */
  #ticks;
  /** @type {MotorState | undefined} */
  #state;
  #able = false;

  /** @param {Gateway} gateway @param {string} name of the motor */
  constructor(gateway, name) {
    this.#gateway = gateway;
    this.#name = name;
    this.element = copy("control");
    for (const action of ["grant", "deny"]) {
      const button = find(this.element, `.${action}`);
      button.setAttribute("aria-label", action === "grant" ? words.grantOf(name) : words.denyOf(name));
      button.addEventListener("click", () => this.#send(action));
    }
    find(this.element, ".ask").addEventListener("click", () => this.#send(this.#has || this.#waits ? "release" : "request"));
  }

  get #has() {
    return this.#me !== "" && this.#state?.control?.by === this.#me;
  }

  get #waits() {
    return this.#me !== "" && this.#state?.control_request?.by === this.#me;
  }

  /** Whether somebody else has it, so that this page may not start the motor. */
  get others() {
    return !!this.#state?.control && !this.#has;
  }

  /** @param {string} action */
  async #send(action) {
    const error = find(this.element, ".error");
    try {
      const { state, pending } = await this.#gateway.control(action, this.#name);
      // Who has no name is known by the address, which only the gateway knows.
      if (action === "request" && state) this.#me = (pending ? state.control_request?.by : state.control?.by) ?? "";
      text(error, "");
      this.show();
      this.element.dispatchEvent(new Event("change", { bubbles: true }));
    } catch (/** @type {any} */ refused) {
      text(error, message(refused));
    }
  }

  /** Another connection: who is known by its address is somebody else now. */
  begin() {
    this.#me = this.#gateway.hello?.you.name ?? "";
  }

  /** @param {any} event of this motor's control */
  event({ action, timeout_ms = 0 }) {
    if (action === "request") this.#ends = performance.now() + timeout_ms;
  }

  /** @param {MotorState} [state] @param {boolean} [able] whether this page may command */
  show(state = this.#state, able = this.#able) {
    this.#state = state;
    this.#able = able;
    const part = (/** @type {string} */ selector) => find(this.element, selector), known = this.#gateway.phase === "connected";
    const { control, control_request: request } = (known && state) || /** @type {Partial<MotorState>} */ ({});
    // Who holds the motor by a lease is asked too.
    const asked = able && !!request && (this.#has || !control && this.#gateway.holds(this.#name));
    text(part(".who"), [
      control && (this.#has ? words.youHave(moment(control.since * 1000)) : words.has(control.by, moment(control.since * 1000))),
      request && !asked && (this.#waits ? words.youWait : words.waits(request.by)),
    ].filter(Boolean).join(" "));
    const ask = part(".ask"), label = this.#has ? words.releaseControl : this.#waits ? words.withdrawRequest : words.requestControl;
    text(ask, label);
    ask.setAttribute("aria-label", words.controlOf(label, this.#name));
    ask.disabled = !able || !!request && !this.#has && !this.#waits;
    text(part(".asking"), asked ? words.asks(request.by, this.#name) : "");
    part(".answer").hidden = !asked;
    this.#tick(asked);
  }

  /** Shows the time that is left for the answer. @param {boolean} asked */
  #tick(asked) {
    const left = () => text(find(this.element, ".left"), asked ? words.left(wait(this.#ends - performance.now())) : "");
    clearInterval(this.#ticks);
    left();
    if (asked) this.#ticks = setInterval(left, 1000);
  }
}
