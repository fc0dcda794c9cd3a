// @ts-check
// The operators' room: the chat, with a line for each change of a motor.

import { controlWords } from "./control.js";
import { find, get, text } from "./dom.js";
import { age, clock } from "./format.js";
import { Room } from "./gateway.js";
import { does, why } from "./motors.js";
import { words } from "./words.js";

/** @typedef {import("./gateway.js").Gateway} Gateway */

const KEPT = 200; // lines
const FAR = 40; // px from the end: then somebody reads older lines, and new ones do not scroll

/** @param {Gateway} gateway @returns something to close */
export function openRoom(gateway) {
  const log = get("log"), join = get("join"), say = get("say");
  /** @type {Room | undefined} */
  let room;
  /** @type {Map<string, boolean>} whether each motor runs, as the last line about it said */
  let running = new Map();
  let silent = false; // who is here only reads along
  /** @type {string[]} */
  let told = [], again = []; // the last 100 lines of the chat, and those of them that a connection has yet to repeat

  /** @param {string} kind @param {string} nick @param {string} said @param {{now?: boolean, from?: string}} [more] now is false if it was said before it was connected */
  function line(kind, nick, said, { now = true, from } = {}) {
    const reading = log.scrollHeight - log.scrollTop - log.clientHeight > FAR;
    const item = document.createElement("p"), time = document.createElement("time"), who = document.createElement("b"), where = document.createElement("small"), what = document.createElement("span");
    item.className = kind;
    time.textContent = now ? clock(Date.now()) : words.earlier;
    who.textContent = nick;
    what.textContent = said;
    where.textContent = from ? `(${from})` : "";
    item.append(time, " ", ...(nick ? [who, " "] : []), ...(from ? [where, " "] : []), what);
    log.append(item);
    text(get("room-last"), `${nick} ${said}`.trim());
    while (log.children.length > KEPT) log.firstChild.remove();
    if (!reading) log.scrollTop = log.scrollHeight;
  }

  gateway.addEventListener("motor", ({ detail }) => {
    const before = running.get(detail.target);
    running.set(detail.target, detail.running);
    if (before !== undefined && before !== detail.running) line("motor", detail.target, detail.running ? `${does(detail)}, ${why(detail)}` : why(detail));
  });
  const mayWrite = (/** @type {boolean} */ may) => {
    silent = !may;
    get("text").disabled = find(say, "button").disabled = silent;
    get("room-silent").hidden = may;
  };
  if (gateway.hello) mayWrite(gateway.hello.you.may.includes("chat")); // it was quicker than this part of the page
  gateway.addEventListener("hello", ({ detail }) => mayWrite(detail.you.may.includes("chat")));
  gateway.addEventListener("event", ({ detail }) => {
    if (detail.kind === "control") line("motor", detail.target, controlWords(detail));
    // A sensor's state is on its card; one that fails often would fill the log. Alarms that
    // somebody configured or acknowledged are told.
    else if (!detail.sensor || detail.condition || detail.by) line("event", "", event(detail));
  });
  gateway.addEventListener("phase", ({ detail }) => {
    if (detail === "waiting") room?.abandon(); // both connections go the same way: if one is lost, the other is
    if (detail === "connected") running = new Map();
  });

  /** @param {string} nick */
  function enter(nick) {
    // Each connection repeats the last lines, before the answer to the join.
    const mine = (room = new Room(nick, new URL("chat?history=100&from=1", import.meta.url)));
    get("room-fold").open = true;
    text(get("join-error"), "");
    mine.addEventListener("phase", () => {
      if (mine !== room) return;
      if (mine.phase === "connecting") again = [...told];
      const inside = mine.phase === "connected";
      if (inside) {
        remember("inside", "yes");
        show(true);
      }
      text(get("room-state"), inside ? "" : words.notInRoom);
      find(say, "button").disabled = !inside || silent;
    });
    mine.addEventListener("message", ({ detail: { type, nick, text: said, from } }) => {
      const now = mine.phase === "connected";
      if (type === "chat") {
        const whole = `${nick} ${from} ${said}`, repeated = now ? -1 : again.indexOf(whole);
        if (repeated >= 0) return void again.splice(repeated, 1);
        told = [...told, whole].slice(-100);
        line("chat", nick, said, { now, from });
      }
      else if (type === "join" || type === "leave") line("info", nick, type === "join" ? words.cameIn : words.leftRoom, { from });
      else if (type === "info" || mine.phase === "connected") line("info", "", said);
    });
    mine.addEventListener("refused", ({ detail }) => {
      room = undefined;
      remember("inside", "");
      show(false);
      text(get("join-error"), detail === "Nick taken" ? words.nickTaken(nick || "anonim") : detail);
    });
    mine.open();
  }

  /** @param {boolean} inside */
  function show(inside) {
    const focused = join.contains(document.activeElement);
    join.hidden = inside;
    say.hidden = !inside;
    if (inside && focused) get("text").focus();
  }

  join.addEventListener("submit", (/** @type {Event} */ submitted) => {
    submitted.preventDefault();
    const nick = get("nick").value.trim();
    remember("nick", nick);
    room?.close();
    enter(nick);
  });
  say.addEventListener("submit", (/** @type {Event} */ submitted) => {
    submitted.preventDefault();
    const said = get("text").value.trim();
    if (said && room?.say(said)) get("text").value = "";
  });
  try {
    get("nick").value = sessionStorage.getItem("nick") ?? "";
    if (sessionStorage.getItem("inside")) enter(get("nick").value); // it was reloaded
  } catch { /* as in remember */ }
  return { close: () => room?.close() };
}

/** Keeps a word while the tab is open. @param {string} key @param {string} value */
function remember(key, value) {
  try {
    sessionStorage.setItem(key, value);
  } catch { /* a browser may forbid it: then the name is typed again */ }
}

/** An event in words. @param {any} e */
function event({ kind, by, reason, readings = 0, step_ms = 0, alarm, state, action, hub, key }) {
  switch (kind) {
    case "clock_corrected": return words.clockCorrected(`${step_ms < 0 ? "−" : "+"}${age(Math.abs(step_ms))}`);
    case "alarm": return words.alarmIs(alarm, words.alarmStates[state] ?? state, by);
    case "estop": return words.estopBy(by || words.theGateway);
    case "reset": return words.resetBy(by || words.theGateway);
    case "storage_failed": return words.notStored(reason ? `: ${reason}` : "");
    case "storage_back": return words.storedAgain;
    case "storage_damaged": return words.readingsLost(readings ? String(readings) : words.some, reason);
    case "uplink_lost":
    case "uplink_unheard":
    case "uplink_full":
    case "uplink_budget": return words.uplink(reason);
    case "uplink_back": return words.uplinkBack;
    case "hub_keys": return words.hubKey(hub || key, action === "added", by);
    case "history_evicted": return words.readingsRemoved(String(readings), reason);
  }
  return kind;
}
