// @ts-check
// The few things done to elements.

/** @param {string} id @returns {any} */
export const get = (id) => document.getElementById(id);

/** @param {ParentNode} root @param {string} selector @returns {any} */
export const find = (root, selector) => root.querySelector(selector);

/** A copy of a template's element. @param {string} id @returns {any} */
export const copy = (id) => get(id).content.firstElementChild.cloneNode(true);

/** An entry of a list that is a text. @param {string} textContent */
export const item = (textContent) => Object.assign(document.createElement("li"), { textContent });

/** Sets the text if it differs: in the node that is there, for with another one the browser lays out more. @param {Element} element @param {string} value */
export function text(element, value) {
  const { firstChild } = element;
  if (value && firstChild instanceof Text && !firstChild.nextSibling) {
    if (firstChild.data !== value) firstChild.data = value;
  } else if (element.textContent !== value) element.textContent = value;
}

const NEAR = "10%"; // of what is in sight, above and below it
/** @type {WeakMap<Element, (is: boolean) => void>} */
const watched = new WeakMap();
const watcher = new IntersectionObserver((entries) => entries.forEach(({ target, isIntersecting }) => watched.get(target)?.(isIntersecting)), { rootMargin: `${NEAR} 0%` });

/** Calls when an element comes into sight, or nearly, and when it has left. @param {Element} element @param {(is: boolean) => void} then */
export function watch(element, then) {
  watched.set(element, then);
  watcher.observe(element);
}

/** Sets a data attribute, and says if it differed. @param {HTMLElement} element @param {string} key @param {string} value */
export function mark(element, key, value) {
  if (element.dataset[key] === value) return false;
  element.dataset[key] = value;
  return true;
}

/** Sets which of a group's buttons is pressed. @param {Element} group @param {(button: HTMLButtonElement) => boolean} is */
export function press(group, is) {
  for (const button of group.querySelectorAll("button")) button.setAttribute("aria-pressed", String(is(button)));
}

/** Makes a change that may move what is below it, and keeps what has the focus where it is on the screen. @param {() => void} change */
export function steadily(change) {
  const held = document.activeElement ?? document.body, { top, bottom } = held.getBoundingClientRect();
  change();
  if (held === document.body || !held.isConnected || bottom < 0 || top > innerHeight) return;
  const by = held.getBoundingClientRect().top - top;
  if (by) scrollBy({ top: by, behavior: "instant" });
}

/**
 * A list whose elements stay while their entries do: one may have the focus.
 * @template T
 * @param {HTMLElement} list @param {(entry: T) => string} key @param {(entry: T) => HTMLElement} make @param {(element: HTMLElement, entry: T) => void} fill
 * @returns {(entries: T[]) => void} shows entries
 */
export function keyed(list, key, make, fill) {
  /** @type {Map<string, HTMLElement>} */
  const known = new Map();
  return (entries) => {
    const keys = new Set(entries.map(key));
    for (const [name, element] of known) {
      if (keys.has(name)) continue;
      element.remove();
      known.delete(name);
    }
    entries.forEach((entry, i) => {
      const name = key(entry), element = known.get(name) ?? make(entry);
      known.set(name, element);
      fill(element, entry);
      if (list.children[i] !== element) list.insertBefore(element, list.children[i] ?? null);
    });
  };
}

/** A name that a browser breaks between its words, not within them. @param {string} name @returns {(string | Element)[]} */
export const breakable = (name) => name.split(/(?<=[_-])/).flatMap((part, i) => (i ? [document.createElement("wbr"), part] : [part]));
