// @ts-check
// Lets the browser show the header before the page comes to life: what is fetched,
// laid out and run before the first frame, the first frame waits for. All modules are
// asked for at once, for of a module only those are known that import it.
//
// It says too why there is no connection, as far as a page can find out. This is no
// module, and imports none: a browser names the page's origin when it fetches
// modules, so a gateway that refuses the origin refuses these too.
{
  // For a screen on a wall, without controls; page.css hides them.
  document.documentElement.toggleAttribute("data-kiosk", new URLSearchParams(location.search).has("kiosk"));

  // The first of the browser's languages that the page has; English is the one of index.html.
  const language = navigator.languages.map((tag) => tag.toLowerCase().split("-")[0]).find((tag) => ["en", "tr"].includes(tag)) ?? "en";
  if (language !== "en") document.documentElement.dataset.language = language;

  const ANSWERS = 1_500; // ms for all of them
  const AGAIN = 5_000; // ms between two looks at whether a module can be had now
  const host = location.host;
  /** Modules whose fetch failed. @type {Set<string>} */
  const missing = new Set();

  /** @param {string} address @param {string} method */
  const ask = (address, method) => fetch(address, { method, cache: "no-store", signal: AbortSignal.timeout(ANSWERS) });

  /** A text of index.html, with its gaps filled. @param {string} of @param {Record<string, string>} gaps */
  const words = (of, gaps) => {
    const texts = /** @type {HTMLTemplateElement} */ (document.getElementById("unconnected")).content;
    return /** @type {string} */ (texts.querySelector(`.${of}`)?.textContent).replace(/\{(\w+)\}/g, (_, gap) => gaps[gap]);
  };

  /** Why the gateway, or a proxy, refuses this page; nothing if it does not. */
  const refusal = async () => {
    const said = async (/** @type {Response} */ response) => {
      const [reason] = (await response.text()).trim().split("\n");
      return `${response.status} ${response.statusText}: ${reason.slice(0, 300)}`;
    };
    try {
      const page = await ask(".", "GET");
      /** @type {HTMLElement} */ (document.getElementById("enter")).hidden = page.status !== 401;
      if (!page.ok) return words("answers", { host, said: await said(page) });
      const named = await ask(".", "OPTIONS"); // with the page's origin, unlike GET
      return named.status === 403 ? words("refuses", { host, said: await said(named) }) : "";
    } catch {
      return words("silent", { host });
    }
  };

  const unexplained = () => missing.size > 0 ?
    words("incomplete", { host, files: [...missing].map((name) => `${name}.js`).join(", ") }) : words("blocked", { host });

  /** Shows why, unless it is connected meanwhile; reports whether the gateway refuses the page or does not answer. */
  const explain = async () => {
    const trouble = /** @type {HTMLElement} */ (document.getElementById("trouble")), asked = trouble.dataset.asked = String(performance.now());
    const refused = await refusal(), text = words("why", { why: refused || unexplained() });
    if (trouble.dataset.asked === asked && trouble.textContent !== text) trouble.textContent = text;
    return refused !== "";
  };

  /** Whether all that is missing can be had now. */
  const available = async () => {
    try {
      return (await Promise.all([...missing].map((name) => ask(`${name}.js`, "HEAD")))).every(({ ok }) => ok);
    } catch {
      return false;
    }
  };

  /**
   * Loads the page again once what is missing can be had: a browser does not fetch a
   * module that failed a second time. Without the core nothing works, so this goes on until it
   * comes. If it came, the page is loaded again once, and only if nobody uses it.
   */
  const loadAgain = async () => {
    const [navigation] = /** @type {PerformanceNavigationTiming[]} */ (performance.getEntriesByType("navigation"));
    const first = navigation?.type !== "reload";
    for (let pause = first ? 0 : AGAIN; ; pause = AGAIN) {
      await new Promise((then) => setTimeout(then, pause));
      const alive = !document.getElementById("lifeless");
      if (alive && (!first || navigator.userActivation?.hasBeenActive !== false)) return;
      const refused = !alive && (await explain());
      if (!refused && (await available()) && !document.getElementById("stop-alert")?.textContent) return location.reload();
    }
  };

  /** @param {string} name @param {unknown} error */
  const failed = (name, error) => {
    if (name === "core") console.error(error); // core.js says which others are missing
    if (!(error instanceof TypeError)) return; // it came, and threw or was not understood
    missing.add(name);
    if (missing.size === 1) void loadAgain();
  };

  const modules = ["core", "page", "account", "address", "admin", "alarms", "audit", "cards", "chart", "chat", "columns", "control", "dom", "en", "export", "format", "gateway", "gestures", "groups", "history", "kiosk", "latch", "leases", "link", "machine",
    "motors", "readings", "ring", "room", "sensor", "sequence", "stop", "table", "uPlot", "units", "view", "words"];
  if (language !== "en") modules.unshift(language);
  let begun = false;
  const begin = () => {
    if (begun) return;
    begun = true;
    for (const element of document.querySelectorAll("main, footer, link[media]")) {
      element.removeAttribute("hidden");
      element.removeAttribute("media");
    }
    for (const name of modules) import(`./${name}.js`).catch((error) => failed(name, error));
  };

  document.addEventListener("unconnected", explain);
  new PerformanceObserver(begin).observe({ type: "paint", buffered: true });
  setTimeout(begin, 500); // out of sight nothing is painted
}
