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
 * @property {boolean} simulated from an emulated chip
 * @property {boolean} unsynced the gateway's clock was not yet synchronised
 * @property {boolean} historical replayed
 * @property {boolean} conflated stands for several
 * @property {number} fault why the measurement failed; 0 if it did not
 * @property {number} seq number of the tick, 32 bits, wraps
 * @property {number} temperature °C, NaN if failed
 * @property {number} humidity % relative, NaN if failed
 * @property {number} time of the measurement, Unix milliseconds on the gateway's clock
 */

/**
 * The readings of one message, in its order.
 * @param {ArrayBuffer} message
 * @returns {Reading[]}
 */
export function decode(message) {
  if (message.byteLength === 0 || message.byteLength % RECORD_SIZE !== 0) {
    throw new RangeError(`message of ${message.byteLength} bytes, want a multiple of ${RECORD_SIZE}`);
  }
  return Array.from({ length: message.byteLength / RECORD_SIZE },
    (_, i) => record(new DataView(message, i * RECORD_SIZE, RECORD_SIZE)));
}

/** @param {DataView} view @returns {Reading} */
function record(view) {
  const flags = view.getUint8(2);
  return {
    sensor: view.getUint16(0),
    simulated: (flags & SIMULATED) !== 0,
    unsynced: (flags & UNSYNCED) !== 0,
    historical: (flags & HISTORICAL) !== 0,
    conflated: (flags & CONFLATED) !== 0,
    fault: view.getUint8(3) || faultOfFloat(view.getUint32(8)),
    seq: view.getUint32(4),
    temperature: view.getFloat32(8),
    humidity: view.getFloat32(12),
    time: Number(view.getBigInt64(16)),
  };
}

/**
 * The cause that a float says by itself: a failed reading is the quiet NaN
 * 0x7FC000cc, and a NaN that is none of these must not pass for a value either.
 * @param {number} bits of the float32
 */
function faultOfFloat(bits) {
  const isNumber = (bits & 0x7fffffff) <= 0x7f800000;
  if (isNumber) return 0;
  return bits >>> 8 === 0x7fc000 ? (bits & 0xff) || OTHER : OTHER;
}

/** @type {Record<number, [name: string, meaning: string]>} */
const causes = {
  1: ["no acknowledge", "the chip did not answer to its address"],
  2: ["wrong checksum", "the answer was damaged on its way"],
  3: ["timeout", "no answer in time"],
  4: ["stuck value", "the same bits for too long"],
  5: ["implausible", "outside what the chip can measure"],
  6: ["warming up", "the chip has not measured since it was reset"],
  7: ["bus down", "the I²C bus is missing or hangs"],
  8: ["sensor absent", "no such chip answers on the bus"],
  [OTHER]: ["failed", "the gateway’s log says why"],
};

/**
 * A cause in words: its name and what it means.
 * @param {number} fault
 * @returns {[name: string, meaning: string]}
 */
export function cause(fault) {
  return causes[fault] ?? [`cause ${fault}`, "this page does not know it"];
}
