// @ts-check
// Numbers as people read them.

/** @param {number} n @param {number} digits */
function fixed(n, digits) {
  if (!Number.isFinite(n)) return "–";
  const text = n.toFixed(digits);
  return Number(text) === 0 ? text.replace("-", "") : text.replace("-", "−");
}

/** @type {Record<string, number>} decimals of a quantity where they are not two */
const DECIMALS = { humidity: 1, co2: 0 };

/** A value of a quantity. @param {string} quantity @param {number} value */
export const measured = (quantity, value) => fixed(value, DECIMALS[quantity] ?? 2);

/** °C with two decimals. @param {number} celsius */
export const temperature = (celsius) => fixed(celsius, 2);

/** Relative humidity with one decimal. @param {number} percent */
export const humidity = (percent) => fixed(percent, 1);

/** A part of a whole in percent. @param {number} part 0…1 */
export const percent = (part) => `${Math.round(part * 100)} %`;

/** A whole number with its thousands apart. @param {number} n */
export const count = (n) => n.toLocaleString("en");

/**
 * A time that has passed, as precisely as it matters: "94 ms", "3.2 s",
 * "4 min", "2 h 5 min", "3 d 7 h". Rounded down.
 * @param {number} ms
 */
export function age(ms) {
  if (ms < 1000) return `${Math.max(0, Math.floor(ms))} ms`;
  if (ms < 60_000) return `${(Math.floor(ms / 100) / 10).toFixed(1)} s`;
  const minutes = Math.floor(ms / 60_000);
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return `${hours} h ${minutes % 60} min`;
  return `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

/** A time still to wait: "4 s", "4 min 10 s". Rounded up. @param {number} ms */
export function wait(ms) {
  const seconds = Math.max(0, Math.ceil(ms / 1000));
  return seconds < 60 ? `${seconds} s` : `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
}

/** How fast a temperature changes, "↗ +0.30 °C/min". @param {number} perMinute °C */
export function trend(perMinute) {
  if (!Number.isFinite(perMinute)) return "";
  if (Math.abs(perMinute) < 0.05) return "→ steady";
  return `${perMinute > 0 ? "↗ +" : "↘ "}${fixed(perMinute, 2)} °C/min`;
}

/** A moment: the time of day, and the day if it is another one. @param {number} time Unix ms @param {number} [now] */
export function moment(time, now = Date.now()) {
  const today = new Date(time).toDateString() === new Date(now).toDateString();
  return (today ? "" : `${new Date(time).toLocaleDateString(undefined, { day: "numeric", month: "short", year: "numeric" })}, `) + clock(time);
}

/** A time of day. @param {number} time Unix ms */
export const clock = (time) => new Date(time).toLocaleTimeString(undefined, { hourCycle: "h23", hour: "2-digit", minute: "2-digit", second: "2-digit" });
