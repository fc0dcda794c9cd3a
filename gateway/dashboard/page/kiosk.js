// @ts-check
// The page on a wall, ?kiosk: nothing can be operated, all is in sight, and the screen stays on.

import { get } from "./dom.js";

export const kiosk = document.documentElement.hasAttribute("data-kiosk");

/** Keeps the screen on, where browsers allow it: over https, or on the machine itself. */
async function stayOn() {
  try {
    if (!document.hidden) await navigator.wakeLock?.request("screen"); // it ends when the page is hidden
  } catch { /* a battery is nearly empty */ }
}

const SIZES = { most: 150, least: 70 }; // % of the text

/** The largest text with which all of the page is in sight, or that of page.css: nobody scrolls on a wall. */
function fit() {
  const root = document.documentElement;
  for (let size = SIZES.most; size >= SIZES.least; size -= 5) {
    root.style.fontSize = `${size}%`;
    if (root.scrollHeight <= innerHeight) return;
  }
  root.style.fontSize = "";
}

if (kiosk) {
  get("charts").inert = get("alarm-chip").inert = true;
  const fits = () => requestAnimationFrame(fit), main = /** @type {HTMLElement} */ (document.querySelector("main"));
  new ResizeObserver(fits).observe(main);
  window.addEventListener("resize", fits);
  document.addEventListener("visibilitychange", stayOn);
  void stayOn();
}
