// @ts-check
// Lets the browser show the page before it comes to life: what runs before the
// first frame, the first frame waits for. A page out of sight has no frames.

const begin = () => import("./page.js");
if (document.hidden) begin();
else requestAnimationFrame(() => setTimeout(begin));
