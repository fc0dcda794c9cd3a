// @ts-check
// The charts, a quantity each, drawn by uPlot: one line a sensor, a band from its
// lowest to its highest where a column stands for many readings, a mark where one
// failed. Each sensor has a strip with a scale of its own, one above the other, so that
// 22 °C and 5 °C are not two flat lines; or all share one scale.

import { breakable } from "./dom.js";
import { fixed, locale, shownAs } from "./format.js";
import { shownUnit, shownValue } from "./units.js";
// @ts-ignore: uplot.go has it
import { uPlot } from "./uPlot.js";
import { words } from "./words.js";

/** @typedef {import("./columns.js").Columns} Columns */
/** @typedef {{from: number, to: number}} View Unix ms on the gateway's clock */
/** @typedef {{name: string, value: number, colour: number, limits: number[]}} Trace one value of a sensor: which of them, and the limits that it has */
/** @typedef {{quantity: string, unit: string, traces: Trace[]}} Group what one chart shows */

const SERIES = 3; // a trace: mean, lowest, highest
const MARK = 3; // px
const TOP = 8, AXIS = 28, GUTTER = 54; // px above the lines, below, and to their left
const STRIP = { one: 160, least: 76, apart: 220 }; // px of height: alone, at least, of all if that is more
const SECOND = 1000, MINUTE = 60 * SECOND, HOUR = 60 * MINUTE, DAY = 24 * HOUR;

/** @param {Intl.DateTimeFormatOptions} options */
const clock = (options) => new Intl.DateTimeFormat(locale, { hourCycle: "h23", ...options });
const seconds = clock({ hour: "2-digit", minute: "2-digit", second: "2-digit" });
const minutes = clock({ hour: "2-digit", minute: "2-digit" });
const days = clock({ day: "numeric", month: "short" });

/** A time as precise as an axis with this step needs it. @param {number} time @param {number} step ms */
export function label(time, step) {
  if (step >= DAY) return days.format(time);
  if (step < MINUTE) return seconds.format(time);
  const date = new Date(time);
  return date.getHours() || date.getMinutes() ? minutes.format(time) : days.format(time);
}

/**
 * Round times of day in the browser's time zone, also where its offset changes.
 * @param {any} plot @param {number} axis @param {number} from @param {number} to @param {number} step ms
 */
export function round(plot, axis, from, to, step) {
  const zone = (/** @type {number} */ time) => new Date(time).getTimezoneOffset() * MINUTE;
  const begin = zone(from), splits = [];
  for (let local = Math.ceil((from - begin) / step) * step; ; local += step) {
    // Offsets change by whole hours, nearly everywhere: shorter steps stay round.
    const time = step > HOUR ? local + zone(local + zone(local + begin)) : local + begin;
    if (time > to) return splits;
    if (time >= from && time !== splits.at(-1)) splits.push(time);
  }
}

export class Charts {
  /** @type {Plot[]} */
  #plots = [];
  /** @type {View} */
  #view = { from: 0, to: 1 };
  #root;
  #on;

  /**
   * @param {HTMLElement} root
   * @param {{zoom: (view: View) => void, live: () => void, cursor: (time: number | undefined) => void}} on
   */
  constructor(root, on) {
    this.#root = root;
    this.#on = on;
    new ResizeObserver(() => this.#plots.forEach((plot) => plot.fit())).observe(root);
  }

  /** CSS pixels for the lines. */
  get width() {
    return this.#plots[0]?.plot.over.clientWidth || this.#root.clientWidth - GUTTER;
  }

  /** Replaces the charts by new ones, in the colours of the style sheet. @param {Group[]} groups @param {boolean} together on one scale */
  begin(groups, together) {
    this.#plots.forEach(({ plot }) => plot.destroy());
    this.#root.replaceChildren();
    const on = { ...this.#on, view: () => this.#view, select: (/** @type {any} */ plot) => this.#select(plot) };
    this.#plots = groups.map((group, i) => new Plot(this.#root, group, together, { ...on, cursor: i ? () => {} : on.cursor }));
  }

  /** Draws them, one a frame. @param {Map<string, Columns>} columns by sensor @param {View} view */
  * draw(columns, view) {
    this.#view = view;
    for (const [i, plot] of this.#plots.entries()) {
      if (i) yield;
      if (this.#plots[i] !== plot) return; // others are shown meanwhile
      plot.draw(columns, view);
    }
  }

  /** Writes beside each name what its line is under the cursor. @param {(trace: Trace, group: Group) => string} what */
  say(what) {
    this.#plots.forEach((plot) => plot.say(what));
  }

  /** Moves the cursor by so many CSS pixels; from now if it is nowhere. @param {number} pixels */
  move(pixels) {
    const plot = this.#plots[0]?.plot, width = this.width;
    const left = plot?.cursor.left >= 0 ? plot.cursor.left : width;
    plot?.setCursor({ left: Math.min(Math.max(left + pixels, 0), width - 1), top: 1 });
  }

  leave() {
    this.#plots[0]?.plot.setCursor({ left: -10, top: -10 });
  }

  /** @param {any} plot */
  #select(plot) {
    const { left, width } = plot.select;
    if (width < 4) return;
    this.#plots.forEach((each) => each.plot.setSelect({ left: 0, width: 0, top: 0, height: 0 }, false));
    this.#on.zoom({ from: plot.posToVal(left, "x"), to: plot.posToVal(left + width, "x") });
  }
}

/** @typedef {{view: () => View, select: (plot: any) => void, live: () => void, cursor: (time: number | undefined) => void}} On */

/** The chart of one quantity. */
class Plot {
  /** @type {(Columns | undefined)[]} of the traces */
  #columns = [];
  #labels;
  #on;
  #root;
  #together;

  /** @param {HTMLElement} charts @param {Group} group @param {boolean} together @param {On} on */
  constructor(charts, group, together, on) {
    const { traces, quantity, unit } = group, figure = document.createElement("div"), head = document.createElement("p"), measure = document.createElement("span");
    this.group = group;
    this.#on = on;
    this.#together = together = together || traces.length === 1;
    const root = (this.#root = document.createElement("div"));
    figure.className = "chart";
    head.append(`${shownAs(quantity).name} `, measure);
    measure.textContent = shownUnit(unit);
    root.id = quantity;
    root.className = "plot";
    const strips = together ? 1 : traces.length, lines = together ? STRIP.one : Math.max(STRIP.apart, STRIP.least * strips);
    root.style.height = `${TOP + lines + AXIS}px`;
    const names = document.createElement("ul");
    names.className = together ? "names together" : "names";
    this.#labels = traces.map(({ name, colour }, i) => {
      const item = document.createElement("li"), label = document.createElement("span"), value = document.createElement("span");
      label.className = "name";
      label.style.color = `var(--series-${colour})`;
      label.append(...breakable(name));
      item.append(label, value);
      if (!together) item.style.top = `${TOP + (i * lines) / strips}px`;
      names.append(item);
      return value;
    });
    names.ariaHidden = "true"; // the slider says it, with the values
    figure.append(head, root);
    charts.append(figure);
    this.plot = new uPlot(this.#options(uPlot.sync("charts")), [[]], root);
    root.append(names);
  }

  fit() {
    const { width, height } = size(this.#root);
    if (this.plot.width !== width || this.plot.height !== height) this.plot.setSize({ width, height }); // it is called first with the present size
  }

  /** @param {Map<string, Columns>} columns @param {View} view */
  draw(columns, view) {
    this.#columns = this.group.traces.map(({ name }) => columns.get(name));
    const times = this.#columns.find((c) => c)?.times(view.to) ?? [];
    this.plot.setData([times, ...this.#columns.flatMap((c, i) => {
      const { mean, min, max } = c?.lines()[this.group.traces[i].value] ?? { mean: [], min: [], max: [] };
      return [mean, min, max].map((line) => this.#shown(line));
    })]);
  }

  /** A line in the unit that is shown. @param {(number | null | undefined)[]} line */
  #shown(line) {
    const { unit } = this.group;
    return shownUnit(unit) === unit ? line : line.map((value) => value && shownValue(unit, value));
  }

  /** @param {(trace: Trace, group: Group) => string} what */
  say(what) {
    this.#labels.forEach((label, i) => {
      const said = what(this.group.traces[i], this.group);
      if (label.textContent !== said) label.textContent = said;
    });
  }

  /** @param {any} sync */
  #options(sync) {
    const { traces, quantity } = this.group, style = getComputedStyle(this.#root), colour = (/** @type {string} */ name) => style.getPropertyValue(name).trim();
    const { least } = shownAs(quantity), strips = this.#together ? 1 : traces.length, on = this.#on;
    const axis = { stroke: colour("--soft"), font: `12px ${style.fontFamily}`, grid: { stroke: colour("--grid"), width: 1 }, ticks: { show: false } };
    const scaleOf = (/** @type {number} */ trace) => `y${this.#together ? 0 : trace}`;
    /** @type {any} */
    const scales = { x: { time: true, range: () => [on.view().from, on.view().to] } };
    for (let i = 0; i < strips; i++) scales[scaleOf(i)] = { range: (/** @type {any} */ _, /** @type {number | null} */ low, /** @type {number | null} */ high) => strip(padded(low, high, least, strips > 1), i, strips) };
    return {
      ...size(this.#root),
      ms: 1,
      padding: [TOP, 16, 0, GUTTER],
      legend: { show: false },
      cursor: { y: false, sync: { key: sync.key, setSeries: false, filters: { sub: moves } }, drag: { x: true, y: false, setScale: false }, points: { size: 7 }, bind: { ...drags, dblclick: () => () => on.live() } },
      scales,
      axes: [
        { ...axis, space: 80, size: AXIS, gap: 4, splits: round, values: (/** @type {any} */ _, /** @type {number[]} */ splits, /** @type {any} */ __, /** @type {any} */ ___, /** @type {number} */ step) => splits.map((t) => label(t, step)) },
        { show: false, scale: scaleOf(0) },
      ],
      series: [{}, ...traces.flatMap((trace, i) => {
        const stroke = colour(`--series-${trace.colour}`), scale = scaleOf(i);
        const edge = { scale, stroke: "transparent", width: 0, points: { show: false }, spanGaps: false };
        return [{ scale, stroke, width: 1.5, spanGaps: false, points: { show: false, size: 4, fill: stroke, filter: alone } }, edge, edge];
      })],
      bands: traces.map((trace, i) => ({ series: [i * SERIES + 3, i * SERIES + 2], fill: `${colour(`--series-${trace.colour}`)}2e` })),
      hooks: {
        drawAxes: [(/** @type {any} */ plot) => {
          for (let i = 0; i < strips; i++) drawScale(plot, scaleOf(i), i, strips, axis);
        }],
        draw: [(/** @type {any} */ plot) => {
          this.#mark(plot, colour("--bad"));
          traces.forEach((trace, i) => drawLimits(plot, scaleOf(i), this.#together ? 0 : i, strips, trace.limits.map((limit) => shownValue(this.group.unit, limit)), { ...axis, stroke: colour(`--series-${trace.colour}`) }));
        }],
        setSelect: [on.select],
        setCursor: [(/** @type {any} */ plot) => on.cursor(plot.cursor.left >= 0 ? plot.posToVal(plot.cursor.left, "x") : undefined)],
      },
    };
  }

  /** Marks failures at the foot of each strip, or of the chart, a row for each trace. @param {any} plot @param {string} colour */
  #mark(plot, colour) {
    const { ctx, bbox } = plot, ratio = devicePixelRatio, { from, to } = this.#on.view();
    ctx.save();
    ctx.fillStyle = colour;
    this.#columns.forEach((columns, i) => {
      if (!columns) return;
      const foot = this.#together ? bbox.height - (i * (MARK + 1)) * ratio : (bbox.height * (i + 1)) / this.#columns.length;
      const width = Math.max(ratio, (bbox.width * columns.step) / (to - from));
      for (let c = 0; c < columns.count; c++) {
        if (!columns.failed[c]) continue;
        const x = plot.valToPos(columns.from + c * columns.step, "x", true);
        if (x >= bbox.left && x <= bbox.left + bbox.width) ctx.fillRect(x, bbox.top + foot - (MARK + 1) * ratio, width, MARK * ratio);
      }
    });
    ctx.restore();
  }
}

/**
 * Draws the scale of one of the strips of a chart: round values and their lines.
 * @param {any} plot @param {string} scale @param {number} which @param {number} of how many @param {any} axis
 */
function drawScale({ ctx, bbox, scales, valToPos }, scale, which, of, axis) {
  const { min, max } = scales[scale], ratio = devicePixelRatio, height = bbox.height / of;
  ctx.save();
  ctx.strokeStyle = axis.grid.stroke;
  ctx.lineWidth = ratio;
  const line = (/** @type {number} */ y) => {
    ctx.beginPath();
    ctx.moveTo(bbox.left, y);
    ctx.lineTo(bbox.left + bbox.width, y);
    ctx.stroke();
  };
  if (which) {
    ctx.strokeStyle = axis.stroke;
    line(Math.round(bbox.top + which * height));
    ctx.strokeStyle = axis.grid.stroke;
  }
  if (min !== null && min !== undefined) {
    const span = (max - min) / of, low = min + span * (of - 1 - which);
    ctx.fillStyle = axis.stroke;
    ctx.font = axis.font.replace("12px", `${12 * ratio}px`);
    ctx.textAlign = "right";
    ctx.textBaseline = "middle";
    const first = (/** @type {number} */ step) => Math.ceil((low + span * 0.08) / step) * step, last = low + span * 0.92;
    let step = ticks(span, height / ratio / 30);
    if (first(step) + step > last) step = ticks(span, height / ratio / 15); // of one value, nobody reads a scale
    const digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
    for (let value = first(step); value <= last; value += step) {
      const y = Math.round(valToPos(value, scale, true));
      line(y);
      ctx.fillText(fixed(value, digits), bbox.left - 6 * ratio, y);
    }
  }
  ctx.restore();
}

/**
 * Draws the limits that are in one of the strips of a chart.
 * @param {any} plot @param {string} scale @param {number} which @param {number} of how many @param {number[]} limits @param {any} axis
 */
function drawLimits({ ctx, bbox, valToPos }, scale, which, of, limits, axis) {
  const ratio = devicePixelRatio, height = bbox.height / of, top = bbox.top + which * height;
  ctx.save();
  ctx.strokeStyle = ctx.fillStyle = axis.stroke;
  ctx.lineWidth = ratio;
  ctx.setLineDash([6 * ratio, 4 * ratio]);
  ctx.font = axis.font.replace("12px", `${11 * ratio}px`);
  ctx.textAlign = "right";
  ctx.textBaseline = "bottom";
  for (const limit of limits) {
    const y = Math.round(valToPos(limit, scale, true));
    if (!(y > top && y < top + height)) continue; // nothing was measured, or it is far away
    ctx.beginPath();
    ctx.moveTo(bbox.left, y);
    ctx.lineTo(bbox.left + bbox.width, y);
    ctx.stroke();
    ctx.fillText(words.limit(fixed(limit, [0, 1].find((digits) => Number(limit.toFixed(digits)) === limit) ?? 2)), bbox.left + bbox.width - 4 * ratio, y);
  }
  ctx.restore();
}

/** The round step with which a span has about so many values. @param {number} span @param {number} count */
function ticks(span, count) {
  const least = span / Math.max(count, 1), power = 10 ** Math.floor(Math.log10(least));
  return ([1, 2, 5].find((m) => m * power >= least) ?? 10) * power;
}

/**
 * The events of one chart that the other follows: moves of the cursor. If it followed
 * buttons too, both would zoom, the other one to a place where the mouse never was.
 * @param {string} type of event
 */
const moves = (type) => type !== "mousedown" && type !== "mouseup";

/** A drag ends where the mouse is released, also outside of the chart, where uPlot would go on to the edge. @type {Record<string, (plot: any, _: any, handle: any) => (event: MouseEvent) => void>} */
const drags = {
  mouseleave: (plot, _, handle) => (event) => plot.cursor.drag._x || handle(event),
  mouseup: (plot, _, handle) => (event) => {
    if (event.button) return;
    const { left, width } = plot.over.getBoundingClientRect();
    plot.setCursor({ left: Math.min(Math.max(event.clientX - left, 0), width), top: 1 });
    handle(event);
    if (!plot.over.matches(":hover")) plot.setCursor({ left: -10, top: -10 });
  },
};

/** @param {HTMLElement} root */
const size = (root) => ({ width: Math.max(root.clientWidth, 100), height: Math.max(root.clientHeight, 100) });

/**
 * A scale that neither touches its lines nor moves with each of them.
 * @param {number | null} low @param {number | null} high @param {number} least @param {boolean} named with a name above the lines
 */
function padded(low, high, least, named) {
  if (low === null || high === null) return [null, null];
  const span = Math.max(high - low, least) || 1, step = 10 ** Math.floor(Math.log10(span)) / 5, middle = (low + high) / 2;
  return [Math.floor((middle - span * 0.68) / step) * step, Math.ceil((middle + span * (named ? 0.95 : 0.55)) / step) * step]; // more below, for the marks
}

/**
 * The scale of a chart that puts a range into one of its strips, counted from above.
 * @param {(number | null)[]} range @param {number} which @param {number} of how many
 */
export function strip([low, high], which, of) {
  if (low === null || high === null) return [null, null];
  const span = high - low;
  return [low - span * (of - 1 - which), high + span * which];
}

/**
 * Points that are on no line, with a gap before and after them.
 * @param {any} plot @param {number} series
 */
function alone(plot, series) {
  const values = plot.data[series];
  /** @type {number[]} */
  const found = [];
  let before = -1, gap = true; // since the last point
  for (let i = 0; i < values.length; i++) {
    if (values[i] === undefined) continue;
    if (values[i] === null) {
      if (!gap && before >= 0) found.push(before);
      before = -1;
      gap = true;
      continue;
    }
    before = gap ? i : -1;
    gap = false;
  }
  if (before >= 0) found.push(before);
  return found.length ? found : null;
}
