// @ts-check
// What the operators' room shows.

import { openRoom } from "/page/room.js";
import { inBrowser } from "./browser.js";
import { equal } from "./harness.js";

inBrowser("what was said while the connection was lost is shown when it is back, and nothing twice", (browser) => {
  const page = document.createElement("div"), find = (/** @type {string} */ selector) => /** @type {any} */ (page.querySelector(selector));
  page.innerHTML = `<details id="room-fold"><summary><span id="room-last"></span></summary><div id="log"></div>
    <form id="join"><input id="nick"><button></button><p id="join-error"></p></form>
    <form id="say"><input id="text"><button></button><p id="room-state"></p><p id="room-silent"></p></form></details>`;
  document.body.append(page);
  const said = (/** @type {string} */ text) => browser.say({ type: "chat", nick: "ann", text, from: "192.0.2.7" });
  /** @param {string[]} lines the last ones */
  const connect = (...lines) => {
    browser.accept();
    lines.forEach(said);
    browser.say({ type: "info", nick: "server", text: "You are eve" });
  };
  const shown = () => [...page.querySelectorAll("#log .chat")].map((line) => `${/\d/.test(line.querySelector("time")?.textContent ?? "") ? "now" : "earlier"}: ${line.querySelector("span")?.textContent}`);
  try {
    const room = openRoom(/** @type {any} */ (new EventTarget()));
    const join = (/** @type {string} */ nick) => {
      find("#nick").value = nick;
      find("#join").dispatchEvent(new Event("submit", { cancelable: true }));
    };
    join("ann");
    browser.accept();
    said("hello");
    browser.lose(1008, "Nick taken");
    join("eve");
    connect("hello");
    said("the fan is loud");
    said("ok");
    const before = ["earlier: hello", "now: the fan is loud", "now: ok"];
    equal(shown(), before);
    browser.lose();
    browser.run(1250);
    connect("hello", "the fan is loud", "ok"); // nothing was said
    equal(shown(), before);
    browser.lose();
    browser.run(1250);
    connect("the fan is loud", "ok", "where are you?", "ok");
    said("ok");
    equal(shown(), [...before, "earlier: where are you?", "earlier: ok", "now: ok"]);
    room.close();
  } finally {
    page.remove();
    sessionStorage.clear();
  }
});
