// @ts-check
// Numbers as people read them.

import { shownDifference, shownUnit, shownValue } from "./units.js";
import { words } from "./words.js";

/** The locale of numbers and dates: the browser's own, unless the page speaks another of its languages. */
export const locale = document.documentElement.dataset.language;

/** @type {Intl.NumberFormat[]} by decimals: making one takes much longer than using it */
const formats = [];

/** @param {number} n @param {number} digits */
export function fixed(n, digits) {
  if (!Number.isFinite(n)) return "–";
  formats[digits] ??= new Intl.NumberFormat(locale, { minimumFractionDigits: digits, maximumFractionDigits: digits, useGrouping: false, signDisplay: /** @type {any} */ ("negative") });
  return formats[digits].format(n).replace("-", "−");
}

/**
 * How a quantity is shown: its decimals, the least height of its chart, which
 * keeps noise small, and the change a minute up to which it is steady.
 * @type {Record<string, {decimals: number, least: number, steady: number}>}
 */
const QUANTITIES = {
  temperature: { decimals: 2, least: 0.5, steady: 0.05 },
  humidity: { decimals: 1, least: 1, steady: 0.3 },
  pressure: { decimals: 2, least: 0.5, steady: 0.05 },
  co2: { decimals: 0, least: 20, steady: 10 },
  dew_point: { decimals: 1, least: 0.5, steady: 0.05 },
  absolute_humidity: { decimals: 1, least: 0.5, steady: 0.05 },
};

/** How a quantity is shown, one that is not known here too. @param {string} quantity */
export const shownAs = (quantity) => ({ name: words.quantities[quantity] ?? quantity, ...(QUANTITIES[quantity] ?? { decimals: 2, least: 0, steady: 0.05 }) });

/** A value of a quantity, without its unit. @param {{quantity: string, unit: string}} of @param {number} value */
export const measured = ({ quantity, unit }, value) => fixed(shownValue(unit, value), shownAs(quantity).decimals);

/** The same with its unit, unless there is none. @param {{quantity: string, unit: string}} of @param {number} value */
export const inUnit = (of, value) => (Number.isFinite(value) ? `${measured(of, value)} ${shownUnit(of.unit)}` : "–");

/** @param {number} part 0…1 */
export const percent = (part) => words.percent(fixed(part * 100, 0));

/** @param {number} n */
export const count = (n) => n.toLocaleString(locale);

/**
 * A time that has passed, as precisely as it matters: "94 ms", "3.2 s",
 * "4 min", "2 h 5 min", "3 d 7 h". Rounded down.
 * @param {number} ms @param {number} [digits] of seconds
 */
export function age(ms, digits = 1) {
  const { units } = words, power = 10 ** digits;
  if (ms < 1000) return `${Math.max(0, Math.floor(ms))} ${units.ms}`;
  if (ms < 60_000) return `${fixed(Math.floor((ms / 1000) * power) / power, digits)} ${units.s}`;
  const minutes = Math.floor(ms / 60_000);
  if (minutes < 60) return `${minutes} ${units.min}`;
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return `${hours} ${units.h} ${minutes % 60} ${units.min}`;
  return `${Math.floor(hours / 24)} ${units.d} ${hours % 24} ${units.h}`;
}

/** A time still to wait: "4 s", "4 min 10 s". Rounded up. @param {number} ms */
export function wait(ms) {
  const seconds = Math.max(0, Math.ceil(ms / 1000));
  const { units } = words;
  return seconds < 60 ? `${seconds} ${units.s}` : `${Math.floor(seconds / 60)} ${units.min} ${seconds % 60} ${units.s}`;
}

/** How fast a value changes, "↗ +0.30 °C/min". @param {{quantity: string, unit: string}} of @param {number} perMinute */
export function trend({ quantity, unit }, perMinute) {
  const { decimals, steady } = shownAs(quantity);
  if (!Number.isFinite(perMinute)) return "";
  if (Math.abs(perMinute) < steady) return `→ ${words.steady}`;
  return words.perMinute(`${perMinute > 0 ? "↗ +" : "↘ "}${fixed(shownDifference(unit, perMinute), decimals)} ${shownUnit(unit)}`);
}

/** A moment: the time of day, and the day if it is another one. @param {number} time Unix ms @param {number} [now] */
export function moment(time, now = Date.now()) {
  const today = new Date(time).toDateString() === new Date(now).toDateString();
  return (today ? "" : `${new Date(time).toLocaleDateString(locale, { day: "numeric", month: "short", year: "numeric" })}, `) + clock(time);
}

/** @param {number} time Unix ms */
export const clock = (time) => new Date(time).toLocaleTimeString(locale, { hourCycle: "h23", hour: "2-digit", minute: "2-digit", second: "2-digit" });
