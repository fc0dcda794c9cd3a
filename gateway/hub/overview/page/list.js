// @ts-check
// A long list of lines that are all as high: only those in sight are elements.

const SPARE = 8; // lines above and below what is in sight

/**
 * @template T
 * @param {HTMLElement} box @param {(entry: T) => string} kind of line @param {(kind: string) => HTMLElement} make @param {(line: HTMLElement, entry: T) => void} fill
 */
export function list(box, kind, make, fill) {
  /** @type {T[]} */
  let entries = [];
  /** Lines by their place, and those that are not used now, by kind. @type {Map<number, {line: HTMLElement, kind: string}>} */
  const shown = new Map();
  /** @type {Map<string, HTMLElement[]>} */
  const spare = new Map();
  let height = 0, due = 0;

  const measure = () => (height = parseFloat(getComputedStyle(document.documentElement).getPropertyValue("--line")) * parseFloat(getComputedStyle(document.documentElement).fontSize));

  /** @param {number} i */
  function put(i) {
    const { line, kind } = /** @type {{line: HTMLElement, kind: string}} */ (shown.get(i));
    line.remove(); // a line that is out of sight is not read out
    spare.set(kind, [...(spare.get(kind) ?? []), line]);
    shown.delete(i);
  }

  /** @param {number} i */
  function take(i) {
    const of = kind(entries[i]), line = spare.get(of)?.pop() ?? make(of);
    line.style.transform = `translateY(${i * height}px)`;
    line.setAttribute("aria-rowindex", String(i + 2));
    // Where a reader and the Tab key expect it.
    const next = [...shown].filter(([j]) => j > i).sort(([a], [b]) => a - b)[0];
    box.insertBefore(line, next ? next[1].line : null);
    shown.set(i, { line, kind: of });
    return line;
  }

  function draw() {
    due = 0;
    const top = -box.getBoundingClientRect().top;
    const first = Math.max(0, Math.floor(top / height) - SPARE), last = Math.min(entries.length, Math.ceil((top + innerHeight) / height) + SPARE);
    const focused = document.activeElement;
    for (const [i, { line, kind: of }] of [...shown]) {
      const held = line.contains(focused) && i < entries.length && kind(entries[i]) === of; // what has the focus stays
      if (!held && (i < first || i >= last || kind(entries[i]) !== of)) put(i);
    }
    for (let i = first; i < last; i++) fill(shown.get(i)?.line ?? take(i), entries[i]);
  }

  const soon = () => (due ||= requestAnimationFrame(draw));
  addEventListener("scroll", soon, { passive: true });
  addEventListener("resize", () => {
    measure();
    for (const i of [...shown.keys()]) put(i);
    box.style.height = `${entries.length * height}px`;
    soon();
  });
  measure();

  return (/** @type {T[]} */ all) => {
    entries = all;
    box.style.height = `${all.length * height}px`;
    soon();
  };
}
