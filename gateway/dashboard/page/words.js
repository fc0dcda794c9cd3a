// @ts-check
// What the page says, in the language that start.js has chosen from the browser's.

import { words as english } from "./en.js";
import { cause } from "./readings.js";

const LATE = 1_500; // ms after which the page stays English: what it does matters more

/** As `spoken` has them: not to be read before something is shown. */
export const words = { ...english };

/** Why a measurement failed. @param {number} fault */
export function causeSaid(fault) {
  const { name, ...said } = cause(fault);
  return words.cause(name, said);
}

const SHOWN = ["aria-label", "aria-valuetext", "title", "placeholder", "content", "data-empty", "data-empty-motors"]; // attributes

/**
 * The texts of a document, with what sets each; those of templates too.
 * @param {ParentNode} root @returns {Generator<[text: string, set: (text: string) => void]>}
 */
export function* texts(root) {
  for (const element of root.querySelectorAll("*")) {
    if (element instanceof HTMLTemplateElement) yield* texts(element.content);
    for (const name of SHOWN) {
      const value = element.getAttribute(name);
      if (value && (name !== "content" || element.matches("[name=description]"))) yield [value, (text) => element.setAttribute(name, text)];
    }
    if (element.matches("script, style")) continue;
    for (const node of element.childNodes) {
      const value = node.nodeType === Node.TEXT_NODE ? node.nodeValue?.trim() : "";
      if (value) yield [value, (text) => (node.nodeValue = /** @type {string} */ (node.nodeValue).replace(value, () => text))];
    }
  }
}

/** Fetches the language, and has the page speak it. */
async function speak() {
  const root = document.documentElement, language = root.dataset.language;
  if (!language) return;
  const other = await Promise.race([import(`./${language}.js`), new Promise((then) => setTimeout(then, LATE))]).catch(() => {}); // start.js sees to what did not come
  if (!other) return;
  Object.assign(words, other.words);
  for (const [text, set] of texts(document)) if (Object.hasOwn(other.page, text)) set(other.page[text]);
  root.lang = language;
}

/** Resolved when the page speaks the browser's language, or does not. */
export const spoken = speak();
