// @ts-check
// A sensor's newest value, and what there is to say about it.

import { copy, find, mark, text } from "./dom.js";
import { age, count, measured, trend } from "./format.js";
import { cause, quantities } from "./readings.js";

/** @typedef {import("./sensor.js").Sensor} Sensor */
/** @typedef {import("./sensor.js").State} State */

/** @type {Record<string, string>} quantities for people */
const NAMES = { temperature: "Temperature", humidity: "Humidity", pressure: "Air pressure", co2: "CO₂" };

export class Card {
  /** @param {Sensor} sensor */
  constructor(sensor) {
    this.sensor = sensor;
    this.element = copy("sensor");
    text(find(this.element, "h2"), sensor.info.name);
    text(find(this.element, ".model"), sensor.info.model);
    const places = [...this.element.querySelectorAll("dl > div")], measures = quantities(sensor.info);
    places.slice(measures.length).forEach((place) => place.remove());
    /** @type {[quantity: string, value: any][]} where the values stand */
    this.values = measures.map(({ quantity, unit }, i) => {
      text(find(places[i], "dt"), NAMES[quantity] ?? quantity);
      text(find(places[i], ".unit"), unit);
      return [quantity, find(places[i], ".value")];
    });
    const json = find(this.element, "a");
    json.href = `sensors/${encodeURIComponent(sensor.info.name)}`;
    json.setAttribute("aria-label", `${sensor.info.name}: newest reading as JSON`);
  }

  /**
   * Values follow every message; words and the digits of an age, which change
   * faster than they can be read, have their own pace.
   * @param {number} now @param {boolean} connected @param {boolean} refresh
   */
  draw(now, connected, refresh) {
    const { sensor, element } = this, reading = sensor.good?.reading, state = sensor.state(now, connected);
    for (const [quantity, value] of this.values) text(value, measured(quantity, reading?.[/** @type {"temperature"} */ (quantity)] ?? NaN));
    if (!mark(element, "state", state) && !refresh) return;
    const minute = sensor.minute();
    text(find(element, ".age"), valueAge(sensor, state, now));
    text(find(element, ".trend"), state === "live" ? trend(minute.slope) : "");
    const [trouble, words] = note(sensor, state, minute, now);
    text(find(element, ".note strong"), trouble && `${trouble}:`);
    text(find(element, ".note span"), words);
  }
}

/** @param {Sensor} sensor @param {State} state @param {number} now */
function valueAge(sensor, state, now) {
  if (!sensor.good) return "no value yet";
  const passed = age(now - sensor.good.at);
  return state === "live" ? passed : `last good ${passed} ago`;
}

/**
 * The trouble that a sensor has, and in words.
 * @param {Sensor} sensor @param {State} state @param {{all: number, failed: number}} minute @param {number} now
 * @returns {[trouble: string, words: string]}
 */
function note(sensor, state, minute, now) {
  if (state === "waiting") return ["", "waiting for the first reading"];
  if (state === "stale") return ["stale", `nothing heard for ${age(now - (sensor.heard ?? now))}`];
  if (state === "failed") {
    const { words, meaning } = cause(sensor.fault);
    return [words, meaning];
  }
  if (!minute.failed || !sensor.failed) return ["", "100 % good in the last minute"];
  const good = Math.floor((1 - minute.failed / minute.all) * 1000) / 10;
  return ["", `${good} % good, ${count(minute.failed)} failed in the last minute; last: ${cause(sensor.failed.reading.fault).words}, ${age(now - sensor.failed.at)} ago`];
}
