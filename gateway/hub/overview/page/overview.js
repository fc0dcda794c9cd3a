// @ts-check
// All gateways of a hub in lines. It asks the hub again and again for what has changed.

import "./language.js";
import { copy, find, get, mark, text } from "./dom.js";
import { age, count, fixed, inUnit } from "./format.js";
import { list } from "./list.js";
import { said, spoken } from "./said.js";
import { spoken as ready, texts, words } from "./words.js";

/** @typedef {{quantity: string, unit: string, value: number | null}} Value */
/** @typedef {{sensor: string, time: number, fault?: string, values: Value[]}} Reading */
/** @typedef {{name: string, state: string, severity: string}} Alarm */
/** @typedef {{site: string, name: string, title?: string, version?: string, presence: {state: string, since?: number}, readings?: Reading[], alarms?: Alarm[], stored?: number, behind_ms?: number, bytes: number, uplink?: string, audit?: string, twin?: string}} Row */
/** @typedef {{name: string, connected: boolean, since: number, reason?: string}} Site */
/** @typedef {{site: string, rows: Row[]}} Group */
/** @typedef {{name: string, role: string}} You */

const EVERY = 2_000; // ms between two questions
const PATIENCE = 15_000; // ms for an answer: that of 10,000 gateways has some MB
const LATE = 5 * 60_000; // ms of lag that are worth a colour: blocks come each minute
const OLD = 3 * 60_000; // ms after which a reading says how old it is
const SEVERITIES = ["", "info", "warning", "critical"];

/** By name. @type {Map<string, Row>} */
let rows = new Map();
let version = 0, etag = "", ahead = 0; // the hub's clock, ms
/** Sites whose gateways are not shown. @type {Set<string>} */
const folded = new Set();

const now = () => Date.now() + ahead;
const severity = (/** @type {Row} */ { alarms = [], audit, twin }) => Math.max(audit || twin ? 2 : 0, ...alarms.map((a) => SEVERITIES.indexOf(a.severity)));
const inFleet = (/** @type {Row[]} */ all) => all.filter((r) => r.presence.state !== "revoked");
const are = (/** @type {Row[]} */ all, /** @type {string} */ state) => all.filter((r) => r.presence.state === state).length;
const sends = (/** @type {Row} */ { presence }) => presence.state === "here" || presence.state === "away";
/** How long ago that was by the gateway's clock. @param {Row} row @param {number} time */
const ago = ({ behind_ms = 0 }, time) => Math.max(0, now() - time - behind_ms);
const lag = (/** @type {Row} */ row) => (row.stored ? ago(row, row.stored) : Infinity);
const newest = (/** @type {Row} */ row) => Math.min(...(row.readings ?? []).map(({ time }) => ago(row, time)));

/** @type {Record<string, (a: Row, b: Row) => number>} */
const orders = {
  name: () => 0,
  alarms: (a, b) => severity(b) - severity(a) || (b.alarms?.length ?? 0) - (a.alarms?.length ?? 0),
  presence: (a, b) => Number(a.presence.state === "here") - Number(b.presence.state === "here") || (b.presence.since ?? 0) - (a.presence.since ?? 0),
  lag: (a, b) => (lag(b) === lag(a) ? 0 : lag(b) - lag(a)),
  reading: (a, b) => (newest(a) === newest(b) ? 0 : newest(a) - newest(b)),
  version: (a, b) => (a.version ?? "").localeCompare(b.version ?? "", undefined, { numeric: true }),
  bytes: (a, b) => b.bytes - a.bytes,
};

/** A number of bytes as people read it. @param {number} n */
function size(n) {
  let i = 0;
  for (; n >= 1000 && i < said.units.length - 1; i++) n /= 1000;
  return `${fixed(n, i && n < 100 ? 1 : 0)} ${said.units[i]}`;
}

/** @param {Reading} reading @param {Row} of */
function measured({ fault, values, time }, of) {
  const what = fault ? words.cause(fault, { words: fault.replaceAll("_", " "), meaning: "" }).words : values.map((v) => inUnit(v, v.value ?? NaN)).join(", ");
  const old = ago(of, time);
  return old > OLD ? `${what} (${said.old(age(old, 0))})` : what;
}

const show = list(get("rows"), (/** @type {Row | Group} */ entry) => ("rows" in entry ? "group" : "row"), make, (line, entry) => ("rows" in entry ? fillGroup(line, entry) : fillRow(line, entry)));

/** @param {string} kind */
function make(kind) {
  const line = copy(kind);
  if (kind === "group") {
    find(line, "button").addEventListener("click", () => {
      const { site } = line.dataset;
      if (!folded.delete(site)) folded.add(site);
      render();
    });
  }
  return line;
}

/** @param {HTMLElement} line @param {Group} group */
function fillGroup(line, { site, rows: of }) {
  mark(line, "site", site);
  const button = find(line, "button");
  text(button, site);
  button.setAttribute("aria-expanded", String(!folded.has(site)));
  text(find(line, "small"), said.group(count(inFleet(of).length), count(are(of, "here")), count(of.filter(severity).length)));
}

/** @param {HTMLElement} line @param {Row} row */
function fillRow(line, row) {
  const { name, title, presence, readings = [], alarms = [] } = row, behind = lag(row);
  mark(line, "presence", presence.state);
  mark(line, "severity", SEVERITIES[severity(row)]);
  mark(line, "late", String(presence.state === "here" && behind > LATE));
  const link = find(line, "a");
  if (link.getAttribute("href") !== `gateways/${name}/`) link.setAttribute("href", `gateways/${name}/`);
  text(link, name);
  text(find(line, ".name small"), title && title !== name ? title : "");
  const state = said.presence[presence.state] ?? presence.state;
  text(find(line, ".presence"), presence.since ? said.since(state, age(now() - presence.since, 0)) : state);
  say(find(line, ".readings"), readings.length ? said.more(measured(readings[0], row), readings.length - 1) : "–", readings.map((r) => `${r.sensor}: ${measured(r, row)}`));
  const wrong = [...(row.twin ? [[said.twin, row.twin]] : []), ...(row.audit ? [[said.audit, row.audit]] : []), ...alarms.map((a) => [a.name, a.name]), ...(row.uplink ? [[said.uplink, row.uplink]] : [])];
  say(find(line, ".alarms"), wrong.length ? said.more(wrong[0][0], wrong.length - 1) : "", wrong.map(([, all]) => all));
  mark(find(line, ".lag"), "label", said.lag); // where there is no head
  text(find(line, ".lag"), !sends(row) ? "" : behind === Infinity ? "–" : age(behind, 0));
  text(find(line, ".version"), row.version ?? "");
  text(find(line, ".bytes"), sends(row) ? size(row.bytes) : "");
}

/** A text that may be cut, and what there is to it. @param {HTMLElement} element @param {string} short @param {string[]} all */
function say(element, short, all) {
  text(element, short);
  if (element.title !== all.join("\n")) element.title = all.join("\n");
}

/** Shows what is to be seen of what is known. */
function render() {
  const site = get("site").value, order = orders[get("sort").value], grouped = get("grouped").checked;
  const asked = get("search").value.toLowerCase().split(/\s+/).filter(Boolean);
  const all = [...rows.values()].filter((r) => {
    if (site && r.site !== site) return false;
    const said = `${r.site}\n${r.name}\n${r.title ?? ""}\n${r.version ?? ""}`.toLowerCase();
    return asked.every((word) => said.includes(word));
  });
  all.sort((a, b) => order(a, b) || (a.name < b.name ? -1 : 1));
  /** @type {(Row | Group)[]} */
  let entries = all;
  if (grouped) {
    const groups = Map.groupBy(all, (r) => r.site);
    entries = [...groups].sort(([a], [b]) => (a < b ? -1 : 1)).flatMap(([name, of]) => [{ site: name, rows: of }, ...(folded.has(name) ? [] : of)]);
  }
  get("gateways").hidden = !entries.length;
  get("gateways").setAttribute("aria-rowcount", String(entries.length + 1));
  get("none").hidden = entries.length > 0 || !version;
  text(get("none"), rows.size ? said.none : said.noGateways);
  show(entries);
}

/** @param {Site[]} sites */
function showSites(sites) {
  const lost = sites.filter(({ connected }) => !connected).map(({ name, since, reason }) => said.siteLost(name, age(now() - since, 0), reason ?? ""));
  const box = get("sites");
  box.hidden = !lost.length;
  if (box.innerText.trim() !== lost.join("\n")) {
    box.replaceChildren(...lost.map((line) => {
      const item = document.createElement("li");
      item.textContent = line;
      return item;
    }));
  }
  const choice = get("site"), names = [...new Set([...rows.values()].map((r) => r.site))].sort();
  if ([...choice.options].slice(1).map(({ value }) => value).join() === names.join()) return;
  const chosen = choice.value;
  choice.replaceChildren(choice.options[0], ...names.map((name) => new Option(name, name, false, name === chosen)));
}

/** Takes an answer; whether it is whole. @param {{time: number, version: number, total: number, you: You, sites: Site[], gateways: Row[]}} answer */
function take({ time, version: newer, total, you, sites, gateways }) {
  if (!version) rows = new Map();
  for (const row of gateways) rows.set(row.name, row);
  ahead = time - Date.now();
  version = rows.size === total ? newer : 0; // one that is shown no longer is in no answer: then all are asked for
  const all = [...rows.values()];
  text(get("summary"), said.summary(count(inFleet(all).length), count(are(all, "here")), count(are(all, "away")), count(all.filter(severity).length)));
  get("account").hidden = !you.name;
  text(get("who"), `${you.name} · ${words.roles[you.role] ?? you.role}`);
  showSites(sites);
  render();
  return version > 0;
}

/** Asks for what has changed. */
async function ask() {
  const answer = await fetch(`api/v1/gateways${version ? `?since=${version}` : ""}`, {
    headers: version && etag ? { "If-None-Match": etag } : {}, cache: "no-store", signal: AbortSignal.timeout(PATIENCE),
  });
  get("enter").hidden = answer.status !== 401;
  get("account").hidden ||= answer.status === 401;
  if (answer.status === 401) throw new Error(said.logIn);
  if (answer.status !== 304 && !answer.ok) throw new Error(`${answer.status} ${(await answer.text()).slice(0, 300)}`);
  if (answer.status === 304) return render(); // ages grow
  if (!take(await answer.json())) etag = "";
  else etag = answer.headers.get("ETag") ?? "";
}

async function logOut() {
  get("log-out").disabled = true;
  try {
    const answer = await fetch("logout", { method: "POST" });
    if (!answer.ok) throw new Error(`${answer.status}: ${await answer.text()}`);
    location.reload();
  } catch (error) {
    text(get("who"), words.notLoggedOut(/** @type {Error} */ (error).message));
    get("log-out").disabled = false;
  }
}

/** @param {string} phase @param {string} what */
function phase(phase, what) {
  mark(get("status"), "phase", phase);
  text(get("status-text"), what);
}

async function keep() {
  for (;;) {
    try {
      await ask();
      phase("live", said.live);
      text(get("trouble"), "");
    } catch (error) {
      phase("waiting", words.notConnected);
      text(get("trouble"), said.trouble(/** @type {Error} */ (error).message));
    }
    await new Promise((then) => setTimeout(then, EVERY));
    while (document.hidden) await new Promise((then) => document.addEventListener("visibilitychange", then, { once: true }));
  }
}

await ready;
for (const [english, set] of texts(document)) {
  const other = spoken(english);
  if (other) set(other);
}
get("log-out").addEventListener("click", logOut);
for (const [id, event] of [["search", "input"], ["site", "change"], ["sort", "change"], ["grouped", "change"]]) get(id).addEventListener(event, render);
await keep();
