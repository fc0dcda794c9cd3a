// @ts-check
// The limits of interlocks and alarms, which charts show as lines.

/** @typedef {{sensor: string, quantity: string, limit: number}} Limit */

/**
 * The limits on values among the interlocks of motors and the conditions that raise alarms; those on ages are no lines.
 * @param {{interlocks?: {condition: string}[]}[]} motors @param {string[]} [alarms] conditions, with what follows on for and until @returns {Limit[]}
 */
export function limitsOf(motors, alarms = []) {
  /** @type {Map<string, Limit>} */
  const limits = new Map(); // several may have the same
  for (const condition of [...motors.flatMap(({ interlocks = [] }) => interlocks).map(({ condition }) => condition), ...alarms]) {
    const [, sensor, quantity, number] = /^(.+?)\.(\w+)\s*[<>]=?\s*(\S+)(?: (?:for|until) .*)?$/.exec(condition) ?? [], limit = Number(number);
    if (quantity !== "age" && Number.isFinite(limit)) limits.set(`${sensor}.${quantity} ${limit}`, { sensor, quantity, limit });
  }
  return [...limits.values()];
}
