// @ts-check
// The page on a wall, ?kiosk: nothing can be operated, and the screen stays on.

import { get } from "./dom.js";

export const kiosk = document.documentElement.hasAttribute("data-kiosk");

/** Keeps the screen on, where a browser lets a page do so: over https, or on the machine itself. */
async function stayOn() {
  try {
    if (!document.hidden) await navigator.wakeLock?.request("screen"); // it ends when the page is hidden
  } catch { /* a battery is nearly empty */ }
}

if (kiosk) {
  get("charts").inert = get("alarm-chip").inert = true;
  document.addEventListener("visibilitychange", stayOn);
  void stayOn();
}
