// @ts-check
// The cards of all sensors: each group under its name, what is wrong on top, and which of
// them are shown. The page's address says the group and the order.

import { read } from "./address.js";
import { get, mark, text } from "./dom.js";
import { words } from "./words.js";

/** @typedef {import("./cards.js").Card} Card */
/** @typedef {{group?: string, element: HTMLElement, title: HTMLElement, list: HTMLElement, cards: Card[]}} Section without a group: of those that have none, or of all */

const MANY = 6; // sensors; the cards of more are small

/** Which group, "" for all, and in which order. */
export const shown = { group: "", order: "" };

/** @param {Partial<typeof shown>} wanted */
function show(wanted) {
  const before = shown.group;
  Object.assign(shown, wanted);
  document.dispatchEvent(new CustomEvent("groups", { detail: shown.group !== before }));
}

function follow() {
  const { group = "", order = "" } = read(location.hash); // and nothing else that it says
  show({ group, order });
}
window.addEventListener("hashchange", follow);
follow();

/** Those of the group that is shown; all, where none is in it. @template {{info: {group?: string}}} T @param {T[]} sensors @returns {T[]} */
export function inGroup(sensors) {
  const some = shown.group ? sensors.filter(({ info }) => info.group === shown.group) : [];
  return some.length ? some : sensors;
}

/** How many are not live, by state, in words. @param {Card[]} cards */
const wrong = (cards) => Object.entries(words.states).map(([state, word]) => ({ n: cards.filter(({ element }) => element.dataset.state === state).length, word }))
  .filter(({ n }) => n).map(({ n, word }) => `${n} ${word}`).join(", ");

/** @param {string} value @param {string} label @returns {HTMLOptionElement} */
const option = (value, label) => Object.assign(document.createElement("option"), { value, textContent: label });

export class Grid {
  /** @type {Card[]} */
  #cards = [];
  /** @type {Section[]} */
  #sections = [];

  constructor() {
    get("filter").addEventListener("input", () => this.arrange());
    for (const what of ["group", "order"]) get(what).addEventListener("change", () => show({ [what]: get(what).value }));
    document.addEventListener("groups", () => this.#build());
  }

  get #many() {
    return this.#cards.length > MANY;
  }

  /** @param {Card[]} cards of all sensors, in their order */
  begin(cards) {
    this.#cards = cards;
    const groups = [...new Set(cards.map(({ sensor }) => sensor.info.group ?? "").filter(Boolean))];
    mark(get("sensors"), "many", String(this.#many));
    get("filter").hidden = get("order").hidden = !this.#many;
    get("group").hidden = !groups.length;
    get("overview").className = this.#many || groups.length ? "tools" : "unseen";
    get("group").replaceChildren(option("", words.allGroups), ...groups.map((group) => option(group, group)));
    get("order").replaceChildren(option("", groups.length ? words.byGroup : words.asConfigured), option("name", words.byName));
    this.#build();
  }

  /** Puts the cards that are to be shown into their sections. */
  #build() {
    const cards = inGroup(this.#cards.map(({ sensor }) => sensor)).map((sensor) => /** @type {Card} */ (this.#cards.find((card) => card.sensor === sensor)));
    const byName = shown.order === "name";
    if (byName) cards.sort((a, b) => (a.sensor.info.name < b.sensor.info.name ? -1 : 1));
    const groups = byName ? [undefined] : [...new Set(cards.map(({ sensor }) => sensor.info.group))].toSorted((a, b) => Number(a === undefined) - Number(b === undefined));
    this.#sections = groups.map((group) => section(group, byName ? cards : cards.filter(({ sensor }) => sensor.info.group === group), groups.length > 1));
    get("sensors").replaceChildren(...this.#sections.map(({ element }) => element));
    get("group").value = cards.length < this.#cards.length ? shown.group : "";
    get("order").value = shown.order;
    this.arrange();
  }

  /** Hides sensors whose name and group lack the words, and moves faulty ones up, unless somebody is about to click. */
  arrange() {
    const wanted = get("filter").value.trim().toLowerCase().split(/\s+/);
    const all = this.#sections.flatMap(({ cards }) => cards), moves = this.#many && !get("sensors").matches(":hover, :focus-within");
    for (const { sensor: { info }, element } of all) element.hidden = !wanted.every((/** @type {string} */ word) => `${info.name} ${info.group ?? ""}`.toLowerCase().includes(word));
    const there = all.filter(({ element }) => !element.hidden).length;
    text(get("overview-text"), words.overview(this.#cards.length, wrong(this.#cards)) + (there < this.#cards.length ? words.cardsShown(there) : ""));
    for (const { element, title, cards } of this.#sections) {
      element.hidden = cards.every((card) => card.element.hidden);
      text(title, words.overview(cards.length, wrong(cards)));
    }
    if (!moves) return;
    for (const { list, cards } of this.#sections) order(list, cards.toSorted((a, b) => Number(b.wrong) - Number(a.wrong)).map(({ element }) => element));
    const worst = (/** @type {Section} */ { cards }) => Number(cards.some((card) => card.wrong));
    order(get("sensors"), this.#sections.toSorted((a, b) => worst(b) - worst(a)).map(({ element }) => element));
  }
}

/** Puts elements in this order, if they are not. @param {HTMLElement} list @param {HTMLElement[]} elements */
function order(list, elements) {
  if (elements.some((element, i) => element !== list.children[i])) list.append(...elements);
}

/** @param {string | undefined} group @param {Card[]} cards @param {boolean} titled @returns {Section} */
function section(group, cards, titled) {
  const element = document.createElement("section"), list = document.createElement("ul"), heading = document.createElement("h3"), title = document.createElement("span");
  const name = titled ? group ?? words.noGroup : words.sensors;
  list.setAttribute("aria-label", name);
  list.append(...cards.map((card) => card.element));
  heading.append(`${name} `, title);
  title.className = "soft";
  element.append(...(titled ? [heading, list] : [list]));
  return { group, element, title, list, cards };
}
