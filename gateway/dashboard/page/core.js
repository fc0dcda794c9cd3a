// @ts-check
// What must always work: the connection, STOP ALL, and the display of errors. Each other
// part of the page is fetched by itself, so that one that fails affects no other.

import { get, item, text } from "./dom.js";
import { Gateway } from "./gateway.js";
import { kiosk } from "./kiosk.js";
import { showLatch } from "./latch.js";
import { KEPT } from "./ring.js";
import { stopAll } from "./stop.js";
import { spoken, words } from "./words.js";

const SOON = 3_000; // ms without a connection before start.js is to find out why, which takes up to 1.5 s

export const base = new URL(".", location.href);
export const gateway = new Gateway(base, { topics: ["motors", "events"], replay: KEPT });
if (!kiosk) stopAll(gateway);
showLatch(gateway);
get("lifeless").remove();
get("plain").hidden = isSecureContext; // by https, or from this machine

// What gets the focus, or is scrolled to, does not end up under the header.
const header = /** @type {HTMLElement} */ (document.querySelector("body > header"));
new ResizeObserver(() => (document.documentElement.style.scrollPaddingTop = `${header.offsetHeight + 8}px`)).observe(header);

// Buttons lead to parts: a telephone has them one below the other.
get("parts").hidden = false;
for (const button of header.querySelectorAll("button")) button.addEventListener("click", () => {
  const part = document.getElementById(button.dataset.to ?? "");
  part?.focus({ preventScroll: true });
  part?.scrollIntoView();
});

/**
 * Brings a part of the page to life, or hides it and says that it is missing.
 * @template T
 * @param {string} name as in the words for what is missing @param {string} selector of the part @param {Promise<T>} module @param {(module: T) => void} begin
 */
export async function part(name, selector, module, begin) {
  try {
    const loaded = await module;
    await spoken;
    begin(loaded);
  } catch (error) {
    const element = /** @type {HTMLElement | null} */ (document.querySelector(selector));
    if (element) element.hidden = true;
    get("missing").append(item(`${words.missing[name]}: ${/** @type {Error} */ (error).message}`));
  }
}

/** @type {{close: () => void} | undefined} */
let room;

const parts = [
  part("readings", "main .now", import("./page.js"), () => {}),
  part("account", "#account", import("./account.js"), ({ showAccount }) => showAccount(gateway)),
  part("admin", "#admin", import("./admin.js"), ({ openAdmin }) => openAdmin(gateway, base)),
  part("alarms", "#alarms-section", import("./alarms.js"), ({ showAlarms }) => showAlarms(gateway, base)),
  part("machine", "main .machine", import("./machine.js"), ({ showMachine }) => showMachine(gateway, base)),
  part("motors", "#motors-section", import("./motors.js"), ({ Motors }) => void new Motors(gateway)),
  part("room", "main .room", import("./room.js"), ({ openRoom }) => (room = openRoom(gateway))),
];

/** @param {string} what to show in place of what start.js finds out */
function say(what) {
  delete get("trouble").dataset.asked;
  text(get("trouble"), what);
}

const ask = () => document.dispatchEvent(new Event("unconnected"));
/** @type {ReturnType<typeof setTimeout> | undefined} */
let waiting = setTimeout(ask, SOON);

gateway.addEventListener("phase", ({ detail }) => {
  const failed = detail === "waiting" && gateway.failures > 0;
  if (detail === "connected" || failed) {
    clearTimeout(waiting);
    waiting = undefined;
  }
  if (detail === "connected") {
    say("");
    get("enter").hidden = true;
  }
  else if (failed) ask();
  else waiting ??= setTimeout(ask, SOON);
});
// The warnings about the configuration, and the state of the uplink, stay in view.
gateway.addEventListener("hello", ({ detail }) => {
  const uplink = detail.uplink ? [words.uplink(detail.uplink.state)] : [];
  get("warnings").replaceChildren(...(detail.warnings ?? []).concat(uplink).map(item));
});
gateway.addEventListener("refused", ({ detail }) => {
  clearTimeout(waiting);
  const end = words.ends[detail];
  get("enter").hidden = !end;
  say(end ? words.ended(end) : words.closed(detail));
});

// A page that is left closes its connections: it may stay in the browser's cache.
window.addEventListener("pagehide", () => {
  gateway.close();
  room?.close();
});
window.addEventListener("pageshow", ({ persisted }) => {
  if (persisted) location.reload();
});

// All parts hear of the first hello; one that takes long is not waited for.
Promise.race([Promise.all([spoken, ...parts]), new Promise((then) => setTimeout(then, SOON / 2))]).then(() => gateway.open());
