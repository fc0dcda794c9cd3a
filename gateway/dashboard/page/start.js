// @ts-check
// Lets the browser show the page before it comes to life: what is fetched and run
// before the first frame, the first frame waits for. All modules are asked for at
// once, for of a module only those are known that import it.
//
// It says too why there is no connection, as far as a page can find out. This is no
// module, and imports none: a browser names the page's origin when it fetches
// modules, so a gateway that refuses the origin refuses these too.
{
  const ANSWERS = 1_500; // ms for all of them
  const host = location.host;
  const UNEXPLAINED = `${host} answers, but a WebSocket does not get through; a proxy between may not pass it on`;

  const why = async () => {
    const signal = AbortSignal.timeout(ANSWERS), ask = (/** @type {string} */ method) => fetch(".", { method, cache: "no-store", signal });
    const said = async (/** @type {Response} */ response) => {
      const [reason] = (await response.text()).trim().split("\n");
      return `${response.status} ${response.statusText}: ${reason.slice(0, 300)}`;
    };
    try {
      const page = await ask("GET");
      if (!page.ok) return `${host} answers ${await said(page)}`;
      const named = await ask("OPTIONS"); // with the page's origin, unlike GET
      if (named.status === 403) return `${host} refuses this page: ${await said(named)}`;
    } catch {
      return `no answer from ${host}`;
    }
    return UNEXPLAINED;
  };

  /** Shows why, unless there is a connection meanwhile. */
  const explain = async () => {
    const trouble = /** @type {HTMLElement} */ (document.getElementById("trouble")), asked = trouble.dataset.asked = String(performance.now());
    const words = `No connection: ${await why()}.`;
    if (trouble.dataset.asked === asked && trouble.textContent !== words) trouble.textContent = words;
  };

  /**
   * Without the core nothing works. If the gateway answers and refuses nothing, the
   * scripts did not arrive whole, as over a bad line: the page is loaded again, once.
   * @param {unknown} error
   */
  const lost = async (error) => {
    console.error(error);
    const [navigation] = /** @type {PerformanceNavigationTiming[]} */ (performance.getEntriesByType("navigation"));
    if (navigation?.type !== "reload" && (await why()) === UNEXPLAINED) location.reload();
    else await explain();
  };

  const modules = ["core", "page", "address", "cards", "chart", "chat", "columns", "dom", "export", "format", "gateway", "gestures", "history", "latch", "leases", "link",
    "motors", "readings", "ring", "room", "sensor", "sequence", "stop", "uPlot", "view"];
  let begun = false;
  const begin = () => {
    if (begun) return;
    begun = true;
    for (const name of modules) import(`./${name}.js`).catch(name === "core" ? lost : () => {}); // core.js says which others are missing
  };

  document.addEventListener("unconnected", explain);
  new PerformanceObserver(begin).observe({ type: "paint", buffered: true });
  setTimeout(begin, 500); // out of sight nothing is painted
}
