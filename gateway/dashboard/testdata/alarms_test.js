// @ts-check
// What the page says of alarms.

import { alarmFacts } from "/page/alarms.js";
import { keyed } from "/page/dom.js";
import { moment } from "/page/format.js";
import { equal, test } from "./harness.js";

test("an alarm says why, since when, and who knows", () => {
  const at = Date.UTC(2020, 1, 2, 3, 4, 5), when = moment(at), alarm = { name: "hot", state: /** @type {const} */ ("raised"), severity: /** @type {const} */ ("critical"), since: at / 1000 };
  equal(alarmFacts({ ...alarm, condition: "indoor.temperature > 35", value: 35.200000762939453 }), `indoor.temperature > 35 (35.2); since ${when}`);
  equal(alarmFacts({ ...alarm, reason: "no_ack", acknowledged: { by: "ahmet", ts: at / 1000 } }), `no_ack; since ${when}; acknowledged by ahmet, ${when}`);
});

test("a list keeps the elements of what stays, in the order of the entries", () => {
  const element = document.createElement("ul");
  let made = 0;
  const show = keyed(element, (/** @type {[string, string]} */ [name]) => name, () => (made++, document.createElement("li")), (item, [name, words]) => (item.textContent = `${name} ${words}`));
  const shown = () => [...element.children].map(({ textContent }) => textContent);
  show([["a", "1"], ["b", "1"]]);
  const b = element.children[1];
  show([["c", "1"], ["b", "2"]]);
  equal([shown(), element.children[1] === b, made], [["c 1", "b 2"], true, 3]);
  show([]);
  equal(shown(), []);
});
