// @ts-check
// Who this page is to the gateway: logging in with a token, and out again.

import { get, text } from "./dom.js";
import { isEnd } from "./link.js";
import { words } from "./words.js";

/** @typedef {import("./gateway.js").Gateway} Gateway */

/** @param {Gateway} gateway */
export function showAccount(gateway) {
  const out = get("log-out");

  /** @param {import("./gateway.js").Hello} hello */
  function show({ hub, you: { name, role, may } }) {
    const limited = !may.includes("command"); // a token may give more
    get("account").hidden = !name && !limited && !hub;
    get("fleet").hidden = !hub;
    text(get("who"), name ? `${name} · ${words.roles[role] ?? role}` : words.notLoggedIn);
    get("log-in").hidden = !!name;
    out.hidden = !name;
  }

  out.addEventListener("click", async () => {
    out.disabled = true;
    gateway.close(); // nobody is to be told that the session has ended; motors that this page holds stop
    try {
      const answer = await fetch("logout", { method: "POST" });
      if (!answer.ok) throw new Error(`${answer.status}: ${await answer.text()}`);
      location.reload();
    } catch (error) {
      text(get("who"), words.notLoggedOut(/** @type {Error} */ (error).message));
      out.disabled = false;
      gateway.open();
    }
  });
  gateway.addEventListener("refused", ({ detail }) => (get("account").hidden ||= isEnd(detail)));
  gateway.addEventListener("hello", ({ detail }) => show(detail));
  if (gateway.hello) show(gateway.hello);
}
