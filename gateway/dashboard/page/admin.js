// @ts-check
// What an administrator sees and changes: who has a token, who is connected or logged
// in, and the newest records of who did what.

import { auditLine } from "./audit.js";
import { copy, find, get, keyed, text } from "./dom.js";
import { moment } from "./format.js";
import { words } from "./words.js";

/** @typedef {import("./gateway.js").Gateway} Gateway */
/**
 * @typedef {{id: string, name: string, role: string, sensors?: string[], motors?: string[], expires?: number, expired?: boolean, created: number,
 *   by: string, used?: number, used_from?: string, browsers: number, connected: number}} Token
 * @typedef {{id: string, kind: "client" | "login", login?: string, name: string, role: string, how: string, from: string, path?: string,
 *   since: number, used: number, used_from?: string, you?: boolean}} Session
 * @typedef {Token & {token?: string, link: string, link_qr?: string[], link_expires_ms: number}} Made
 */

const POLL = 5_000; // ms between two looks at tokens and sessions, while they are in view
const ASKED = 5_000; // ms after which a question that nobody answered is withdrawn
const RECORDS = 100; // of the audit log
const QUIET = 4; // modules of light border that a reader of QR codes needs (ISO/IEC 18004)

/** @param {string[] | undefined} names @param {string} all */
const scope = (names, all) => names?.join(", ") ?? all;

/** @param {Token} t */
export const tokenFacts = (t) => [
  `${scope(t.sensors, words.allSensors)}; ${scope(t.motors, words.allMotors)}`,
  t.expired ? words.expired : t.expires ? words.expires(moment(t.expires)) : words.neverExpires,
  words.madeBy(t.by, moment(t.created)),
  t.used ? words.lastUsed(moment(t.used), t.used_from) : words.neverUsed,
  words.inUse(t.browsers, t.connected),
].join(" · ");

/** @param {Session} s */
export const sessionFacts = (s) => (s.kind === "client" ?
  words.connectedTo(s.path ?? "", s.from, moment(s.since), s.how) :
  words.loggedInFrom(s.from, moment(s.since), words.lastUsed(moment(s.used), s.used_from === s.from ? undefined : s.used_from)));

/** @param {Gateway} gateway @param {URL} base */
export function openAdmin(gateway, base) {
  const fold = get("admin-fold"), form = get("new-token"), made = get("made");
  let may = false;

  /** @param {string} path @param {string} [method] @param {object} [body] @returns {Promise<any>} */
  async function ask(path, method = "GET", body) {
    const json = body && { headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) };
    const answer = await fetch(new URL(`api/v1/${path}`, base), { method, cache: "no-store", ...json }), content = await answer.text();
    if (answer.ok) return content && JSON.parse(content);
    let why = content.trim();
    try {
      why = JSON.parse(content).payload.message;
    } catch { /* it is text */ }
    throw new Error(why || `${answer.status} ${answer.statusText}`);
  }

  /** Does something, and says why if it fails. @param {() => Promise<unknown>} act */
  async function attempt(act) {
    try {
      await act();
      text(get("admin-error"), "");
    } catch (error) {
      text(get("admin-error"), /** @type {Error} */ (error).message);
    }
  }

  /** A button that asks once more, in its own words. @param {string} label @param {string} of @param {string} sure @param {() => Promise<unknown>} act */
  function button(label, of, sure, act) {
    const element = document.createElement("button");
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    let asked;
    const show = (/** @type {string} */ said) => {
      element.textContent = said;
      element.setAttribute("aria-label", `${said}: ${of}`);
      element.className = said === label ? "" : "sure";
    };
    const withdraw = () => {
      clearTimeout(asked);
      asked = undefined;
      show(label);
    };
    element.type = "button";
    element.addEventListener("blur", withdraw);
    element.addEventListener("click", async ({ detail }) => {
      if (detail > 1) return; // a double click is one answer
      if (sure && !asked) {
        asked = setTimeout(withdraw, ASKED);
        return show(sure);
      }
      withdraw();
      element.disabled = true;
      await attempt(act);
      element.disabled = false;
      await look(true);
    });
    withdraw();
    return element;
  }

  /**
   * @template {{id: string, role: string}} T
   * @param {HTMLElement} element @param {(entry: T) => HTMLButtonElement[]} buttons @param {(entry: T) => [title: string, facts: string]} describe
   */
  const list = (element, buttons, describe) => keyed(element, (/** @type {T} */ { id }) => id, (entry) => {
    const item = copy("entry");
    find(item, ".row").append(...buttons(entry));
    return item;
  }, (item, entry) => {
    const [title, facts] = describe(entry);
    text(find(item, "h4"), title);
    text(find(item, ".state"), words.roles[entry.role] ?? entry.role);
    text(find(item, ".soft"), facts);
  });

  const showTokens = list(get("tokens"), (/** @type {Token} */ { id, name }) => [
    button(words.link, name, "", async () => show(await ask(`tokens/${id}/link`, "POST"))),
    button(words.rotate, name, words.rotateNow, async () => show(await ask(`tokens/${id}/rotate`, "POST"))),
    button(words.revoke, name, words.revokeNow, () => ask(`tokens/${id}`, "DELETE")),
  ], (t) => [t.name, tokenFacts(t)]);
  const showSessions = list(get("sessions"), (/** @type {Session} */ { id, kind, name, from }) => [
    button(kind === "login" ? words.logOut : words.end, `${name || words.noToken}, ${from}`, kind === "login" ? words.logOutNow : words.endNow, () => ask(`sessions/${id}`, "DELETE")),
  ], (s) => [(s.name || words.noToken) + (s.you ? words.thisBrowser : ""), sessionFacts(s)]);

  /** @param {boolean} [records] whether at the audit log too */
  async function look(records = false) {
    if (!may || !fold.open || document.hidden || gateway.phase !== "connected") return;
    await attempt(async () => {
      const [{ tokens }, { sessions, total }] = await Promise.all([ask("tokens"), ask("sessions")]);
      showTokens(tokens);
      showSessions(sessions);
      text(get("tokens-none"), tokens.length ? "" : words.noTokens);
      text(get("sessions-more"), total > sessions.length ? words.newestOf(sessions.length, total) : "");
      if (records) get("records").replaceChildren(...(await ask(`audit?limit=${RECORDS}`)).records.reverse().map(auditLine));
    });
  }

  /** @param {Made} of what is shown once */
  function show({ name, token = "", link, link_qr = [] }) {
    text(get("made-title"), token ? words.tokenOf(name) : words.linkFor(name));
    find(made, ".token").hidden = !token;
    get("made-token").value = token;
    get("made-link").value = link;
    const size = link_qr.length, picture = get("made-qr");
    picture.toggleAttribute("hidden", !size);
    picture.setAttribute("viewBox", `${-QUIET} ${-QUIET} ${size + 2 * QUIET} ${size + 2 * QUIET}`);
    find(picture, "path").setAttribute("d", link_qr.flatMap((row, y) => [...row].map((dark, x) => (dark === "1" ? `M${x} ${y}h1v1h-1z` : ""))).join(""));
    made.hidden = false;
    made.focus();
  }

  made.addEventListener("click", ({ target }) => {
    const input = target.dataset.copies && get(target.dataset.copies);
    if (!input) return;
    input.select();
    // Over plain http a browser has no clipboard for scripts, but for what is selected.
    if (navigator.clipboard) void navigator.clipboard.writeText(input.value).then(() => text(target, words.copied), () => {});
    else if (document.execCommand("copy")) text(target, words.copied);
  });
  get("made-done").addEventListener("click", () => {
    for (const id of ["made-token", "made-link"]) get(id).value = "";
    for (const element of made.querySelectorAll("[data-copies]")) text(element, words.copy);
    find(made, "path").setAttribute("d", "");
    made.hidden = true;
    get("add-token").focus();
  });

  /** @param {boolean} open */
  function showForm(open) {
    form.hidden = !open;
    get("add-token").setAttribute("aria-expanded", String(open));
    if (open) get("token-name").focus();
  }

  /** Offers names to choose from. @param {HTMLElement} group @param {string[]} names */
  function offer(group, names) {
    group.hidden = !names.length;
    find(group, "div").replaceChildren(...names.map((name) => {
      const label = document.createElement("label"), box = document.createElement("input");
      box.type = "checkbox";
      box.value = name;
      label.append(box, ` ${name}`);
      return label;
    }));
  }

  /** The names that are chosen; undefined is all. @param {HTMLElement} group */
  function chosen(group) {
    const names = [...group.querySelectorAll("input:checked")].map((box) => /** @type {HTMLInputElement} */ (box).value);
    return names.length ? names : undefined;
  }

  get("add-token").addEventListener("click", () => showForm(form.hidden));
  form.addEventListener("submit", async (/** @type {Event} */ submitted) => {
    submitted.preventDefault();
    await attempt(async () => {
      const days = Number(get("token-days").value);
      show(await ask("tokens", "POST", {
        name: get("token-name").value.trim(), role: get("token-role").value, expires: days ? `${days}d` : undefined,
        sensors: chosen(get("token-sensors")), motors: chosen(get("token-motors")),
      }));
      form.reset();
      showForm(false);
    });
    await look(true);
  });
  get("administer").addEventListener("click", () => {
    fold.open = true;
    find(fold, "summary").focus();
    get("admin").scrollIntoView();
  });

  /** @param {import("./gateway.js").Hello} hello */
  function greet({ you, sensors, motors }) {
    may = you.may.includes("tokens");
    get("admin").hidden = get("administer").hidden = !may;
    if (!may) return;
    offer(get("token-sensors"), sensors.map(({ name }) => name));
    offer(get("token-motors"), motors.map(({ target }) => target));
    void look(true);
  }
  fold.addEventListener("toggle", () => look(true));
  get("records-again").addEventListener("click", () => look(true));
  document.addEventListener("visibilitychange", () => look());
  setInterval(look, POLL);
  gateway.addEventListener("hello", ({ detail }) => setTimeout(greet, 0, detail)); // it is connected when all have heard of it
  if (gateway.hello) greet(gateway.hello);
}
