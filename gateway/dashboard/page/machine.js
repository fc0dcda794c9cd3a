// @ts-check
// The machine that the gateway runs on: its processor, memory, network and temperature,
// once a second, while somebody looks. While the panel is folded or the page hidden there
// is no connection for it. A hub does not know the machine of a gateway that it shows: there
// the panel is hidden.

import { find, get, text } from "./dom.js";
import { age, fixed, inUnit, percent } from "./format.js";
import { Link } from "./link.js";
import { words } from "./words.js";

/**
 * What a machine can say of itself; what it cannot is left out.
 * @typedef {{cpu_ratio?: number, load1?: number, cpu_temperature_celsius?: number, memory_total_bytes?: number, memory_available_bytes?: number,
 *   network_receive_bytes_per_second?: number, network_transmit_bytes_per_second?: number, disk_free_bytes?: number, uptime_seconds?: number}} Numbers
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
  /** @param {(number | undefined)[]} of @param {(...values: number[]) => string} say @param {string} [otherwise] */
  const known = (of, say, otherwise = words.notKnown) => (of.some((value) => value === undefined) ? otherwise : say(.../** @type {number[]} */ (of)));
  return {
    cpu: known([m.cpu_ratio], percent),
    temperature: known([m.cpu_temperature_celsius], (t) => inUnit(TEMPERATURE, t), words.noThermometer),
    memory: known([m.memory_total_bytes, m.memory_available_bytes], (all, free) => words.usedOf(bytes(all - free), bytes(all))),
    network: known([m.network_receive_bytes_per_second, m.network_transmit_bytes_per_second], (received, sent) => words.network(`${bytes(received)}/s`, `${bytes(sent)}/s`)),
    disk: known([m.disk_free_bytes], bytes),
    uptime: known([m.uptime_seconds], (seconds) => age(seconds * 1000)),
  };
}

/** @param {import("./gateway.js").Gateway} gateway @param {URL} base */
export function showMachine(gateway, base) {
  const fold = get("machine-fold"), metrics = new Metrics(new URL("metrics", base), []);
  metrics.addEventListener("metrics", ({ detail }) => {
    for (const [row, said] of Object.entries(machineFacts(detail))) text(find(fold, `[data-of=${row}]`), said);
  });
  metrics.addEventListener("phase", ({ detail }) => text(get("machine-state"), fold.open && detail === "waiting" ? words.reconnecting : ""));
  const attend = () => (fold.open && !document.hidden && !gateway.hello?.hub ? metrics.open() : metrics.close());
  const greet = () => {
    find(document.body, ".machine").hidden = !!gateway.hello?.hub;
    attend();
  };
  fold.addEventListener("toggle", attend);
  document.addEventListener("visibilitychange", attend);
  window.addEventListener("pagehide", () => metrics.close());
  gateway.addEventListener("hello", greet);
  greet(); // it may have been opened before this part of the page came
}
