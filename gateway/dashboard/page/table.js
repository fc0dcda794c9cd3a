// @ts-check
// What the charts show, as a table: for who cannot see lines, and for who wants numbers.

import { count, measured, shownAs } from "./format.js";
import { shownUnit } from "./units.js";

/** @typedef {import("./columns.js").Columns} Columns */
/** @typedef {{name: string, quantity: string, unit: string, columns: Columns | undefined, value: number}} Row value is which of the sensor's */

/** One value in sum: NaN where there is none. @param {Columns} columns @param {number} value */
export function total({ counts, failed, spans, count: n }, value) {
  const { sum, min, max } = spans[value], all = { good: 0, failed: 0, low: Infinity, high: -Infinity, mean: NaN, last: NaN };
  let whole = 0;
  for (let i = 0; i < n; i++) {
    all.good += counts[i];
    all.failed += failed[i];
    if (!(min[i] <= max[i])) continue; // nothing was measured
    whole += sum[i];
    all.low = Math.min(all.low, min[i]);
    all.high = Math.max(all.high, max[i]);
    all.last = sum[i] / counts[i];
  }
  all.mean = all.low <= all.high ? whole / all.good : NaN;
  return all;
}

/** The cells behind the sensor's name. @param {Row} row */
function cells({ quantity, unit, columns, value }) {
  const { good, failed, low, high, mean, last } = columns?.spans[value] ? total(columns, value) : /* just chosen, not drawn yet */ { good: 0, failed: 0, low: NaN, high: NaN, mean: NaN, last: NaN };
  return [`${shownAs(quantity).name}${unit ? `, ${shownUnit(unit)}` : ""}`, ...[last, low, mean, high].map((n) => measured({ quantity, unit }, n)), count(good), count(failed)];
}

/** Shows rows, and keeps the elements of those that were there: a reader stands in one. @param {HTMLTableSectionElement} body @param {Row[]} rows */
export function fillTable(body, rows) {
  while (body.rows.length > rows.length) body.deleteRow(-1);
  rows.forEach((row, i) => {
    const line = body.rows[i] ?? body.insertRow(), all = [row.name, ...cells(row)];
    all.forEach((said, j) => {
      if (!line.cells[j]) {
        const cell = line.appendChild(document.createElement(j ? "td" : "th"));
        if (!j) cell.scope = "row";
      }
      if (line.cells[j].textContent !== said) line.cells[j].textContent = said;
    });
  });
}
