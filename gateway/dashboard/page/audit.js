// @ts-check
// Records of the audit log in words.

import { moment } from "./format.js";
import { words } from "./words.js";

/**
 * @typedef {{n: number, chain: string, at: number, kind: string, name?: string, from?: string, what?: any, result: string, count?: number}} Record
 */

/** What a command was given. @param {Record<string, unknown>} command */
const given = ({ action, target, ...rest }) => [action, [target ?? []].flat().join(", "), ...Object.entries(rest).map(([key, value]) => `${key} ${value}`)].filter(Boolean).join(" ");

/** What happened, without who and when. @param {Record} record */
export function happened({ kind, what, result }) {
  const failed = result === "ok" ? "" : `: ${result}`;
  if (typeof what !== "object" || !what) return `${[kind, what].filter(Boolean).join(" ")}${failed}`;
  if (what.action) return given(what) + failed;
  if (kind === "motor") return words.motorStopped(what.target) + failed;
  if (what.event) return words.latches[what.event] ?? what.event;
  if (what.logged) return words.logged[what.logged] ?? what.logged;
  if (what.ended) return words.endedSession(what.name);
  if (what.token) return words.tokenWas(what.name, words.roles[what.role] ?? what.role, words.tokenChanges[what.token] ?? what.token);
  if (what.version) return words.gatewayStarted(what.version);
  if (what.reason) return words.refused + failed;
  return `${kind} ${JSON.stringify(what)}${failed}`;
}

/** @param {Record} record */
export function auditLine(record) {
  const item = document.createElement("li"), time = document.createElement("time"), who = document.createElement("b");
  const { at, name, from, count = 1 } = record;
  time.dateTime = new Date(at).toISOString();
  time.textContent = moment(at);
  who.textContent = name ?? "";
  item.append(time, " ", who, from && from !== name ? ` ${words.fromWhere(from)} ` : " ", happened(record), count > 1 ? ` ${words.times(count)}` : "");
  return item;
}
