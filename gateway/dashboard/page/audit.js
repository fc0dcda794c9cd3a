// @ts-check
// Records of the audit log in words.

import { moment } from "./format.js";

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
  if (kind === "motor") return `${what.target} stopped${failed}`;
  if (what.event) return what.event === "estop" ? "emergency stop" : what.event;
  if (what.logged) return `logged ${what.logged}`;
  if (what.ended) return `ended the session of ${what.name || "somebody without a token"}`;
  if (what.token) return `token of ${what.name} (${what.role}) ${what.token}`;
  if (what.version) return `the gateway started, version ${what.version}`;
  if (what.reason) return `refused${failed}`;
  return `${kind} ${JSON.stringify(what)}${failed}`;
}

/** A record as a line of a list. @param {Record} record */
export function auditLine(record) {
  const item = document.createElement("li"), time = document.createElement("time"), who = document.createElement("b");
  const { at, name, from, count = 1 } = record;
  time.dateTime = new Date(at).toISOString();
  time.textContent = moment(at);
  who.textContent = name ?? "";
  item.append(time, " ", who, from && from !== name ? ` from ${from} ` : " ", happened(record), count > 1 ? ` (${count} times)` : "");
  return item;
}
