// @ts-check
// Every text of the page is in each language, and there is none besides.

import { words as english } from "/page/en.js";
import { cause } from "/page/readings.js";
import { page, words as turkish } from "/page/tr.js";
import { texts } from "/page/words.js";
import { equal, test } from "./harness.js";

const SAME = ["CO₂", "ms", "Alarm: 7"]; // in both languages
const NO_WORDS = [".", "°C", "°F", "%", "–", "JSON", "100 %", "Esc Esc", "anonim"]; // of index.html
const NO_TEXT = ["names together", "Nick taken", "Content-Type", "Notification", "Escape"]; // literals like texts, which nobody sees
const FOR_PROGRAMS = ["gateway", "link", "chat", "sequence", "readings", "leases"]; // what they throw, `unsent` and `cause` translate

const fetched = async (/** @type {string} */ name) => (await fetch(`/page/${name}`)).text();

/** The sources of the page's modules, by name, without comments. */
async function sources() {
  const start = await fetched("start.js"), [, list] = /const modules = \[([^\]]*)\]/.exec(start) ?? [];
  const names = [...list.matchAll(/"(\w+)"/g)].map(([, name]) => name).filter((name) => name !== "uPlot");
  equal(names.length > 20, true, "start.js names the modules");
  const all = [["start", start], ...await Promise.all(names.map(async (name) => [name, await fetched(`${name}.js`)]))];
  return Object.fromEntries(all.map(([name, source]) => [name, source.replace(/\/\*[^]*?\*\//g, "").replace(/(^|[\s;,{(])\/\/ .*$/gm, "$1")]));
}

/** What a text says with some values. @param {any} text */
const said = (text) => (typeof text === "function" ? String(text("7", "8", "9", "10")) : text);

test("no language lacks a text, or has one too many", () => {
  /** @param {any} of @param {any} other @param {string} path */
  const compare = (of, other, path) => {
    equal(Object.keys(other).sort(), Object.keys(of).sort(), path);
    for (const [name, text] of Object.entries(of)) {
      equal(typeof other[name], typeof text, `${path}.${name}`);
      if (typeof text === "object") compare(text, other[name], `${path}.${name}`);
      else if (!["cause", "unsent"].includes(name)) {
        const [here, there] = [said(text), said(other[name])];
        equal([typeof here, typeof there, there !== "", here !== there || SAME.includes(there) || !/[a-z]{2}/i.test(here)], ["string", "string", true, true], `${path}.${name}: ${here}, ${there}`);
      }
    }
  };
  compare(english, turkish, "words");
});

test("index.html has no text that a language lacks, and a language none that index.html has not", async () => {
  const html = new DOMParser().parseFromString(await fetched(""), "text/html");
  html.querySelector("noscript")?.remove(); // without scripts nobody chooses a language: it has both
  const there = new Set([...texts(html)].map(([text]) => text).filter((text) => !NO_WORDS.includes(text)));
  equal(Object.keys(page).sort(), [...there].sort());
  equal(Object.entries(page).filter(([here, there]) => here === there || !there), []);
});

test("a document speaks another language, with its templates", () => {
  const html = new DOMParser().parseFromString(`<p title="Sound">  Join <b>Send</b></p><template><i aria-label="Stop">Stop</i></template><script>"Stop"</script>`, "text/html");
  for (const [text, set] of texts(html)) set(page[text]);
  equal(html.body.innerHTML + html.head.innerHTML, `<p title="Ses">  Katıl <b>Gönder</b></p><template><i aria-label="Durdur">Durdur</i></template><script>"Stop"</script>`);
});

test("what the client for programs says is translated", async () => {
  const { gateway } = await sources(), messages = [...gateway.matchAll(/GatewayError\(0, ["`]([^"`]*)/g)].map(([, message]) => message.replace(/\$\{.*\}/, "10"));
  equal([messages.length > 3, messages.filter((message) => turkish.unsent(message) === message), english.unsent("not connected")], [true, [], "not connected"]);
  equal(turkish.unsent("no answer within 10 s"), "10 sn içinde yanıt gelmedi");
  for (const fault of [1, 2, 3, 4, 5, 6, 7, 8, 255]) {
    const { name, ...here } = cause(fault), there = turkish.cause(name, here);
    equal([english.cause(name, here), there.words !== here.words && there.meaning !== here.meaning], [here, true], name);
  }
});

test("the page says nothing outside its words, and uses each of them", async () => {
  const all = await sources(), used = new Set();
  for (const [name, source] of Object.entries(all)) {
    if (name === "en" || FOR_PROGRAMS.includes(name)) continue;
    for (const [, word] of source.matchAll(/\bwords\.(?!js")(\w+)/g)) used.add(word);
    for (const [, some] of source.matchAll(/\{([^{}]*)\} = words\b/g)) some.split(",").forEach((word) => used.add(word.trim()));
    const literals = [...source.matchAll(/"([^"\n]*)"|`((?:[^`$]|\$\{[^{}]*\}|\$)*)`/g)].map(([, plain, pattern]) => plain ?? pattern.replace(/\$\{[^{}]*\}/g, "…"));
    equal(literals.filter((text) => /\p{L}{2,} \p{L}{2,}|^\p{Lu}\p{Ll}/u.test(text) && !/^\.|"/.test(text) && !NO_TEXT.includes(text)), [], `texts in ${name}.js`);
  }
  equal([...used].sort(), Object.keys(english).sort());
  equal((await fetched("page.css")).match(/content: "[^"]*\p{L}{2}[^"]*"/gu), null, "texts in page.css");
});
