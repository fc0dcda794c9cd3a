// @ts-check
// A sensor's newest value, its last minute, and what there is to say about it.

import { Columns } from "./columns.js";
import { breakable, copy, find, mark, text, watch } from "./dom.js";
import { age, count, fixed, inUnit, measured, percent, shownAs, trend } from "./format.js";
import { derivedFrom, shownUnit } from "./units.js";
import { causeSaid, words } from "./words.js";

/** @typedef {import("./sensor.js").Sensor} Sensor */
/** @typedef {import("./sensor.js").State} State */

const SPARK = { points: 60, height: 16, step: 1000 }; // step in ms
/** Time between two drawings of ages and words, in ms. */
export const REFRESH = matchMedia("(prefers-reduced-motion: reduce)").matches ? 1000 : 200;
const MINUTE_EVERY = 1000; // ms between two looks at what a minute was like
const WRONG_AFTER = 1000, RIGHT_AFTER = 10_000; // ms in a state after which a card changes its place

export class Card {
  wrong = false; // failed, stale or in alarm for a while: it belongs on top
  /** @type {string[]} the alarms that the sensor has raised */
  #alarms = [];
  /** @type {number | undefined} since when it is otherwise than `wrong` says */
  #turned;
  #near = true; // in sight, or about to be
  // Cards draw ages and words at different times: all at once would be a long frame.
  #phase = Math.random();
  #agedIn = NaN; // the turn in which ages were drawn
  #notedIn = NaN; // and that in which the last minute was
  #age;
  #trend;
  #derived;
  #trouble;
  #said;
  #more;
  #path;

  /** @param {Sensor} sensor */
  constructor(sensor) {
    this.sensor = sensor;
    this.element = copy("sensor");
    const name = find(this.element, "h3");
    name.replaceChildren(...breakable(sensor.info.name));
    text(find(this.element, ".model"), sensor.info.model);
    const places = [...this.element.querySelectorAll("dl > div")];
    places.slice(sensor.quantities.length).forEach((place) => place.remove());
    this.values = sensor.quantities.map(({ quantity }, i) => {
      text(find(places[i], "dt"), shownAs(quantity).name);
      return { value: find(places[i], ".value"), unit: find(places[i], ".unit") };
    });
    this.#age = find(this.element, ".age");
    this.#trend = find(this.element, ".trend");
    this.#derived = find(this.element, ".derived");
    this.#trouble = find(this.element, ".note strong");
    this.#said = find(this.element, ".said");
    this.#more = find(this.element, ".more");
    this.#path = find(this.element, "path");
    const json = find(this.element, "a");
    json.href = `sensors/${encodeURIComponent(sensor.info.name)}`;
    json.setAttribute("aria-label", words.asJSON(sensor.info.name));
    watch(this.element, (near) => (this.#near = near));
  }

  /** @param {string[]} names of the alarms that the sensor has raised */
  alarm = (names) => {
    if (String(names) === String(this.#alarms)) return;
    this.#alarms = names;
    this.#notedIn = NaN;
    mark(this.element, "alarm", String(names.length > 0));
  };

  /**
   * Values follow every message; the digits of an age, which change faster than they can
   * be read, have their own pace, and so has the last minute. With that, everything is
   * drawn of a card that is out of sight: somebody may have the page read aloud.
   * @param {number} now @param {boolean} connected @param {boolean} anew everything @returns {boolean} whether there was anything to draw
   */
  draw(now, connected, anew) {
    const { sensor, element } = this, reading = sensor.good?.reading, state = sensor.state(now, connected);
    this.#place(state === "failed" || state === "stale" || this.#alarms.length > 0, now);
    const turned = mark(element, "state", state), noteIn = Math.floor(now / MINUTE_EVERY + this.#phase), due = turned || anew || noteIn !== this.#notedIn;
    if (!this.#near && !due) return false;
    sensor.quantities.forEach((of, i) => {
      text(this.values[i].value, measured(of, reading?.[/** @type {"temperature"} */ (of.quantity)] ?? NaN));
      text(this.values[i].unit, shownUnit(of.unit));
    });
    const ageIn = Math.floor(now / REFRESH + this.#phase);
    if (!due && ageIn === this.#agedIn) return true;
    this.#agedIn = ageIn;
    text(this.#age, valueAge(sensor, state, now));
    text(this.#derived, derivedFrom(sensor.quantities).map(({ of, ...each }) => `${shownAs(each.quantity).name} ${inUnit(each, of(reading?.temperature ?? NaN, reading?.humidity ?? NaN))}`).join(" · "));
    if (due) this.#drawMinute(state, now);
    this.#notedIn = noteIn;
    return true;
  }

  /** @param {State} state @param {number} now */
  #drawMinute(state, now) {
    const { sensor } = this, minute = sensor.minute();
    text(this.#trend, state === "live" ? trend(sensor.quantities[0], minute.slope) : "");
    const { trouble, said, more } = note(sensor, state, minute, now, this.#alarms);
    text(this.#trouble, trouble);
    text(this.#said, said);
    text(this.#more, more);
    this.#path.setAttribute("d", spark(sensor));
  }

  /** @param {boolean} wrong @param {number} now */
  #place(wrong, now) {
    if (wrong === this.wrong) this.#turned = undefined;
    else if (now - (this.#turned ??= now) >= (wrong ? WRONG_AFTER : RIGHT_AFTER)) this.wrong = wrong;
  }
}

/** The first value's last minute as the path of a line, with a gap where it failed. @param {Sensor} sensor */
function spark({ ring, quantities, info }) {
  if (!ring.length) return "";
  const step = Math.max(SPARK.step, info.interval_ms), end = ring.newest;
  const [{ mean }] = new Columns(Math.floor(end / step) * step - (SPARK.points - 1) * step, step, SPARK.points, ring.values.length).fill(ring, undefined, info.interval_ms).lines();
  const known = mean.filter(Number.isFinite).map(Number);
  const low = Math.min(...known), high = Math.max(...known), span = Math.max(high - low, shownAs(quantities[0].quantity).least) || 1, middle = (low + high) / 2;
  let path = "", pen = "M";
  mean.forEach((value, x) => {
    if (value === null || Number.isNaN(value)) pen = "M";
    else if (value !== undefined) {
      path += `${pen}${x} ${(SPARK.height * (0.5 - (0.9 * (value - middle)) / span)).toFixed(1)}${pen === "M" ? "h.5" : ""}`;
      pen = "L";
    }
  });
  return path;
}

/** @param {Sensor} sensor @param {State} state @param {number} now */
function valueAge(sensor, state, now) {
  if (!sensor.good) return words.noValue;
  const passed = age(now - sensor.good.at);
  return state === "live" ? passed : words.lastGood(passed);
}

/**
 * The trouble that a sensor has, what must be said of it, and what small cards have no
 * place for: one text, in parts.
 * @param {Sensor} sensor @param {State} state @param {{all: number, failed: number, known: number}} minute @param {number} now @param {string[]} alarms
 * @returns {{trouble: string, said: string, more: string}}
 */
function note(sensor, state, minute, now, alarms) {
  if (state === "waiting") return { trouble: "", said: words.waitingForFirst, more: "" };
  if (state === "stale") return { trouble: words.stale, said: `: ${words.nothingHeard(age(now - (sensor.heard ?? now)))}`, more: "" };
  if (state === "failed") {
    const { words: why, meaning } = causeSaid(sensor.fault);
    return { trouble: why, said: "", more: `: ${meaning}` };
  }
  const span = words.lately(minute.known < 60_000 ? Math.ceil(minute.known / 1000) : undefined); // it may not be kept for longer
  const good = Math.floor((1 - minute.failed / minute.all) * 1000) / 10, digits = good % 1 ? 1 : 0;
  const said = minute.failed ? words.someGood(words.percent(fixed(good, digits)), count(minute.failed), span) : words.allGood(percent(1), span);
  const last = minute.failed && sensor.failed ? words.lastFailure(causeSaid(sensor.failed.reading.fault).words, age(now - sensor.failed.at)) : "";
  return alarms.length ? { trouble: words.alarmAloud(alarms.join(", ")), said: "", more: ` · ${said}${last}` } : { trouble: "", said, more: last };
}
