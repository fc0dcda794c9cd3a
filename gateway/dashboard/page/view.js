// @ts-check
// Which span of time and which sensors the charts show, and when they are drawn. The
// page's address says the same.

import { read, write } from "./address.js";
import { Charts } from "./chart.js";
import { Columns, stepOf } from "./columns.js";
import { breakable, find, get, press, text, watch } from "./dom.js";
import { csv, download } from "./export.js";
import { clock, inUnit, locale, measured } from "./format.js";
import { gestures } from "./gestures.js";
import { inGroup, shown as cards } from "./groups.js";
import { DAY, History, HOUR, oldest } from "./history.js";
import { fillTable } from "./table.js";
import { derivedFrom, want, wanted } from "./units.js";
import { causeSaid, words } from "./words.js";

/** @typedef {import("./sensor.js").Sensor} Sensor */
/** @typedef {import("./readings.js").Quantity} Quantity */
/** @typedef {import("./chart.js").View} View */
/** @typedef {import("./chart.js").Group} Group */

const LEAST = 1000; // ms in view
const MOST = 3660 * DAY; // ms in view
const SHOWN = 4; // sensors, unless others are chosen
const RANGE = 60_000; // ms, unless another is chosen
const SETTLED = 300; // ms without a change after which the address follows: browsers bear few changes
const COLOURS = 8;
const AT_MOST = 1000; // ms between two drawings of a chart that follows live readings
const CALM = matchMedia("(prefers-reduced-motion: reduce)");
const DARK = matchMedia("(prefers-color-scheme: dark)");

export class HistoryView {
  /** @type {Sensor[]} */
  #sensors = [];
  /** @type {number | undefined} ms of all that is stored, when it was last asked for */
  #whole;
  #range = RANGE; // ms, while it follows
  #together = false; // on one scale
  /** @type {View | undefined} zoomed into; while there is one, nothing moves */
  #zoom;
  #drawn = -Infinity;
  #tabled = -Infinity;
  #step = 100;
  /** @type {Map<string, Columns>} as drawn, by sensor */
  #columns = new Map();
  /** @type {number | undefined} where the cursor is, Unix ms */
  #cursor;
  /** @type {import("./units.js").Limit[]} */
  #limits = [];
  #moved = false;
  #near = true; // in sight, or about to be
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #settling;
  #base;
  #history;
  #charts;
  #redraw;

  /**
   * @param {URL} base of the gateway's addresses @param {() => number} now on the gateway's clock
   * @param {() => void} redraw asks for an animation frame
   */
  constructor(base, now, redraw) {
    this.#base = base;
    this.now = now;
    this.#redraw = () => {
      this.#drawn = this.#tabled = -Infinity;
      redraw();
    };
    this.#history = new History(base, this.#redraw);
    this.#charts = new Charts(get("charts"), {
      zoom: (view) => this.#show(view),
      live: () => this.#show(undefined),
      cursor: (time) => {
        this.#moved ||= this.#cursor !== time;
        this.#cursor = time;
        redraw();
      },
    });
    const view = this;
    gestures(get("charts"), { get view() { return view.view; }, show: (wanted) => this.#show(wanted) });
    watch(get("charts"), (near) => {
      this.#near = near;
      if (near) this.#redraw();
    });
    this.#go();
    window.addEventListener("hashchange", () => {
      this.#go();
      this.#choose(read(location.hash).sensors);
    });
    document.addEventListener("groups", (event) => {
      if (/** @type {CustomEvent} */ (event).detail) {
        for (const sensor of this.#sensors) sensor.shown = undefined;
        this.#choose();
      }
      this.#note();
    });
    DARK.addEventListener("change", () => this.#rebuild());
    get("together").addEventListener("click", () => {
      this.#together = !this.#together;
      get("together").setAttribute("aria-pressed", String(this.#together));
      this.#rebuild();
    });
    get("ranges").addEventListener("click", (/** @type {any} */ { target }) => {
      if (target === get("all")) void this.#all();
      if (!target.dataset.range) return;
      this.#range = Number(target.dataset.range);
      this.#show(undefined);
    });
    get("live").addEventListener("click", () => {
      this.#show(undefined);
      get("charts").focus();
    });
    get("as-table").addEventListener("click", () => {
      const shown = get("table").hidden;
      get("table").hidden = !shown;
      get("as-table").setAttribute("aria-pressed", String(shown));
      this.#redraw();
    });
    for (const what of /** @type {("fahrenheit" | "derived")[]} */ (["fahrenheit", "derived"])) get(what).addEventListener("click", () => want(what, !wanted[what]));
    document.addEventListener("units", () => this.#units());
    this.#units();
    get("export").addEventListener("click", () => this.#export());
    get("charts").addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => this.#key(event));
    get("charts").addEventListener("blur", () => this.#charts.leave());
  }

  /** @param {Sensor[]} sensors all of them, each of what it measures */
  begin(sensors) {
    const known = this.#sensors.length > 0;
    this.#sensors = sensors;
    this.#columns = new Map();
    get("legend").replaceChildren(...sensors.map((sensor) => this.#chip(sensor)));
    this.#choose(known ? undefined : read(location.hash).sensors);
    this.#note();
  }

  /** Shows these limits where they are in a chart. @param {import("./units.js").Limit[]} limits */
  limit(limits) {
    if (JSON.stringify(limits) === JSON.stringify(this.#limits)) return;
    this.#limits = limits;
    this.#rebuild();
  }

  /** Shows values in the units that are wanted, and those that follow from others. */
  #units() {
    for (const what of /** @type {("fahrenheit" | "derived")[]} */ (["fahrenheit", "derived"])) get(what).setAttribute("aria-pressed", String(wanted[what]));
    this.#nameExport();
    this.#rebuild();
  }

  /** What is shown of a sensor. @param {Sensor} sensor @returns {Quantity[]} */
  #quantities = ({ quantities }) => [...quantities, ...derivedFrom(quantities)];

  /** Shows these sensors; without a choice, those that were shown, or the first few. @param {string[]} [names] */
  #choose(names) {
    const chosen = names?.some((name) => this.#sensors.some(({ info }) => info.name === name));
    for (const sensor of this.#sensors) sensor.shown = chosen ? names?.includes(sensor.info.name) : sensor.shown ?? this.#usual.includes(sensor);
    this.#rebuild();
  }

  /** Those that are shown unless others are chosen. */
  get #usual() {
    return inGroup(this.#sensors).slice(0, SHOWN);
  }

  get #shown() {
    return this.#sensors.filter((s) => s.shown);
  }

  #rebuild() {
    const shown = this.#shown, free = Array.from({ length: COLOURS }, (_, i) => i).filter((i) => !shown.some(({ colour }) => colour === i));
    for (const sensor of shown) sensor.colour ??= free.shift() ?? this.#sensors.indexOf(sensor) % COLOURS;
    for (const sensor of this.#sensors) if (!sensor.shown) sensor.colour = undefined;
    const offered = inGroup(this.#sensors);
    [...get("legend").children].forEach((button, i) => {
      const { shown, colour } = this.#sensors[i];
      button.hidden = !shown && !offered.includes(this.#sensors[i]);
      button.style.setProperty("--of", shown ? `var(--series-${colour})` : "");
      button.setAttribute("aria-pressed", String(shown));
    });
    const all = [...get("legend").children].filter(({ hidden }) => !hidden).length;
    text(get("chosen"), shown.length === all ? "" : words.shownOf(shown.length, all));
    get("together").hidden = shown.length < 2;
    /** @type {Group[]} */
    const groups = [];
    for (const sensor of shown) {
      const { info, colour = 0 } = sensor;
      this.#quantities(sensor).forEach(({ quantity, unit }, value) => {
        let group = groups.find((g) => g.quantity === quantity);
        if (!group) groups.push(group = { quantity, unit, traces: [] });
        const limits = this.#limits.filter((l) => l.sensor === info.name && l.quantity === quantity).map(({ limit }) => limit);
        group.traces.push({ name: info.name, value, colour, limits });
      });
    }
    this.#charts.begin(groups, this.#together);
    this.#redraw();
  }

  /** @param {Sensor} sensor */
  #chip(sensor) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "trace";
    button.append(...breakable(sensor.info.name));
    button.title = words.showOrHide;
    button.addEventListener("click", () => {
      sensor.shown = !sensor.shown;
      this.#rebuild();
      this.#note();
    });
    return button;
  }

  /** Goes to the time that the address says. */
  #go() {
    const { range, from, to } = read(location.hash);
    this.#range = range ?? RANGE;
    this.#show(from !== undefined && to !== undefined ? { from, to } : undefined);
  }

  /** Puts what is shown into the address, soon; until the sensors are known, the address says what to show. */
  #note() {
    clearTimeout(this.#settling);
    this.#settling = setTimeout(() => {
      if (!this.#sensors.length) return;
      const shown = this.#shown, usual = String(shown.map(({ info }) => info.name)) === String(this.#usual.map(({ info }) => info.name));
      const hash = write({
        range: this.#range === RANGE ? undefined : this.#range, ...this.#zoom,
        sensors: usual ? undefined : shown.map(({ info }) => info.name), ...cards,
      });
      if (hash !== location.hash) history.replaceState(history.state, "", hash || location.pathname + location.search);
    }, SETTLED);
  }

  /** Shows all that is stored of the sensors that are shown: whole hours, or days. */
  async #all() {
    const to = Math.ceil(this.now()), shown = this.#shown, names = shown.map(({ info }) => info.name);
    // Where the gateway keeps none, or does not answer, there is what the page has itself.
    const held = Math.min(to - RANGE, ...shown.map(({ ring }) => ring.oldest));
    const from = await oldest(this.#base, names, to).then((kept) => Math.min(kept, held), () => held);
    const unit = [DAY, HOUR].find((unit) => to - from > unit) ?? RANGE;
    this.#range = this.#whole = Math.ceil((to - from) / unit) * unit;
    this.#show(undefined);
  }

  /** What is in view, on the gateway's clock. @returns {View} */
  get view() {
    const to = Math.round(this.now());
    return this.#zoom ?? { from: to - this.#range, to };
  }

  /** @param {View | undefined} zoom undefined follows */
  #show(zoom) {
    if (zoom) {
      const span = Math.min(Math.max(zoom.to - zoom.from, LEAST), MOST), middle = (zoom.from + zoom.to) / 2, to = Math.min(middle + span / 2, this.#sensors.length ? this.now() : Infinity); // before hello, now is the browser's
      zoom = { from: Math.floor(to - span), to: Math.ceil(to) };
    }
    this.#zoom = zoom;
    get("live").hidden = !zoom;
    press(get("ranges"), (button) => !zoom && (button === get("all") ? this.#whole : Number(button.dataset.range)) === this.#range);
    this.#note();
    this.#redraw();
  }

  /** Draws what has changed: each chart in a frame of its own. @param {number} at performance.now() @param {boolean} refresh */
  * draw(at, refresh) {
    const view = this.view, { from, to } = view;
    const pace = CALM.matches || this.#zoom || !this.#near ? AT_MOST : Math.min(this.#step / 2, AT_MOST);
    if (at - this.#drawn >= pace) {
      this.#drawn = at;
      yield;
      const step = (this.#step = stepOf(to - from, Math.max(this.#charts.width, 100)));
      const begin = Math.floor(from / step) * step, count = Math.ceil((to - begin) / step) + 1;
      const shown = this.#shown;
      this.#history.want(shown.map(({ info: { name }, ring: { oldest, names } }) => ({ name, raw: oldest, names })), begin, to, step, this.#zoom ? (to - from) / 2 : 0);
      this.#columns = new Map(shown.map(({ info, ring, quantities }) => [info.name,
        new Columns(begin, step, count, ring.names.length).fill(ring, this.#history.slabs.get(info.name), info.interval_ms).derive(derivedFrom(quantities))]));
      yield* this.#charts.draw(this.#columns, view);
      if (!get("table").hidden && at - this.#tabled >= AT_MOST) this.#fillTable(at);
    }
    if (refresh || this.#moved) this.#read();
    this.#moved = false;
  }

  /** @param {number} at performance.now() */
  #fillTable(at) {
    const { from, to } = this.view;
    this.#tabled = at;
    text(get("table-title"), words.table(stamp(from, this.#step), stamp(to, this.#step)));
    fillTable(find(get("table"), "tbody"), this.#shown.flatMap((sensor) => {
      const { name } = sensor.info, columns = this.#columns.get(name);
      return this.#quantities(sensor).map((of, value) => ({ name, ...of, value, columns }));
    }));
  }

  /** Writes what is under the cursor beside the lines. */
  #read() {
    const time = this.#cursor, { from, to } = this.view;
    text(get("cursor-time"), time !== undefined ? stamp(time, this.#step) : this.#zoom ? words.fromTo(stamp(from, this.#step), stamp(to, this.#step)) : "");
    this.#charts.say(({ name, value }, { quantity, unit }) => {
      const columns = this.#columns.get(name), sensor = this.#sensors.find(({ info }) => info.name === name);
      return time === undefined || !columns || !sensor ? "" : at(columns, value, { quantity, unit }, time, sensor.info.interval_ms);
    });
  }

  /** Has a screen reader say what is under the cursor, only when it was moved: new readings come without end. */
  #speak() {
    this.#read();
    const { from, to } = this.view, slider = get("charts"), time = this.#cursor ?? to, part = Math.round(((time - from) / (to - from)) * 100);
    slider.setAttribute("aria-valuenow", String(Math.min(Math.max(part, 0), 100)));
    slider.setAttribute("aria-valuetext", [stamp(time, this.#step), ...this.#shown.map((sensor) => {
      const { info } = sensor, columns = this.#columns.get(info.name);
      return `${info.name} ${this.#quantities(sensor).map((of, i) => (columns ? at(columns, i, of, time, info.interval_ms) : "–")).join(" ")}`;
    })].join(", "));
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    if (event.target !== get("charts") || event.ctrlKey || event.metaKey || event.altKey) return;
    const { from, to } = this.view, centre = this.#cursor ?? to;
    const zoom = (/** @type {number} */ factor) => this.#show({ from: centre - (centre - from) * factor, to: centre + (to - centre) * factor });
    /** @type {Record<string, () => void>} */
    const keys = {
      ArrowLeft: () => this.#charts.move(event.shiftKey ? -50 : -5),
      ArrowRight: () => this.#charts.move(event.shiftKey ? 50 : 5),
      Home: () => this.#charts.move(-1e6),
      End: () => {
        this.#charts.leave();
        this.#show(undefined);
      },
      "+": () => zoom(0.5),
      "-": () => zoom(2),
      PageUp: () => this.#show({ from: from - (to - from) / 2, to: from + (to - from) / 2 }),
      PageDown: () => this.#show({ from: from + (to - from) / 2, to: to + (to - from) / 2 }),
    };
    if (!keys[event.key]) return;
    event.preventDefault();
    keys[event.key]();
    this.#speak();
  }

  /** The button says what the file has, where that is not what the page shows. */
  #nameExport() {
    text(get("export"), words.exportCSV + (wanted.fahrenheit ? " (°C)" : ""));
  }

  async #export() {
    const shown = this.#shown, view = this.view, button = get("export");
    let lacks = "";
    try {
      const file = await csv(this.#base, shown, view, this.#step, ({ minutes, asked, why }) => (lacks = words.exportLacks(minutes, asked, why)));
      download(`gateway-${new Date(view.from).toISOString().replace(/[:.]/g, "")}.csv`, file);
      text(get("announcement"), lacks || words.exported);
      text(get("lacking"), lacks);
      this.#nameExport();
    } catch (error) {
      text(button, words.exportFailed);
      text(get("announcement"), words.exportFailedAloud(/** @type {Error} */ (error).message));
    }
  }
}

/**
 * What one of the values is at a time, in words.
 * @param {Columns} columns @param {number} value which of them @param {Quantity} of @param {number} time @param {number} interval ms
 */
function at(columns, value, of, time, interval) {
  const i = columns.nearest(Math.min(Math.floor((time - columns.from) / columns.step), columns.count - 1), interval);
  if (i < 0 || !columns.spans[value]) return words.noRecord; // or just chosen, not drawn yet
  const { counts, failed, spans, faults } = columns, { sum, min, max } = spans[value];
  const trouble = failed[i] ? `${counts[i] ? words.failedOf(failed[i], counts[i] + failed[i]) : words.failed}: ${causeSaid(faults[i]).words}` : "";
  if (!counts[i]) return trouble;
  const low = measured(of, min[i]), high = measured(of, max[i]);
  return [inUnit(of, sum[i] / counts[i]), low === high || !Number.isFinite(min[i]) ? "" : `(${low} … ${high})`, trouble].filter(Boolean).join(" ");
}

/** @param {number} time @param {number} step */
const stamp = (time, step) => (step >= 60_000 ? `${new Date(time).toLocaleDateString(locale, { weekday: "short", day: "numeric", month: "short" })} ` : "") + clock(time);
