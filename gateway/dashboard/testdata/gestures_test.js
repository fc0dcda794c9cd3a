// @ts-check
// What fingers do on the charts.

import { gestures, held } from "/page/gestures.js";
import { equal, test } from "./harness.js";

test("what a finger was put on stays under it", () => {
  const view = { from: 1000, to: 2000 }, area = { left: 10, width: 100 };
  equal(held([{ x: 60, time: 1200 }], view, area), { from: 700, to: 1700 });
  equal(held([{ x: 10, time: 1200 }, { x: 110, time: 1400 }], view, area), { from: 1200, to: 1400 });
  equal(held([{ x: 110, time: 1400 }, { x: 60, time: 1200 }], view, area), { from: 1000, to: 1400 });
  equal(held([{ x: 60, time: 1500 }, { x: 61, time: 1501 }], view, area), { from: 1000, to: 2000 }, "too near");
});

test("a finger whose charts were made anew under it is forgotten", () => {
  const root = document.createElement("div");
  /** @type {unknown[]} */
  const shown = [];
  const draw = () => (root.innerHTML = `<div class="uplot"><div class="u-over" style="width: 100px; height: 10px"></div></div>`);
  const touch = (/** @type {string} */ type, /** @type {number} */ pointerId, /** @type {number} */ clientX) =>
    root.querySelector(".u-over")?.dispatchEvent(new PointerEvent(type, { pointerId, clientX, pointerType: "touch", isPrimary: true, bubbles: true }));
  document.body.append(root);
  try {
    gestures(root, { view: { from: 1000, to: 2000 }, show: ({ from, to }) => shown.push([Math.round(from), Math.round(to)]) });
    draw();
    touch("pointerdown", 1, 10);
    draw(); // the browser says of the finger what it does to an element that is gone
    touch("pointerdown", 2, 60);
    touch("pointermove", 2, 50);
    equal(shown, [[1100, 2100]]);
  } finally {
    root.remove();
  }
});
