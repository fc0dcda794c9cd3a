// @ts-check
// Numbers as people read them.

/** @param {number} n @param {number} digits */
function fixed(n, digits) {
  if (!Number.isFinite(n)) return "–";
  const text = n.toFixed(digits);
  return Number(text) === 0 ? text.replace("-", "") : text.replace("-", "−");
}

/** °C with two decimals. @param {number} celsius */
export const temperature = (celsius) => fixed(celsius, 2);

/** Relative humidity with one decimal. @param {number} percent */
export const humidity = (percent) => fixed(percent, 1);

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
