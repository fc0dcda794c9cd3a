// @ts-check
// Which span of time the charts show, and when they are drawn.

import { Charts } from "./chart.js";
import { Columns, stepOf } from "./columns.js";
import { get, press, text } from "./dom.js";
import { csv, download } from "./export.js";
import { clock, humidity, temperature } from "./format.js";
import { History } from "./history.js";
import { cause, measuresClimate } from "./readings.js";

/** @typedef {import("./sensor.js").Sensor} Sensor */
/** @typedef {import("./chart.js").View} View */

const LEAST = 1000; // ms in view
const SHOWN = 8; // sensors, to begin with
const COLOURS = 8;
const AT_MOST = 1000; // ms between two drawings of a chart that follows live readings
const CALM = matchMedia("(prefers-reduced-motion: reduce)");
const DARK = matchMedia("(prefers-color-scheme: dark)");

export class HistoryView {
  /** @type {Sensor[]} */
  #sensors = [];
  #range = 60_000; // ms, while it follows
  /** @type {View | undefined} zoomed into; while there is one, nothing moves */
  #zoom;
  #drawn = -Infinity;
  #step = 100;
  /** @type {Map<Sensor, Columns>} as drawn */
  #columns = new Map();
  /** @type {number | undefined} where the cursor is, Unix ms */
  #cursor;
  #moved = false;
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
      this.#drawn = -Infinity;
      redraw();
    };
    this.#history = new History(base, this.#redraw);
    this.#charts = new Charts([get("temperature"), get("humidity")], {
      zoom: (view) => this.#show(view),
      live: () => this.#show(undefined),
      cursor: (time) => {
        this.#moved ||= this.#cursor !== time;
        this.#cursor = time;
        redraw();
      },
    });
    DARK.addEventListener("change", () => this.begin(this.#sensors));
    get("ranges").addEventListener("click", (/** @type {any} */ { target }) => {
      if (!target.dataset.range) return;
      this.#range = Number(target.dataset.range);
      this.#show(undefined);
    });
    get("live").addEventListener("click", () => {
      this.#show(undefined);
      get("charts").focus();
    });
    get("export").addEventListener("click", () => this.#export());
    get("charts").addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => this.#key(event));
    get("charts").addEventListener("blur", () => this.#charts.leave());
  }

  /** @param {Sensor[]} all sensors; the charts show those that measure temperature and humidity */
  begin(all) {
    const sensors = all.filter(({ info }) => measuresClimate(info));
    const fresh = sensors.length !== this.#sensors.length || sensors.some((s, i) => s !== this.#sensors[i]);
    this.#sensors = sensors;
    if (fresh) {
      sensors.forEach((sensor, i) => (sensor.shown &&= i < SHOWN));
      this.#columns = new Map();
      get("legend").tBodies[0].replaceChildren(...sensors.map((sensor, i) => this.#row(sensor, i)));
    }
    this.#charts.begin(sensors.map(({ info, shown }, i) => ({ ...info, shown, colour: i % COLOURS })));
    this.#redraw();
  }

  /** @param {Sensor} sensor @param {number} i */
  #row(sensor, i) {
    const row = document.createElement("tr"), head = document.createElement("th"), button = document.createElement("button");
    head.scope = "row";
    button.type = "button";
    button.className = `trace series-${i % COLOURS}`;
    button.setAttribute("aria-pressed", String(sensor.shown));
    button.textContent = sensor.info.name;
    button.title = "Show or hide in the charts";
    button.addEventListener("click", () => {
      sensor.shown = !sensor.shown;
      button.setAttribute("aria-pressed", String(sensor.shown));
      this.#redraw();
    });
    head.append(button);
    const remark = document.createElement("td");
    remark.className = "wide";
    row.append(head, document.createElement("td"), document.createElement("td"), remark);
    return row;
  }

  /** What is in view, on the gateway's clock. @returns {View} */
  get view() {
    const to = Math.round(this.now());
    return this.#zoom ?? { from: to - this.#range, to };
  }

  /** @param {View | undefined} zoom undefined follows */
  #show(zoom) {
    if (zoom && zoom.to - zoom.from < LEAST) {
      const middle = (zoom.from + zoom.to) / 2;
      zoom = { from: middle - LEAST / 2, to: middle + LEAST / 2 };
    }
    this.#zoom = zoom && { from: Math.floor(zoom.from), to: Math.ceil(zoom.to) };
    get("live").hidden = !zoom;
    press(get("ranges"), (button) => !zoom && Number(button.dataset.range) === this.#range);
    this.#redraw();
  }

  /** Draws what has changed. @param {number} at performance.now() @param {boolean} refresh */
  draw(at, refresh) {
    const view = this.view, { from, to } = view;
    const pace = CALM.matches || this.#zoom ? AT_MOST : Math.min(this.#step / 2, AT_MOST);
    if (at - this.#drawn >= pace) {
      this.#drawn = at;
      const step = (this.#step = stepOf(to - from, Math.max(this.#charts.width, 100)));
      const begin = Math.floor(from / step) * step, count = Math.ceil((to - begin) / step) + 1;
      const shown = this.#sensors.filter((s) => s.shown);
      this.#history.want(shown.map(({ info, ring }) => ({ name: info.name, raw: ring.oldest })), begin, to, step);
      this.#columns = new Map(shown.map((s) => [s, new Columns(begin, step, count).fill(s.ring, this.#history.slabs.get(s.info.name), s.info.interval_ms)]));
      this.#charts.draw(this.#sensors.map((s) => this.#columns.get(s)), view);
    }
    if (refresh || this.#moved) this.#read();
    this.#moved = false;
  }

  /** Shows in the table what is under the cursor, or what is newest. */
  #read() {
    const time = this.#cursor ?? this.view.to, rows = get("legend").tBodies[0].rows;
    text(get("cursor-time"), this.#cursor === undefined ? (this.#zoom ? "At the end of the chart" : "Newest") : stamp(time, this.#step));
    this.#sensors.forEach((sensor, i) => {
      const cells = rows[i].cells, columns = this.#columns.get(sensor);
      const [t, h, remark] = !columns ? ["–", "–", "hidden"] : this.#cursor === undefined && !this.#zoom ? newest(sensor) : at(columns, time, sensor.info.interval_ms);
      text(cells[1], t);
      text(cells[2], h);
      text(cells[3], remark);
      cells[3].classList.toggle("bad", remark.includes("failed"));
    });
  }

  /** Has a screen reader say what is under the cursor. Only when the cursor was moved: new readings would make it speak without end. */
  #speak() {
    this.#read();
    const { from, to } = this.view, slider = get("charts"), part = Math.round((((this.#cursor ?? to) - from) / (to - from)) * 100);
    slider.setAttribute("aria-valuenow", String(Math.min(Math.max(part, 0), 100)));
    slider.setAttribute("aria-valuetext", [get("cursor-time"), ...get("legend").tBodies[0].rows]
      .map((row) => [...(row.cells ?? [row])].map((cell) => cell.textContent).join(" ").trim()).join(", "));
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
    };
    if (!keys[event.key]) return;
    event.preventDefault();
    keys[event.key]();
    this.#speak();
  }

  async #export() {
    const shown = this.#sensors.filter((s) => s.shown), view = this.view, button = get("export");
    try {
      download(`gateway-${new Date(view.from).toISOString().replace(/[:.]/g, "")}.csv`, await csv(this.#base, shown, view, this.#step));
      text(get("announcement"), "Exported");
      text(button, "Export CSV");
    } catch (error) {
      text(button, "Export failed: try again");
      text(get("announcement"), `Export failed: ${/** @type {Error} */ (error).message}`);
    }
  }
}

/** The newest reading in words. @param {Sensor} sensor @returns {[string, string, string]} */
function newest({ good, fault }) {
  if (fault) return ["–", "–", `failed: ${cause(fault).words}`];
  return good ? [inUnit(temperature(good.reading.temperature ?? NaN), "°C"), inUnit(humidity(good.reading.humidity ?? NaN), "%"), ""] : ["–", "–", "no reading yet"];
}

/** A value with its unit, unless there is none. @param {string} value @param {string} unit */
const inUnit = (value, unit) => (value === "–" ? value : `${value} ${unit}`);

/** What there is at a time in words. @param {Columns} columns @param {number} time @param {number} interval ms @returns {[string, string, string]} */
function at(columns, time, interval) {
  const i = columns.nearest(Math.min(Math.floor((time - columns.from) / columns.step), columns.count - 1), interval);
  if (i < 0) return ["–", "–", "no record"];
  const { counts, failed, spans, faults } = columns;
  const value = (/** @type {number} */ n, /** @type {(v: number) => string} */ form) => {
    const { sum, min, max } = spans[n], mean = form(sum[i] / counts[i]);
    return form(min[i]) === form(max[i]) ? mean : `${mean} (${form(min[i])} … ${form(max[i])})`;
  };
  const trouble = failed[i] ? `${counts[i] ? `${failed[i]} of ${counts[i] + failed[i]} failed` : "failed"}: ${cause(faults[i]).words}` : "";
  return counts[i] ? [inUnit(value(0, temperature), "°C"), inUnit(value(1, humidity), "%"), trouble] : ["–", "–", trouble];
}

/** @param {number} time @param {number} step */
const stamp = (time, step) => (step >= 60_000 ? `${new Date(time).toLocaleDateString(undefined, { weekday: "short", day: "numeric", month: "short" })} ` : "") + clock(time);
