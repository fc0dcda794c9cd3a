// @ts-check
// In which units the page shows values, and whether it shows those that follow from what
// was measured. Everything else, and what it exports, has °C.

/** @typedef {import("./readings.js").Quantity} Quantity */
/** @typedef {{sensor: string, quantity: string, limit: number}} Limit of interlocks and alarms, which charts show as lines */

/** Whether somebody has chosen so in this browser, as far as it keeps that. @param {string} key */
export function kept(key) {
  try {
    return localStorage.getItem(key) === "yes";
  } catch {
    return false;
  }
}

/** Keeps a choice for this browser. @param {string} key @param {boolean} is */
export function keep(key, is) {
  try {
    localStorage.setItem(key, is ? "yes" : "no");
  } catch { /* it forbids that: then it is chosen again */ }
}

/** °C unless °F was chosen: a browser's language does not tell where the sensors are. */
export const wanted = { fahrenheit: kept("fahrenheit"), derived: kept("derived") };

/** Changes it, for this page and, where it can be stored, for this browser. @param {keyof typeof wanted} what @param {boolean} is */
export function want(what, is) {
  wanted[what] = is;
  keep(what, is);
  document.dispatchEvent(new Event("units"));
}

/** The unit in which a value is shown. @param {string} unit of the value */
export const shownUnit = (unit) => (unit === "°C" && wanted.fahrenheit ? "°F" : unit);

/** @param {string} unit of the value @param {number} value */
export const shownValue = (unit, value) => (unit === "°C" && wanted.fahrenheit ? value * 1.8 + 32 : value);

/** @param {string} unit @param {number} difference */
export const shownDifference = (unit, difference) => (unit === "°C" && wanted.fahrenheit ? difference * 1.8 : difference);

/** Limits on temperatures, which conditions of interlocks and alarms have in °C. */
const LIMITS = /(\.temperature\s*[<>]=?\s*)(\S+)/g;

/** A number as few digits say it. @param {number} value */
const short = (value) => String(Number(value.toPrecision(6)));

/** A condition with its limits in the unit that is wanted; in °C as it was configured. @param {string} condition */
export const shownCondition = (condition) => (!wanted.fahrenheit ? condition :
  condition.replace(LIMITS, (whole, before, limit) => (Number.isFinite(Number(limit)) ? `${before}${short(shownValue("°C", Number(limit)))} °F` : whole)));

/** The value that met a condition. @param {string} condition @param {number} value */
export const shownMet = (condition, value) => (wanted.fahrenheit && condition.search(LIMITS) >= 0 ? `${short(shownValue("°C", value))} °F` : short(value));

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

// Over water, in hPa, with t in °C from −45 to 60: WMO-No. 8, Guide to Instruments and
// Methods of Observation, volume I, annex 4.B: 6.112 exp(17.62 t / (243.12 + t)).
const MAGNUS = { pressure: 6.112, a: 17.62, b: 243.12 };
const VAPOUR = 461.5; // J/(kg K), the gas constant of water vapour

/** Vapour pressure in hPa. @param {number} temperature °C @param {number} humidity % */
const vapour = (temperature, humidity) => (humidity / 100) * MAGNUS.pressure * Math.exp((MAGNUS.a * temperature) / (MAGNUS.b + temperature));

/** The dew point in °C; NaN of air without water. @param {number} temperature °C @param {number} humidity % */
export function dewPoint(temperature, humidity) {
  const log = Math.log(vapour(temperature, humidity) / MAGNUS.pressure);
  return (MAGNUS.b * log) / (MAGNUS.a - log);
}

/** The water in air, in g/m³, as of an ideal gas. @param {number} temperature °C @param {number} humidity % */
export const absoluteHumidity = (temperature, humidity) => (vapour(temperature, humidity) * 100 * 1000) / (VAPOUR * (temperature + 273.15));

/** @type {(Quantity & {of: (temperature: number, humidity: number) => number})[]} */
const DERIVED = [{ quantity: "dew_point", unit: "°C", of: dewPoint }, { quantity: "absolute_humidity", unit: "g/m³", of: absoluteHumidity }];

/** What follows from these values, if it is to be seen. @param {Quantity[]} quantities of a sensor */
export const derivedFrom = (quantities) => (wanted.derived && quantities[0]?.quantity === "temperature" && quantities[1]?.quantity === "humidity" ? DERIVED : []);
