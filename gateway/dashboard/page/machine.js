// @ts-check
// The numbers of the gateway's machine, while somebody looks at them.

import { find, get, text } from "./dom.js";
import { age, fixed, inUnit, percent } from "./format.js";
import { Link } from "./link.js";
import { words } from "./words.js";

/**
 * What a machine can say of itself; what it cannot is left out.
 * @typedef {{cpu_ratio?: number, load1?: number, cpu_temperature_celsius?: number, memory_total_bytes?: number, memory_available_bytes?: number,
 *   network_receive_bytes_per_second?: number, network_transmit_bytes_per_second?: number, disk_free_bytes?: number, uptime_seconds?: number,
 *   machine_age_seconds?: number | null, machine_reason?: string}} Numbers the last two are a hub's; null: it has none
 */

const SILENCE = 5_000; // ms; a message comes each second
const TEMPERATURE = { quantity: "temperature", unit: "°C" };

/** The metrics of a gateway. Events: `phase`; `metrics` Numbers. */
class Metrics extends Link {
  silence = SILENCE;

  /** @param {any} data */
  received(data) {
    const { type, payload } = JSON.parse(data);
    if (type !== "metrics") return;
    if (this.phase === "connecting") this.established();
    this.emit("metrics", payload);
  }
}

/** An amount of data, with three digits. @param {number} n */
export function bytes(n) {
  const units = ["B", "kB", "MB", "GB", "TB"], power = Math.min(Math.max(Math.floor(Math.log10(Math.max(n, 1)) / 3), 0), units.length - 1), value = n / 1000 ** power;
  return `${fixed(value, power && value < 100 ? 1 : 0)} ${units[power]}`;
}

/** What each row of the panel says. @param {Numbers} m @returns {Record<string, string>} */
export function machineFacts(m) {
  const none = m.machine_age_seconds === null; // nobody can say what the machine has
  /** @param {(number | undefined)[]} of @param {(...values: number[]) => string} say @param {string} [otherwise] */
  const known = (of, say, otherwise = words.notKnown) => (none ? "–" : of.some((value) => value === undefined) ? otherwise : say(.../** @type {number[]} */ (of)));
  return {
    cpu: known([m.cpu_ratio], percent),
    temperature: known([m.cpu_temperature_celsius], (t) => inUnit(TEMPERATURE, t), words.noThermometer),
    memory: known([m.memory_total_bytes, m.memory_available_bytes], (all, free) => words.usedOf(bytes(all - free), bytes(all))),
    network: known([m.network_receive_bytes_per_second, m.network_transmit_bytes_per_second], (received, sent) => words.network(`${bytes(received)}/s`, `${bytes(sent)}/s`)),
    disk: known([m.disk_free_bytes], bytes),
    uptime: known([m.uptime_seconds], (seconds) => age(seconds * 1000)),
  };
}

/** How old a hub's numbers are, and why it has no later ones. @param {Numbers} m */
export const machineState = ({ machine_age_seconds: seconds, machine_reason: why }) =>
  [typeof seconds !== "number" ? "" : words.ago(age(seconds * 1000, 0)), why].filter(Boolean).join(" · ");

/** @param {import("./gateway.js").Gateway} gateway @param {URL} base */
export function showMachine(gateway, base) {
  const fold = get("machine-fold"), metrics = new Metrics(new URL("metrics", base), []);
  metrics.addEventListener("metrics", ({ detail }) => {
    for (const [row, said] of Object.entries(machineFacts(detail))) text(find(fold, `[data-of=${row}]`), said);
    text(get("machine-state"), machineState(detail));
  });
  metrics.addEventListener("phase", ({ detail }) => text(get("machine-state"), fold.open && detail === "waiting" ? words.reconnecting : ""));
  const attend = () => (fold.open && !document.hidden ? metrics.open() : metrics.close());
  fold.addEventListener("toggle", attend);
  document.addEventListener("visibilitychange", attend);
  window.addEventListener("pagehide", () => metrics.close());
  gateway.addEventListener("hello", attend); // it answers again: there is nothing to wait for
  attend(); // it may have been opened before this part of the page came
}
