// @ts-check
// The sensors and the state of the connection: what the gateway sends is noted at
// once and drawn on animation frames, and nothing is drawn while nobody can see it.

import { Card, REFRESH } from "./cards.js";
import { base, gateway, part } from "./core.js";
import { get, mark, text } from "./dom.js";
import { age, count, fixed, wait } from "./format.js";
import { Grid } from "./groups.js";
import { stored } from "./history.js";
import { Sensor, patience } from "./sensor.js";
import { limitsOf } from "./units.js";
import { words } from "./words.js";

/** @typedef {import("./gateway.js").Hello} Hello */
/** @typedef {import("./gateway.js").Reading} Reading */

const MINUTE = 60_000; // ms
const AT_ONCE = 24; // cards that are drawn in a frame

const grid = new Grid();
/** @type {Map<string, Card>} by the sensor's name: its number is of one connection only */
let cards = new Map();
/** @type {string | undefined} */
let version;
/** @type {number | undefined} when the last live message came */
let heard;
let newest = Date.now(), newestAt = performance.now(); // the gateway's clock, and when it said so
let simulated = false, unsynced = false;
let refused = false; // for good
/** @type {import("./units.js").Limit[]} */
let limits = [];

/** @type {import("./view.js").HistoryView | undefined} */
let charts;
part("charts", "main .charts", import("./view.js"), ({ HistoryView }) => {
  charts = new HistoryView(base, () => newest + performance.now() - newestAt, schedule);
  charts.begin([...cards.values()].map(({ sensor }) => sensor));
  charts.limit(limits);
});

gateway.addEventListener("phase", schedule);
gateway.addEventListener("refused", () => (refused = true));
gateway.addEventListener("hello", ({ detail }) => greet(detail));
gateway.addEventListener("resumed", ({ detail }) => {
  if (detail.skipped) cards.forEach(({ sensor }) => sensor.ring.clear());
});
gateway.addEventListener("event", ({ detail }) => {
  corrected ||= detail.kind === "clock_corrected";
  if (detail.step_ms > 2e3) cards.forEach(({ sensor }) => sensor.ring.clear()); // what is older comes in buckets
});
gateway.addEventListener("readings", ({ detail }) => receive(detail));

/** Not while something is said of STOP ALL, which may not be sent yet. */
function renew() {
  if (get("stop-alert").textContent) setTimeout(renew, REFRESH);
  else location.reload();
}

/** What a card is made for. @param {Sensor} sensor */
const kind = ({ info, ring }) => String([info.model, info.group, info.interval_ms, ring.names]);

/** @param {Hello} hello */
function greet(hello) {
  wake();
  if ((version ??= hello.version) !== hello.version) renew();
  simulated = hello.simulated;
  unsynced = !hello.clock_synced;
  heard = undefined;
  quickest = Infinity;
  newest = hello.time;
  newestAt = performance.now();
  const before = cards;
  cards = new Map(hello.sensors.map((info) => {
    const known = before.get(info.name), fresh = new Sensor(info);
    return [info.name, known && kind(known.sensor) === kind(fresh) ? known : new Card(fresh)];
  }));
  const all = [...cards.values()], shown = [...before.values()];
  if (all.length !== shown.length || all.some((card, i) => card !== shown[i])) {
    grid.begin(all);
    alarmed();
    charts?.begin(all.map(({ sensor }) => sensor));
  }
  limit(hello);
  get("empty").hidden = cards.size > 0;
  text(get("version"), `${hello.server} ${hello.version}`);
  const name = hello.name || location.host; // two gateways in two tabs
  text(get("name"), name);
  document.title = words.title(name);
  remember(hello);
}

/** Has the charts show the limits of motors, and those of alarms once they are known. @param {Hello} hello */
async function limit({ motors }) {
  charts?.limit((limits = limitsOf(motors)));
  try {
    const answer = await fetch(new URL("api/v1/alarms", base), { cache: "no-store" });
    if (answer.ok && gateway.hello?.motors === motors) charts?.limit((limits = limitsOf(motors, (await answer.json()).conditions)));
  } catch { /* the connection is lost: after the next hello, it asks again */ }
}

let remembering = false;

/** Fetches the last minute as the gateway keeps it: what cards count and draw of it is what the charts show. @param {Hello} hello */
async function remember({ time }) {
  if (remembering) return;
  remembering = true;
  for (const { sensor } of cards.values()) { // one at a time, to leave the gateway time for live readings
    if (!sensor.young(time)) continue;
    const since = newest + performance.now() - newestAt - MINUTE, until = Math.min(sensor.ring.oldest, since + MINUTE);
    if (until <= since) continue; // the page stood still for as long as it has readings
    try {
      sensor.addPast(await stored(base, sensor.info, Math.floor(since), Math.ceil(until)));
    } catch {
      break; // it keeps none or is busy: the cards say how much of the minute they count
    }
  }
  remembering = false;
  schedule();
}

/** @type {import("./gateway.js").Alarm[]} */
let alarms = [];

/** Shows on each card the alarms of its sensor, except that it is lost, which the card shows itself. */
function alarmed() {
  for (const { sensor, alarm } of cards.values()) alarm(alarms.filter((each) => each.sensor === sensor.info.name && each.condition !== undefined && each.severity !== "info").map(({ name }) => name));
  schedule();
}

const DRIFT = 0.01; // by which the gateway's clock may go faster or slower while it is being set

let quickest = Infinity, received = 0; // by how much performance.now() is ahead of the times of readings, at least; when the last one came
let corrected = false; // the gateway's clock was set, and its times may stand until it has caught up

/**
 * When a live reading would have come without delay: a network that stalls
 * does, or a browser that has frozen the page and then hands over all at once.
 * @param {Reading} reading @param {number} now
 */
function due({ time, unsynced }, now) {
  corrected &&= unsynced;
  quickest = corrected ? now - time : Math.min(now - time, quickest + DRIFT * (now - received));
  received = now;
  return time + quickest;
}

/** @param {Reading[]} readings of one message */
function receive(readings) {
  wake();
  const now = performance.now();
  for (const reading of readings) {
    const at = reading.historical ? now : due(reading, now);
    cards.get(reading.name)?.sensor.add(reading, at);
    simulated ||= reading.simulated;
    if (reading.historical) continue;
    heard = at;
    unsynced = reading.unsynced;
    newest = reading.time;
    newestAt = at;
  }
  schedule();
}

let asked = false, framed = false, refresh = false, anew = false;
/** @type {Generator | undefined} */
let drawing;

/** Draws from the next animation frame on, once, however often it is called. */
function schedule() {
  asked = true;
  frame();
}

function frame() {
  if (framed || document.hidden) return;
  framed = true;
  requestAnimationFrame(() => {
    framed = false;
    if (!drawing) {
      asked = false;
      drawing = draw();
    }
    if (drawing.next().done) drawing = undefined;
    if (drawing || asked) frame();
  });
}

let ahead = Date.now() - performance.now();

/** While a machine sleeps, performance.now() may stand still: what came is older by that. */
function wake() {
  const slept = Date.now() - performance.now() - ahead;
  ahead += slept;
  if (slept < 1000) return; // adjusted
  newestAt -= slept;
  heard &&= heard - slept;
  for (const { sensor } of cards.values()) sensor.age(slept);
}

/** Draws everything, in parts of a frame each: all at once would be a long frame. */
function* draw() {
  wake();
  const ages = refresh, all = anew;
  refresh = anew = false;
  get("simulated").hidden = !simulated;
  get("unsynced").hidden = !unsynced;
  drawStatus(performance.now(), ages);
  let drawn = 0;
  for (const card of cards.values()) {
    if (card.draw(performance.now(), gateway.phase === "connected", all) && ++drawn % AT_ONCE === 0) yield;
  }
  if (ages) grid.arrange();
  if (cards.size && charts) yield* charts.draw(performance.now(), ages);
}

/** @param {number} now @param {boolean} refresh */
function drawStatus(now, refresh) {
  const [phase, label, spoken] = status(now);
  const changed = mark(get("status"), "phase", phase);
  if (changed && spoken) text(get("announcement"), spoken);
  if (changed || refresh) {
    text(get("status-text"), label);
    const { received, recovered, conflated, missed, lost } = gateway.counts, { roundTrip } = gateway;
    text(get("totals"), [
      roundTrip === undefined ? "" : words.roundTrip(fixed(roundTrip, roundTrip < 10 ? 1 : 0)),
      words.received(count(received)), words.recovered(count(recovered)), words.lost(count(lost)),
      missed ? words.notMeasured(count(missed)) : "", conflated ? words.conflated(count(conflated)) : "",
    ].filter(Boolean).join(" · "));
    mark(get("totals"), "lost", String(lost > 0));
  }
  get("retry").hidden = gateway.phase === "connected" || (!gateway.due && !refused); // not hidden during a try, since it may have the focus
}

/** @param {number} now @returns {[phase: string, label: string, spoken: string]} */
function status(now) {
  if (gateway.phase === "waiting") return ["waiting", words.reconnectingIn(wait(gateway.due - now)), words.connectionLost];
  if (gateway.phase === "closed" && refused) return ["waiting", words.notConnected, words.notConnectedAloud];
  if (gateway.phase !== "connected") return ["connecting", gateway.due ? words.reconnecting : words.connecting, ""];
  if (heard === undefined) return ["connecting", words.connectedSilent, words.connectedAloud];
  const silent = now - heard, limit = Math.min(...[...cards.values()].map(({ sensor }) => patience(sensor.info.interval_ms)));
  if (silent > limit) return ["stale", words.staleFor(age(Math.floor(silent / 1000) * 1000, 0)), words.staleAloud];
  return ["live", words.liveFor(age(silent)), words.liveAloud];
}

/** The page was shown, the network changed, or the button was pressed. */
function retry() {
  if (!document.hidden) gateway.wake();
  schedule();
}

document.addEventListener("alarms", (event) => {
  alarms = /** @type {CustomEvent} */ (event).detail;
  alarmed();
});
document.addEventListener("units", () => {
  refresh = anew = true;
  schedule();
});
for (const shown of ["visibilitychange", "resume"]) document.addEventListener(shown, () => {
  drawing = undefined; // what is half drawn is old: states come first, or an old value would be live for some more frames
  schedule();
  retry();
});
window.addEventListener("online", retry);
get("retry").addEventListener("click", retry);
setInterval(() => {
  refresh = true;
  schedule();
}, REFRESH);
if (gateway.hello) greet(gateway.hello); // it was quicker than this part of the page
