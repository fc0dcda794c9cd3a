// @ts-check
// The limits of interlocks, which charts show as lines.

/** @typedef {{sensor: string, quantity: string, limit: number}} Limit */

/** The limits on values among the interlocks of motors; those on ages are no lines. @param {{interlocks?: {condition: string}[]}[]} motors @returns {Limit[]} */
export function limitsOf(motors) {
  /** @type {Map<string, Limit>} */
  const limits = new Map(); // several motors may have the same
  for (const { condition } of motors.flatMap(({ interlocks = [] }) => interlocks)) {
    const [, sensor, quantity, number] = /^(.+)\.(\w+)\s*[<>]=?\s*(\S+)$/.exec(condition) ?? [], limit = Number(number);
    if (quantity !== "age" && Number.isFinite(limit)) limits.set(`${sensor}.${quantity} ${limit}`, { sensor, quantity, limit });
  }
  return [...limits.values()];
}
