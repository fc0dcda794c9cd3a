// @ts-check
// The two charts, drawn by uPlot: one line a sensor, a band from its lowest to
// its highest where a column stands for many readings, a mark where one failed.

// @ts-ignore: uplot.go has it
import { uPlot } from "./uPlot.js";

/** @typedef {import("./columns.js").Columns} Columns */
/** @typedef {import("./columns.js").Line} Line */
/** @typedef {{from: number, to: number}} View Unix ms on the gateway's clock */
/** @typedef {{id: number, name: string, interval_ms: number, shown: boolean, colour: number}} Trace */

const SERIES = 3; // a trace: mean, lowest, highest
const LEAST_SPANS = [0.5, 1]; // °C, %: noise stays small
const MARK = 3; // px
const SECOND = 1000, MINUTE = 60 * SECOND, DAY = 24 * 60 * MINUTE;

/** @param {Intl.DateTimeFormatOptions} options */
const clock = (options) => new Intl.DateTimeFormat(undefined, { hourCycle: "h23", ...options });
const seconds = clock({ hour: "2-digit", minute: "2-digit", second: "2-digit" });
const minutes = clock({ hour: "2-digit", minute: "2-digit" });
const days = clock({ day: "numeric", month: "short" });

/** A time as precise as an axis with this step needs it. @param {number} time @param {number} step ms */
function label(time, step) {
  if (step >= DAY) return days.format(time);
  if (step < MINUTE) return seconds.format(time);
  const date = new Date(time);
  return date.getHours() || date.getMinutes() ? minutes.format(time) : days.format(time);
}

export class Charts {
  /** @type {any[]} */
  #plots = [];
  /** @type {Trace[]} */
  #traces = [];
  /** @type {(Columns | undefined)[]} of the traces */
  #columns = [];
  /** @type {View} */
  #view = { from: 0, to: 1 };
  #roots;
  #on;

  /**
   * @param {HTMLElement[]} roots of temperature and humidity
   * @param {{zoom: (view: View) => void, live: () => void, cursor: (time: number | undefined) => void}} on
   */
  constructor(roots, on) {
    this.#roots = roots;
    this.#on = on;
    new ResizeObserver(() => this.#plots.forEach((plot, i) => {
      const { width, height } = size(roots[i]);
      if (plot.width !== width || plot.height !== height) plot.setSize({ width, height }); // it is called first with the present size
    })).observe(roots[0]);
  }

  /** CSS pixels for the lines. */
  get width() {
    return this.#plots[0]?.over.clientWidth || this.#roots[0].clientWidth;
  }

  /** Replaces the charts by new ones, with these traces and the colours of the style sheet. @param {Trace[]} traces */
  begin(traces) {
    this.#traces = traces;
    this.#columns = [];
    this.#plots.forEach((plot) => plot.destroy());
    const sync = uPlot.sync("charts");
    this.#plots = this.#roots.map((root, i) => new uPlot(this.#options(root, i, sync), [[]], root));
  }

  /** @param {(Columns | undefined)[]} columns of the traces; undefined if not shown @param {View} view */
  draw(columns, view) {
    this.#columns = columns;
    this.#view = view;
    const any = columns.find((c) => c);
    const times = any ? any.times(view.to) : [];
    const lines = columns.map((c) => c?.lines());
    this.#plots.forEach((plot, i) => {
      plot.setData([times, ...lines.flatMap((pair) => {
        const line = pair?.[i] ?? { mean: [], min: [], max: [] };
        return [line.mean, line.min, line.max];
      })]);
    });
  }

  /** Moves the cursor by so many CSS pixels; from now if it is nowhere. @param {number} pixels */
  move(pixels) {
    const plot = this.#plots[0], width = this.width;
    const left = plot.cursor.left >= 0 ? plot.cursor.left : width;
    plot.setCursor({ left: Math.min(Math.max(left + pixels, 0), width - 1), top: 1 });
  }

  leave() {
    this.#plots[0]?.setCursor({ left: -10, top: -10 });
  }

  /** @param {HTMLElement} root @param {number} which @param {any} sync */
  #options(root, which, sync) {
    const style = getComputedStyle(root), colour = (/** @type {string} */ name) => style.getPropertyValue(name).trim();
    const font = `12px ${style.fontFamily}`;
    const axis = { stroke: colour("--soft"), font, grid: { stroke: colour("--grid"), width: 1 }, ticks: { show: false } };
    return {
      ...size(root),
      ms: 1,
      padding: [8, 24, 0, 0],
      legend: { show: false },
      cursor: { y: false, sync: { key: sync.key, setSeries: false, filters: { sub: moves } }, drag: { x: true, y: false, setScale: false }, points: { size: 7 }, bind: { dblclick: () => () => this.#on.live() } },
      scales: {
        x: { time: true, range: () => [this.#view.from, this.#view.to] },
        y: { range: (/** @type {any} */ _, /** @type {number} */ low, /** @type {number} */ high) => padded(low, high, LEAST_SPANS[which]) },
      },
      axes: [
        { ...axis, space: 80, size: 28, gap: 4, splits: round, values: (/** @type {any} */ _, /** @type {number[]} */ splits, /** @type {any} */ __, /** @type {any} */ ___, /** @type {number} */ step) => splits.map((t) => label(t, step)) },
        { ...axis, size: 46, gap: 4, space: 32 },
      ],
      series: [{}, ...this.#traces.flatMap((trace) => {
        const stroke = colour(`--series-${trace.colour}`);
        const edge = { stroke: "transparent", width: 0, points: { show: false }, spanGaps: false };
        return [{ stroke, width: 1.5, spanGaps: false, points: { show: false, size: 4, fill: stroke, filter: alone } }, edge, edge];
      })],
      bands: this.#traces.map((trace, i) => ({ series: [i * SERIES + 3, i * SERIES + 2], fill: `${colour(`--series-${trace.colour}`)}2e` })),
      hooks: {
        draw: [(/** @type {any} */ plot) => this.#mark(plot, colour("--bad"))],
        setSelect: [(/** @type {any} */ plot) => this.#select(plot)],
        setCursor: [(/** @type {any} */ plot) => {
          if (plot === this.#plots[0]) this.#on.cursor(plot.cursor.left >= 0 ? plot.posToVal(plot.cursor.left, "x") : undefined);
        }],
      },
    };
  }

  /** @param {any} plot */
  #select(plot) {
    const { left, width } = plot.select;
    if (width < 4) return;
    this.#plots.forEach((each) => each.setSelect({ left: 0, width: 0, top: 0, height: 0 }, false));
    this.#on.zoom({ from: plot.posToVal(left, "x"), to: plot.posToVal(left + width, "x") });
  }

  /** Marks failures at the foot of the chart, a row for each trace. @param {any} plot @param {string} colour */
  #mark(plot, colour) {
    const { ctx, bbox } = plot, ratio = devicePixelRatio;
    ctx.save();
    ctx.fillStyle = colour;
    this.#columns.filter((c) => c).forEach((columns, row) => {
      if (!columns) return;
      const width = Math.max(ratio, (bbox.width * columns.step) / (this.#view.to - this.#view.from));
      for (let i = 0; i < columns.count; i++) {
        if (!columns.failed[i]) continue;
        const x = plot.valToPos(columns.from + i * columns.step, "x", true);
        if (x >= bbox.left && x <= bbox.left + bbox.width) ctx.fillRect(x, bbox.top + bbox.height - (row + 1) * (MARK + 1) * ratio, width, MARK * ratio);
      }
    });
    ctx.restore();
  }
}

/**
 * The events of one chart that the other follows: moves of the cursor. If it followed
 * buttons too, both would zoom, the other one to a place where the mouse never was.
 * @param {string} type of event
 */
const moves = (type) => type !== "mousedown" && type !== "mouseup";

/**
 * Round times of day in the browser's time zone.
 * @param {any} plot @param {number} axis @param {number} from @param {number} to @param {number} step ms
 */
function round(plot, axis, from, to, step) {
  const zone = new Date(from).getTimezoneOffset() * MINUTE;
  const splits = [];
  for (let time = Math.ceil((from - zone) / step) * step + zone; time <= to; time += step) splits.push(time);
  return splits;
}

/** @param {HTMLElement} root */
const size = (root) => ({ width: Math.max(root.clientWidth, 100), height: Math.max(root.clientHeight, 100) });

/** A scale that neither touches its lines nor moves with each of them. @param {number | null} low @param {number | null} high @param {number} least */
function padded(low, high, least) {
  if (low === null || high === null) return [null, null];
  const span = Math.max(high - low, least), step = 10 ** Math.floor(Math.log10(span)) / 5, middle = (low + high) / 2;
  return [Math.floor((middle - span * 0.68) / step) * step, Math.ceil((middle + span * 0.55) / step) * step]; // more below, for the marks
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
