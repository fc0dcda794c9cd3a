// @ts-check
// Draws what the link brings: on animation frames, and nothing while hidden.

import { age, count, humidity, temperature, wait } from "./format.js";
import { Link } from "./link.js";
import { cause } from "./readings.js";
import { sparkline } from "./sparkline.js";
import { MINUTE, Track, patience } from "./track.js";

/** @typedef {import("./link.js").Hello} Hello */
/** @typedef {import("./readings.js").Reading} Reading */
/** @typedef {import("./track.js").State} State */

// Time between two drawings of ages and lines, in ms.
const REFRESH = matchMedia("(prefers-reduced-motion: reduce)").matches ? 500 : 200;

/** @param {ParentNode} root @param {string} selector @returns {any} */
const find = (root, selector) => root.querySelector(selector);
/** @param {string} id @returns {any} */
const get = (id) => document.getElementById(id);

/** @type {Hello | undefined} */
let hello;
/** @type {Map<number, {track: Track, card: HTMLElement}>} by sensor number */
let sensors = new Map();
/** @type {number | undefined} when the last frame came */
let frame;
let simulated = false, unsynced = false;

const address = new URL(".", location.href);
address.protocol = address.protocol.replace("http", "ws");
const link = new Link(address, { hello: greet, readings: receive, phase: schedule });

/** @param {Hello} next */
function greet(next) {
  // Another version brings another page.
  if (hello && hello.version !== next.version) return location.reload();
  if (hello?.epoch !== next.epoch) sensors.forEach(({ track }) => track.restart());
  hello = next;
  simulated = next.simulated;
  unsynced = !next.clock_synced;
  frame = undefined;
  sensors = new Map(next.sensors.map((info) => [info.id, sensorOf(info)]));
  get("sensors").replaceChildren(...[...sensors.values()].map(({ card }) => card));
  get("empty").hidden = sensors.size > 0;
  text(get("version"), `${next.server} ${next.version}`);
}

/** What is known of a sensor already, or a new card. @param {Hello["sensors"][0]} info */
function sensorOf(info) {
  const known = sensors.get(info.id);
  if (known?.track.info.name === info.name) {
    known.track.info = info;
    text(find(known.card, ".model"), info.model);
    return known;
  }
  const card = find(get("sensor").content, ".sensor").cloneNode(true);
  text(find(card, "h2"), info.name);
  text(find(card, ".model"), info.model);
  const json = find(card, "a");
  json.href = `sensors/${encodeURIComponent(info.name)}`;
  json.setAttribute("aria-label", `${info.name}: newest reading as JSON`);
  return { track: new Track(info), card };
}

/** @param {Reading[]} readings of one message */
function receive(readings) {
  // A message is one tick, and as old as its arrival; neither clock matters.
  // Only conflated readings lie apart, by the gateway's own clock.
  frame = performance.now();
  const newest = Math.max(...readings.map((r) => r.time));
  for (const reading of readings) {
    const older = reading.conflated ? Math.min(newest - reading.time, MINUTE) : 0;
    sensors.get(reading.sensor)?.track.add(reading, frame - older);
    simulated ||= reading.simulated;
    unsynced = reading.unsynced;
  }
  schedule();
}

let scheduled = false, refresh = false;

/** Draws on the next animation frame, once, however often it is asked. */
function schedule() {
  if (scheduled || document.hidden) return;
  scheduled = true;
  requestAnimationFrame(() => {
    scheduled = false;
    draw(performance.now());
    refresh = false;
  });
}

/**
 * Values follow every message. Digits of an age that change faster than they
 * can be read, and lines that move by less than a pixel, have their own pace.
 * @param {number} now
 */
function draw(now) {
  get("simulated").hidden = !simulated;
  get("unsynced").hidden = !unsynced;
  drawStatus(now);
  for (const { track, card } of sensors.values()) {
    const changed = drawValues(track, card, now);
    if (refresh || changed) drawDetails(track, card, now);
  }
  if (refresh) drawTotals();
}

/** @param {number} now */
function drawStatus(now) {
  const [phase, label, spoken] = status(now);
  const changed = mark(get("status"), "phase", phase);
  if (changed && spoken) text(get("announcement"), spoken);
  if (changed || refresh) text(get("status-text"), label);
  get("retry").hidden = link.phase === "connected" || !link.due; // it stays while it tries: it may have the focus
}

/** @param {number} now @returns {[phase: string, label: string, spoken: string]} */
function status(now) {
  if (link.phase === "connecting") return ["connecting", "connecting…", ""];
  if (link.phase === "waiting") {
    return ["waiting", `reconnecting in ${wait(link.due - now)}`, "Connection lost, reconnecting"];
  }
  if (frame === undefined) return ["connecting", "connected, no reading yet", "Connected"];
  const silent = now - frame;
  const limit = Math.min(...[...sensors.values()].map(({ track }) => patience(track.info.interval_ms)));
  if (silent > limit) return ["stale", `stale ${age(silent).replace(/\.\d/, "")}`, "Stale: no readings arrive"];
  return ["live", `live · ${age(silent)}`, "Live"];
}

/** @param {Track} track @param {HTMLElement} card @param {number} now */
function drawValues(track, card, now) {
  const reading = track.good?.reading;
  text(find(card, ".temperature .value"), temperature(reading?.temperature ?? NaN));
  text(find(card, ".humidity .value"), humidity(reading?.humidity ?? NaN));
  return mark(card, "state", track.state(now, link.phase === "connected"));
}

/** @param {Track} track @param {HTMLElement} card @param {number} now */
function drawDetails(track, card, now) {
  track.forget(now);
  const state = /** @type {State} */ (card.dataset.state);
  const lines = sparkline(track.points, now);
  text(find(card, ".age"), valueAge(track, state, now));
  const [trouble, words] = note(track, state, lines.failed, now);
  text(find(card, ".note strong"), trouble && `${trouble}:`);
  text(find(card, ".note span"), words);
  for (const part of /** @type {const} */ (["line", "failures", "tip"])) {
    find(card, `.${part}`).setAttribute("d", lines[part]);
  }
  text(find(card, ".range"), lines.low <= lines.high
    ? `last minute ${temperature(lines.low)} to ${temperature(lines.high)} °C` : "no value in the last minute");
}

/** @param {Track} track @param {State} state @param {number} now */
function valueAge(track, state, now) {
  if (!track.good) return "no value yet";
  const passed = age(now - track.good.at);
  return state === "live" ? passed : `last good ${passed} ago`;
}

/**
 * What there is to say about a sensor: the trouble it has, and in words.
 * @param {Track} track @param {State} state @param {number} failures in the last minute @param {number} now
 * @returns {[trouble: string, words: string]}
 */
function note(track, state, failures, now) {
  if (state === "waiting") return ["", "waiting for the first reading"];
  if (state === "stale") return ["stale", `nothing heard for ${age(now - (track.heard ?? now))}`];
  if (state === "failed") return cause(track.fault);
  if (!failures || !track.failed) return ["", "no failure seen in the last minute"];
  const [name] = cause(track.failed.reading.fault);
  return ["", `${count(failures)} failed in the last minute; last: ${name}, ${age(now - track.failed.at)} ago`];
}

function drawTotals() {
  const total = { received: 0, missed: 0, conflated: 0 };
  for (const { track } of sensors.values()) {
    total.received += track.received;
    total.missed += track.missed;
    total.conflated += track.conflated;
  }
  text(get("totals"), `${count(total.received)} readings received, ${count(total.missed)} lost` +
    (total.conflated ? `, ${count(total.conflated)} thinned out` : ""));
}

/** Sets the text if it differs. @param {Element} element @param {string} value */
function text(element, value) {
  if (element.textContent !== value) element.textContent = value;
}

/** Sets a data attribute, and says if it differed. @param {HTMLElement} element @param {string} key @param {string} value */
function mark(element, key, value) {
  if (element.dataset[key] === value) return false;
  element.dataset[key] = value;
  return true;
}

/** Someone is there, or a network is: no reason to wait any longer. */
function retry() {
  if (!document.hidden) link.open();
  schedule();
}

document.addEventListener("visibilitychange", retry);
window.addEventListener("online", retry);
get("retry").addEventListener("click", retry);
setInterval(() => {
  refresh = true;
  schedule();
}, REFRESH);
link.open();
