// @ts-check
// What the administrator's view says of tokens, sessions and records.

import { sessionFacts, tokenFacts } from "/page/admin.js";
import { auditLine, happened } from "/page/audit.js";
import { moment } from "/page/format.js";
import { equal, test } from "./harness.js";

const at = Date.UTC(2020, 1, 2, 3, 4, 5), when = moment(at);

test("a token says what it is for, until when, and who used it last", () => {
  const token = { id: "a", name: "ahmet", role: "viewer", created: at, by: "pi", browsers: 0, connected: 1 };
  equal(tokenFacts(token), `all sensors; all motors · never expires · made by pi, ${when} · never used · no browsers logged in, 1 client connected`);
  equal(tokenFacts({ ...token, sensors: ["indoor", "outdoor"], motors: ["fan"], expires: at, used: at, used_from: "192.0.2.7:5", browsers: 2, by: "" }),
    `indoor, outdoor; fan · expires ${when} · made by somebody, ${when} · last used ${when} from 192.0.2.7:5 · 2 browsers logged in, 1 client connected`);
  equal(tokenFacts({ ...token, expires: at, expired: true }).includes(" · expired · "), true);
});

test("a session says from where, since when, and how it is known", () => {
  const session = { id: "a", name: "ahmet", role: "viewer", from: "192.0.2.7:5", since: at, used: at };
  equal(sessionFacts({ ...session, kind: "client", how: "bearer", path: "/chat" }), `connected to /chat from 192.0.2.7:5 since ${when}, known by bearer`);
  equal(sessionFacts({ ...session, kind: "login", how: "cookie", used_from: "192.0.2.8:6" }), `browser that logged in from 192.0.2.7:5, ${when}; last used ${when} from 192.0.2.8:6`);
});

test("every kind of record is told in words", () => {
  const said = (/** @type {string} */ kind, /** @type {any} */ what, result = "ok") => happened({ n: 1, chain: "done", at, kind, what, result });
  equal([
    said("command", { action: "start", target: "fan", speed: 0.5 }),
    said("command", { action: "keepalive", target: ["fan", "pump"] }),
    said("refused", { action: "start", target: "fan" }, "409 interlock"),
    said("refused", { reason: "token" }, "this gateway asks for a token"),
    said("motor", { target: "fan" }, "lease"),
    said("latch", { event: "estop" }), said("latch", { event: "reset" }),
    said("login", { logged: "in" }), said("login", { ended: "client", id: "c1", name: "" }),
    said("token", { token: "made", id: "a", name: "ahmet", role: "viewer" }),
    said("start", { version: "1.2" }),
    said("lost", undefined, "12 records could not be written"),
    said("command", "too large for a record"),
    said("other", { unheard: 1 }, "of"),
  ], [
    "start fan speed 0.5", "keepalive fan, pump", "start fan: 409 interlock", "refused: this gateway asks for a token", "fan stopped: lease",
    "emergency stop", "reset", "logged in", "ended the session of somebody without a token", "token of ahmet (viewer) made",
    "the gateway started, version 1.2", "lost: 12 records could not be written", "command too large for a record", 'other {"unheard":1}: of',
  ]);
  const line = (/** @type {object} */ over) => auditLine({ n: 1, chain: "done", at, kind: "login", what: { logged: "out" }, result: "ok", ...over }).textContent;
  equal(line({ name: "<b>ahmet</b>", from: "192.0.2.7:5", count: 3 }), `${when} <b>ahmet</b> from 192.0.2.7:5 logged out (3 times)`);
  equal(line({ name: "192.0.2.7:5", from: "192.0.2.7:5" }), `${when} 192.0.2.7:5 logged out`);
});
