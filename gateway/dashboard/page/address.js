// @ts-check
// The view in the page's address, so that a link opens the same: #range=24h&sensors=indoor,
// or from= and to= of a part that was zoomed into; group= and order= of the sensors' cards.

/**
 * What an address says of the view; what it does not say is undefined.
 * @typedef {{range?: number, from?: number, to?: number, sensors?: string[], group?: string, order?: string}} Place range in ms, from and to in Unix ms
 */

/** @type {Record<string, number>} */
const UNITS = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** A span as it is written, such as 15m. @param {number} ms */
export function written(ms) {
  const [unit, length] = Object.entries(UNITS).findLast(([, length]) => ms % length === 0 && (length < UNITS.d || ms > UNITS.d)) ?? ["s", 1000];
  return `${ms / length}${unit}`;
}

/** @param {string} hash of an address, with its # @returns {Place} */
export function read(hash) {
  /** @type {Record<string, string | undefined>} */
  const said = Object.fromEntries(new URLSearchParams(hash.slice(1))), [, number, unit] = /^(\d{1,4})([smhd])$/.exec(said.range ?? "") ?? [];
  const from = Date.parse(said.from ?? ""), to = Date.parse(said.to ?? "");
  return {
    ...(Number(number) && { range: Number(number) * UNITS[unit] }),
    ...(from < to && { from, to }),
    ...(said.sensors !== undefined && { sensors: said.sensors.split(",").filter(Boolean) }),
    ...(said.group && { group: said.group }),
    ...(said.order === "name" && { order: "name" }),
  };
}

/** The hash that says so; "" if there is nothing to say. @param {Place} place */
export function write({ range, from, to, sensors, group, order }) {
  const said = [
    from !== undefined && to !== undefined ? `from=${new Date(from).toISOString()}&to=${new Date(to).toISOString()}` : range !== undefined && `range=${written(range)}`,
    sensors && `sensors=${sensors.map(encodeURIComponent).join()}`,
    group && `group=${encodeURIComponent(group)}`,
    order && `order=${order}`,
  ].filter(Boolean);
  return said.length ? `#${said.join("&")}` : "";
}
