// @ts-check
// Lets the browser show the page before it comes to life: what is fetched and run
// before the first frame, the first frame waits for. All modules are asked for at
// once, for of a module only those are known that import it.

const modules = ["page", "cards", "chart", "columns", "dom", "export", "format", "gateway", "history", "link",
  "motors", "readings", "ring", "room", "sensor", "sequence", "stop", "uPlot", "view"];
const begin = () => modules.forEach((name) => import(`./${name}.js`));

new PerformanceObserver(begin).observe({ type: "paint", buffered: true });
setTimeout(begin, 500); // out of sight nothing is painted; and a second time does nothing
