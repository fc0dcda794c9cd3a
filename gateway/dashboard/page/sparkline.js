// @ts-check
// The last minute as SVG paths in a box of 600 by 100, now near its right edge.

import { MINUTE } from "./track.js";

/** @typedef {import("./track.js").Point} Point */

const WIDTH = 592, TOP = 6, BOTTOM = 82; // the marks of failures stand below
const LEAST_SPAN = 0.5; // °C over the whole height: noise stays small

/**
 * @param {Point[]} points oldest first
 * @param {number} now
 */
export function sparkline(points, now) {
  const values = points.map((p) => p.temperature).filter(Number.isFinite);
  const low = values.reduce((a, b) => Math.min(a, b), Infinity);
  const high = values.reduce((a, b) => Math.max(a, b), -Infinity);
  const span = Math.max(high - low, LEAST_SPAN), middle = (high + low) / 2;
  /** @param {Point} p */
  const x = (p) => (WIDTH * (1 - (now - p.at) / MINUTE)).toFixed(1);
  /** @param {Point} p */
  const y = (p) => ((TOP + BOTTOM) / 2 - ((p.temperature - middle) / span) * (BOTTOM - TOP)).toFixed(1);

  let line = "", failures = "", tip = "", drawing = false;
  for (const p of points) {
    if (!Number.isFinite(p.temperature)) {
      failures += `M${x(p)} 92V100`;
      drawing = false;
      tip = "";
      continue;
    }
    // A point alone is drawn as a dot: a line of no length with round ends.
    line += drawing && p.joined ? `L${x(p)} ${y(p)}` : `M${x(p)} ${y(p)}h.01`;
    drawing = true;
    tip = `M${x(p)} ${y(p)}h.01`;
  }
  return { line, failures, tip, low, high, failed: points.length - values.length };
}
