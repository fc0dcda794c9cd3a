// @ts-check
// The binary side of the subprotocol readings.v2: one or more records of 24
// bytes a message, in network byte order, struct "!HBBIffq".

export const SUBPROTOCOL = "readings.v2";
const RECORD_SIZE = 24;
const SIMULATED = 1, UNSYNCED = 2, HISTORICAL = 4, CONFLATED = 8;
const OTHER = 255;

/**
 * One tick of one sensor.
 * @typedef {object} Reading
 * @property {number} sensor its number, named in hello
 * @property {string} [name] its name
 * @property {boolean} simulated from an emulated chip
 * @property {boolean} unsynced the gateway's clock was not yet synchronised
 * @property {boolean} historical replayed
 * @property {boolean} conflated one of few that stand for several
 * @property {number} fault why the measurement failed, 0 if it did not; see {@link cause}
 * @property {number} seq number of the tick: 32 bits, wraps
 * @property {number} [temperature] °C; each value has the name of its quantity and is NaN if failed or not measured
 * @property {number} [humidity] % relative
 * @property {number} [pressure] hPa
 * @property {number} [co2] ppm
 * @property {number} time of the measurement, Unix milliseconds on the gateway's clock
 */

/** @typedef {{quantity: string, unit: string}} Quantity what a value is */

/** @type {Quantity[]} of a sensor that does not say what it measures */
const CLIMATE = [{ quantity: "temperature", unit: "°C" }, { quantity: "humidity", unit: "%" }];

/** What the values of a sensor in hello are, one or two. @param {{values?: Quantity[]} | undefined} info @returns {Quantity[]} */
export const quantities = (info) => (info?.values?.length ? info.values.slice(0, 2) : CLIMATE);

/**
 * The readings of one binary message of readings.v2, in its order, their values
 * named as the sensors of hello say: temperature and humidity where they do not.
 * @param {ArrayBuffer} message
 * @param {{id: number, values?: Quantity[]}[]} [sensors]
 * @returns {Reading[]}
 */
export function decode(message, sensors = []) {
  if (message.byteLength === 0 || message.byteLength % RECORD_SIZE !== 0) {
    throw new RangeError(`message of ${message.byteLength} bytes, want a multiple of ${RECORD_SIZE}`);
  }
  const view = new DataView(message);
  return Array.from({ length: message.byteLength / RECORD_SIZE }, (_, i) => {
    const at = i * RECORD_SIZE, sensor = view.getUint16(at), flags = view.getUint8(at + 2);
    return {
      sensor,
      simulated: (flags & SIMULATED) !== 0,
      unsynced: (flags & UNSYNCED) !== 0,
      historical: (flags & HISTORICAL) !== 0,
      conflated: (flags & CONFLATED) !== 0,
      fault: view.getUint8(at + 3) || faultOfFloat(view.getUint32(at + 8)),
      seq: view.getUint32(at + 4),
      ...Object.fromEntries(quantities(sensors.find(({ id }) => id === sensor)).map(({ quantity }, n) => [quantity, view.getFloat32(at + 8 + 4 * n)])),
      time: Number(view.getBigInt64(at + 16)),
    };
  });
}

/**
 * The cause in the bits of a float32: a failed reading is the quiet NaN
 * 0x7FC000cc, and a NaN that is none of these must not pass for a value either.
 * (JavaScript may change a NaN's bits, so they are read as an integer.)
 * @param {number} bits
 */
export function faultOfFloat(bits) {
  const isNumber = (bits & 0x7fffffff) <= 0x7f800000;
  if (isNumber) return 0;
  return bits >>> 8 === 0x7fc000 ? (bits & 0xff) || OTHER : OTHER;
}

/** @type {Record<number, [name: string, words: string, meaning: string]>} */
const causes = {
  1: ["no_ack", "no acknowledge", "the chip did not answer to its address"],
  2: ["checksum", "wrong checksum", "the answer was damaged on its way"],
  3: ["timeout", "timeout", "no answer in time"],
  4: ["stuck", "stuck value", "the same bits for too long"],
  5: ["implausible", "implausible", "outside what the chip can measure"],
  6: ["warming_up", "warming up", "the chip has not measured since it was reset"],
  7: ["bus_down", "bus down", "the I²C bus is missing or hangs"],
  8: ["absent", "sensor absent", "no such chip answers on the bus"],
  [OTHER]: ["other", "failed", "the gateway’s log says why"],
};

/**
 * Why a measurement failed: `name` as in JSON, `words` for people, and what they mean.
 * @param {number} fault
 */
export function cause(fault) {
  const [name, words, meaning] = causes[fault] ?? [`fault_${fault}`, `cause ${fault}`, "not known here"];
  return { name, words, meaning };
}

/** The cause that JSON calls so. @param {string} name */
export function faultNamed(name) {
  return Number(Object.keys(causes).find((fault) => causes[Number(fault)][0] === name) ?? OTHER);
}
