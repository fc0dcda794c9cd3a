// @ts-check
// Zoom and pan of the charts by touch, pen and wheel. What a finger was put on stays
// under it.

/** @typedef {import("./chart.js").View} View */
/** @typedef {{x: number, time: number}} Finger where it is, and the time that it was put on */

const STILL = 6; // px that a finger may move and still be a tap
const APART = 20; // px between two fingers: nearer ones would stretch without end
const NOTCH = 0.0015; // of zoom, for a wheel's pixel
const LINE = 16; // px of a line, which some wheels count in

/**
 * The view in which each finger is on its time again.
 * @param {Finger[]} fingers one or two @param {View} view @param {{left: number, width: number}} area of the lines, px
 * @returns {View}
 */
export function held([one, two], { from, to }, { left, width }) {
  const stretched = two && Math.abs(two.x - one.x) >= APART;
  const span = stretched ? Math.abs(((two.time - one.time) * width) / (two.x - one.x)) : to - from;
  const begin = one.time - ((one.x - left) / width) * span;
  return { from: begin, to: begin + span };
}

/**
 * @param {HTMLElement} root of the charts
 * @param {{readonly view: View, show: (view: View) => void}} on what is in view, and to show another
 */
export function gestures(root, on) {
  /** @type {Map<number, Finger>} */
  const fingers = new Map();
  let begun = 0, tap = false; // where the first finger was put, and whether it is still there
  const area = (/** @type {Event} */ { target }) => /** @type {Element} */ (target).closest(".uplot")?.querySelector(".u-over")?.getBoundingClientRect();
  const timeAt = (/** @type {number} */ x, /** @type {DOMRect} */ { left, width }) => on.view.from + ((x - left) / width) * (on.view.to - on.view.from);

  root.addEventListener("pointerdown", (event) => {
    const box = area(event);
    if (event.isPrimary) fingers.clear(); // no other is down: what is left was on charts that are gone
    if (event.pointerType === "mouse" || !box || fingers.size > 1) return;
    if (!fingers.size) begun = event.clientX;
    tap = !fingers.size;
    fingers.set(event.pointerId, { x: event.clientX, time: timeAt(event.clientX, box) });
  });
  root.addEventListener("pointermove", (event) => {
    const finger = fingers.get(event.pointerId), box = area(event);
    if (!finger || !box) return;
    finger.x = event.clientX;
    tap &&= Math.abs(finger.x - begun) < STILL;
    if (!tap) on.show(held([...fingers.values()], on.view, box));
  });
  for (const end of /** @type {const} */ (["pointerup", "pointercancel"])) {
    root.addEventListener(end, (event) => {
      const box = area(event);
      if (!fingers.delete(event.pointerId) || !box) return;
      for (const finger of fingers.values()) finger.time = timeAt(finger.x, box); // it goes on from where it is
    });
  }

  root.addEventListener("wheel", (event) => {
    const box = area(event), sideways = event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY);
    if (!box || !(sideways || event.ctrlKey || event.metaKey || document.activeElement === root)) return;
    event.preventDefault();
    const { from, to } = on.view, unit = event.deltaMode ? LINE : 1;
    if (sideways) {
      const by = (((event.deltaX || event.deltaY) * unit) / box.width) * (to - from);
      return on.show({ from: from + by, to: to + by });
    }
    const time = timeAt(event.clientX, box), factor = Math.exp(event.deltaY * unit * NOTCH);
    on.show({ from: time - (time - from) * factor, to: time + (to - time) * factor });
  }, { passive: false });
}
