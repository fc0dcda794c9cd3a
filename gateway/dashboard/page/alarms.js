// @ts-check
// The alarms, and how they call somebody.

import { copy, find, get, item, keyed, mark, steadily, text } from "./dom.js";
import { moment } from "./format.js";
import { message } from "./stop.js";
import { keep, kept, shownCondition, shownMet } from "./units.js";
import { words } from "./words.js";

/** @typedef {import("./gateway.js").Gateway} Gateway */
/** @typedef {import("./gateway.js").Alarm} Alarm */

const SOON = 200; // ms in which several changes are one look
const CALLED = 60_000; // ms in which an alarm that comes and goes calls once
const AGAIN = 10_000; // ms after a look that failed
const TONE = { hertz: 880, seconds: 0.15, times: 3 };

/** What an alarm is about. @param {Alarm} alarm */
const about = ({ condition, reason, value }) => `${condition === undefined ? reason ?? "" : shownCondition(condition)}${value === undefined ? "" : ` (${shownMet(condition ?? "", value)})`}`;

/** @param {Alarm} alarm */
export function alarmFacts(alarm) {
  const { since = 0, acknowledged } = alarm;
  return [about(alarm), words.since(moment(since * 1000)), acknowledged ? words.acknowledgedBy(acknowledged.by, moment(acknowledged.ts * 1000)) : ""].filter(Boolean).join("; ");
}

/** @param {Alarm} alarm that was cleared */
const past = (alarm) => `${alarm.name}: ${[about(alarm), words.fromTo(moment((alarm.since ?? 0) * 1000), moment((alarm.cleared ?? 0) * 1000))].filter(Boolean).join("; ")}`;

/** Beeps, if the browser lets a page that somebody has touched. @param {AudioContext} audio */
function beep(audio) {
  const { hertz, seconds, times } = TONE;
  for (let i = 0; i < times; i++) {
    const tone = audio.createOscillator(), begin = audio.currentTime + 2 * i * seconds;
    tone.frequency.value = hertz;
    tone.connect(audio.destination);
    tone.start(begin);
    tone.stop(begin + seconds);
  }
}

/** @param {Gateway} gateway @param {URL} base */
export function showAlarms(gateway, base) {
  const chip = get("alarm-chip"), sound = get("alarm-sound"), notice = get("alarm-notify");
  /** @type {Set<string> | undefined} raised, as far as was known; nothing is news to a page that has just come */
  let known;
  /** @type {Map<string, number>} when each last called somebody, on performance.now() */
  const called = new Map();
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let soon;
  /** @type {AudioContext | undefined} */
  let audio;
  let denied = false;
  let subscribed = false; // on this connection
  /** @type {{alarms: Alarm[], recent: Alarm[]} | undefined} as the gateway said last */
  let all;

  const show = keyed(get("alarms"), (/** @type {Alarm} */ { name }) => name, ({ name }) => {
    const entry = copy("alarm"), button = find(entry, "button"), error = find(entry, ".error");
    text(find(entry, "h3"), name);
    button.setAttribute("aria-label", words.acknowledge(name));
    button.addEventListener("click", async () => {
      button.disabled = true;
      try {
        await gateway.command("acknowledge", name);
        text(error, "");
      } catch (refused) {
        text(error, message(refused));
      }
      button.disabled = denied;
      later(0);
    });
    return entry;
  }, (entry, alarm) => {
    mark(entry, "severity", alarm.severity);
    text(find(entry, ".state"), words.severities[alarm.severity] ?? alarm.severity);
    text(find(entry, ".soft"), alarmFacts(alarm));
    find(entry, "button").hidden = alarm.state !== "raised";
    find(entry, "button").disabled = denied;
  });

  /** @param {{alarms: Alarm[], recent: Alarm[]}} all */
  function receive({ alarms, recent }) {
    const open = alarms.filter(({ state }) => state === "raised");
    document.dispatchEvent(new CustomEvent("alarms", { detail: alarms }));
    show(alarms);
    chip.hidden = !alarms.length;
    text(chip, words.alarms(alarms.length));
    chip.setAttribute("aria-label", words.alarmsAloud(alarms.length, open.length));
    mark(chip, "severity", !open.length ? "known" : open.some(({ severity }) => severity === "critical") ? "critical" : "warning");
    text(get("alarms-none"), alarms.length ? "" : words.noAlarm);
    get("alarms-past").hidden = !recent.length;
    get("alarms-recent").replaceChildren(...recent.map((alarm) => item(past(alarm))));
    const before = known;
    known = new Set(alarms.map(({ name }) => name));
    const now = performance.now();
    const news = before ? open.filter(({ name }) => !before.has(name) && now - (called.get(name) ?? -Infinity) >= CALLED) : [];
    for (const { name } of news) called.set(name, now);
    if (news.length) text(get("alarm-said"), words.alarmAloud(news.map(({ name }) => name).join(", ")));
    for (const alarm of news.filter(({ severity }) => severity !== "info")) call(alarm);
  }

  const draw = () => {
    if (all) receive(all);
  };

  /** Calls somebody, as far as somebody wanted that. @param {Alarm} alarm */
  function call(alarm) {
    if (sound.checked) beep(audio ??= new AudioContext());
    if (!notice.checked) return;
    try {
      new Notification(`${alarm.name}: ${document.title}`, { body: about(alarm), tag: alarm.name });
    } catch { /* some browsers, those of telephones, take none from a page */ }
  }

  async function look() {
    try {
      if (!subscribed) await gateway.request("subscribe", { topic: "events" }); // from then on, each change is heard of
      subscribed = true;
      const answer = await fetch(new URL("api/v1/alarms", base), { cache: "no-store" });
      if (!answer.ok) throw new Error(`${answer.status} ${answer.statusText}`);
      all = await answer.json();
      steadily(draw);
    } catch {
      if (gateway.phase === "connected") later(AGAIN); // a lost connection shows elsewhere, and is followed by a hello
    }
  }

  /** @param {number} ms */
  function later(ms) {
    clearTimeout(soon);
    soon = setTimeout(look, ms);
  }

  gateway.addEventListener("event", ({ detail }) => {
    if (detail.kind === "alarm") later(SOON);
  });
  document.addEventListener("units", draw);
  gateway.addEventListener("phase", ({ detail }) => mark(get("alarms-section"), "stale", String(detail !== "connected")));
  /** @param {import("./gateway.js").Hello} hello */
  function greet({ you }) {
    denied = !!you.denied;
    subscribed = false;
    later(0);
  }
  gateway.addEventListener("hello", ({ detail }) => greet(detail));
  if (gateway.hello) greet(gateway.hello);

  document.addEventListener("click", () => {
    if (sound.checked) (audio ??= new AudioContext()).resume(); // for which somebody has to touch each page anew
  });
  remembered(sound, () => {
    beep(audio ??= new AudioContext());
    return true;
  });
  find(get("alarms-section"), ".notify").hidden = !("Notification" in globalThis) || !isSecureContext || /Android/.test(navigator.userAgent); // which throws
  remembered(notice, async () => (await Notification.requestPermission()) === "granted");
}

/** A box that stays as it is set, in this browser. @param {HTMLInputElement} box @param {() => boolean | Promise<boolean>} set called when it was set: whether it can be */
function remembered(box, set) {
  box.checked = kept(box.id);
  box.addEventListener("change", async () => {
    box.checked = box.checked && (await set());
    keep(box.id, box.checked);
  });
}
