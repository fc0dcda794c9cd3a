// @ts-check
// What the page says in English, apart from what index.html has. Every other language
// has the same texts, and those of index.html besides: see tr.js.

/** @param {number} n @param {string} one */
const several = (n, one) => `${n} ${one}${n === 1 ? "" : "s"}`;

/** @param {string | undefined} by */
const byWhom = (by) => (by ? ` by ${by}` : "");

export const words = {
  // Numbers and times; a number comes as text where it is shown with decimals or thousands.
  /** @type {Record<string, string>} */
  quantities: { temperature: "Temperature", humidity: "Humidity", pressure: "Air pressure", co2: "CO₂", dew_point: "Dew point", absolute_humidity: "Absolute humidity" },
  percent: (/** @type {string} */ n) => `${n} %`,
  units: { ms: "ms", s: "s", min: "min", h: "h", d: "d" },
  perMinute: (/** @type {string} */ change) => `${change}/min`,
  steady: "steady",

  // core.js
  /** @type {Record<string, string>} what to say of a part that did not come */
  missing: {
    readings: "The readings are missing", charts: "The charts are missing", account: "Your account is missing", admin: "The administrator’s view is missing",
    alarms: "The alarms are missing", motors: "The motors’ controls are missing", room: "The operators’ room is missing", machine: "The machine’s numbers are missing",
  },
  /** @type {Record<string, string>} why who this is no longer holds, by the reason of the close */
  ends: {
    "Token revoked": "Your session has ended: the token was revoked or changed, or this browser was logged out",
    "Token expired": "Your session has ended: the token or the login has expired",
    "Token needed": "This gateway asks for a token now",
    "Session ended": "An administrator has ended this session",
  },
  ended: (/** @type {string} */ why) => `${why}. Nothing here is live, and STOP ALL does not work, until you log in again.`,
  closed: (/** @type {string} */ reason) => `The gateway closed the connection for good: ${reason}. Reload the page to try again.`,

  // page.js
  title: (/** @type {string} */ name) => `${name} – Sensor gateway`,
  /** @type {Record<string, string>} */
  states: { failed: "failed", stale: "stale", waiting: "waiting" },
  /** @param {number} n @param {string} wrong as "2 failed, 1 stale" */
  overview: (n, wrong) => `${n} sensors${wrong ? `: ${wrong}` : ", all live"}`,
  roundTrip: (/** @type {string} */ ms) => `round trip ${ms} ms`,
  received: (/** @type {string} */ n) => `${n} received`,
  recovered: (/** @type {string} */ n) => `${n} recovered`,
  lost: (/** @type {string} */ n) => `${n} lost`,
  notMeasured: (/** @type {string} */ n) => `${n} not measured`,
  conflated: (/** @type {string} */ n) => `${n} conflated`,
  reconnectingIn: (/** @type {string} */ time) => `reconnecting in ${time}`,
  connectionLost: "Connection lost, reconnecting",
  notConnected: "not connected",
  notConnectedAloud: "Not connected",
  connecting: "connecting …",
  reconnecting: "reconnecting …",
  connectedSilent: "connected, no reading yet",
  connectedAloud: "Connected",
  staleFor: (/** @type {string} */ time) => `stale ${time}`,
  staleAloud: "Stale: no readings arrive",
  liveFor: (/** @type {string} */ time) => `live · ${time}`,
  liveAloud: "Live",

  // groups.js
  sensors: "Sensors",
  allGroups: "All groups",
  noGroup: "No group",
  byGroup: "By group",
  byName: "By name",
  asConfigured: "As configured",
  cardsShown: (/** @type {number} */ n) => `; ${n} shown`,

  // cards.js
  /** @type {(name: string, english: {words: string, meaning: string}) => {words: string, meaning: string}} why a measurement failed, by its name in JSON */
  cause: (_, english) => english,
  asJSON: (/** @type {string} */ sensor) => `${sensor}: newest reading as JSON`,
  noValue: "no value yet",
  lastGood: (/** @type {string} */ time) => `last good ${time} ago`,
  waitingForFirst: "waiting for the first reading",
  stale: "stale",
  nothingHeard: (/** @type {string} */ time) => `nothing heard for ${time}`,
  /** @param {number | undefined} seconds undefined: a whole minute */
  lately: (seconds) => (seconds === undefined ? "last minute" : `last ${seconds} s`),
  /** @param {string} percent @param {string} span */
  allGood: (percent, span) => `${percent} good in the ${span}`,
  /** @param {string} percent @param {string} failed @param {string} span */
  someGood: (percent, failed, span) => `${percent} good, ${failed} failed in the ${span}`,
  /** @param {string} why @param {string} time */
  lastFailure: (why, time) => `; last: ${why}, ${time} ago`,

  // view.js, chart.js
  /** @param {number} n @param {number} all */
  shownOf: (n, all) => `${n} of ${all} sensors are shown: choose.`,
  showOrHide: "Show or hide in the charts",
  /** @param {string} from @param {string} to */
  table: (from, to) => `From ${from} to ${to}`,
  /** @param {string} from @param {string} to */
  fromTo: (from, to) => `${from} to ${to}`,
  exported: "Exported",
  /** @param {number} minutes @param {number} asked @param {string} why */
  exportLacks: (minutes, asked, why) => `${minutes} min of readings are ${asked ? "not here yet: they are fetched from the gateway, export again in a minute" : `not here, only their means${why && `: ${why}`}`}`,
  exportCSV: "Export CSV",
  exportFailed: "Export failed: try again",
  exportFailedAloud: (/** @type {string} */ why) => `Export failed: ${why}`,
  noRecord: "no record",
  failed: "failed",
  /** @param {number} n @param {number} all */
  failedOf: (n, all) => `${n} of ${all} failed`,
  limit: (/** @type {string} */ value) => `limit ${value}`,

  // stop.js, latch.js
  /** @type {(english: string) => string} why gateway.js could not send something */
  unsent: (english) => english,
  notThrough: (/** @type {string} */ why) => `Did not get through: ${why}`,
  stopping: "Stopping all motors …",
  tryingToStop: (/** @type {number} */ seconds) => `No connection. Trying to stop for ${seconds} s more.`,
  stopNotKept: "All motors are stopped, but this is not stored yet: the gateway would forget it in a restart.",
  stopFailed: (/** @type {string} */ why) => `STOP DID NOT GET THROUGH: ${why}. Use the stop at the machine. Nothing will be sent later.`,
  noAnswerFor10s: "no answer for 10 s",
  /** @param {string} by @param {string} when */
  latched: (by, when) => `Emergency stop${byWhom(by)}, ${when}. All motors stay off until it is reset.`,
  /** @param {string} motor @param {string} fault */
  motorFault: (motor, fault) => `Fault of ${motor}: ${fault}. It stays off until a reset.`,
  notReset: (/** @type {string} */ why) => `Not reset: ${why}`,

  // motors.js
  /** @type {Record<string, string>} why a motor is as it is; what the gateway may say besides, it says in words */
  reasons: {
    boot: "not commanded since the gateway started",
    lease: "stopped: its operator’s page was closed, hidden or cut off (lease ended)",
    run_ms: "stopped: its run time was up",
    max_run: "stopped: it had run for as long as it may",
    disconnect: "stopped: its operator’s connection ended",
    estop: "stopped: emergency stop",
    fault: "stopped: fault",
    shutdown: "stopped: the gateway shut down",
  },
  /** @param {string} why @param {string | undefined} by */
  reasonBy: (why, by) => why + byWhom(by),
  startedBy: (/** @type {string | undefined} */ by) => `started${byWhom(by)}`,
  stoppedBy: (/** @type {string | undefined} */ by) => `stopped${byWhom(by)}`,
  byInterlock: (/** @type {string} */ condition) => `stopped: interlock, ${condition} does not hold`,
  off: "off",
  /** @param {string} speed @param {string} [direction] */
  running: (speed, direction) => `running, ${speed}${direction ? ` ${direction}` : ""}`,
  /** @type {Record<string, string>} */
  directions: { forward: "forward", reverse: "reverse" },
  unknownNow: "unknown while disconnected",
  heldBy: (/** @type {string} */ holder) => `; held by ${holder}`,
  thisPage: "this page",
  stopOnly: (/** @type {string} */ reason) => `This page can stop motors, but not start them: ${reason}.`,
  howRuns: (/** @type {string} */ motor) => `How ${motor} runs`,
  interlocksOf: (/** @type {string} */ motor) => `Interlocks of ${motor}`,
  start: (/** @type {string} */ motor) => `Start ${motor}`,
  stop: (/** @type {string} */ motor) => `Stop ${motor}`,
  speedOf: (/** @type {string} */ motor) => `Speed of ${motor} in percent`,
  directionOf: (/** @type {string} */ motor) => `Direction of ${motor}`,
  /** @param {number} n @param {string} how */
  interlocks: (n, how) => `${n} interlocks: ${how}`,
  /** @param {string} conditions @param {number} n */
  blocking: (conditions, n) => `${conditions} ${n > 1 ? "do" : "does"} not hold: blocks start`,
  allHold: "all hold",
  holds: "holds",
  doesNotHold: "does not hold: blocks start",

  // control.js
  gone: (/** @type {string} */ by) => ` (${by} is gone)`,
  mayNoLonger: (/** @type {string} */ by) => ` (${by} may no longer)`,
  /** @param {string} by @param {string} holder */
  requests: (by, holder) => `${by} requests control from ${holder}`,
  /** @param {string} to @param {string} how */
  granted: (to, how) => `${to} has control now${how}`,
  didNotAnswer: (/** @type {string} */ from) => `: ${from} did not answer`,
  nobodyAnswered: (/** @type {string} */ to) => `nobody answered ${to}, who requested control`,
  /** @param {string} by @param {string} to */
  denied: (by, to) => `${by} denied ${to} control`,
  nobodyHas: (/** @type {string} */ how) => `nobody has control any more${how}`,
  released: (/** @type {string} */ from) => `: ${from} released it`,
  /** @param {string} by @param {string} how */
  withdrew: (by, how) => `${by} no longer requests control${how}`,
  grantOf: (/** @type {string} */ motor) => `Grant control of ${motor}`,
  denyOf: (/** @type {string} */ motor) => `Deny control of ${motor}`,
  youHave: (/** @type {string} */ since) => `You have control since ${since}.`,
  /** @param {string} by @param {string} since */
  has: (by, since) => `${by} has control since ${since}.`,
  youWait: "You wait for control.",
  waits: (/** @type {string} */ by) => `${by} waits for control.`,
  releaseControl: "Release control",
  withdrawRequest: "Withdraw request",
  requestControl: "Request control",
  /** @param {string} what as the button @param {string} motor */
  controlOf: (what, motor) => `${what} of ${motor}`,
  /** @param {string} by @param {string} motor */
  asks: (by, motor) => `${by} requests control of ${motor}.`,
  left: (/** @type {string} */ time) => `${time} left`,

  // alarms.js
  alarms: (/** @type {number} */ n) => several(n, "alarm"),
  /** @param {number} n @param {number} open */
  alarmsAloud: (n, open) => `${several(n, "alarm")}, ${open} not acknowledged: show`,
  /** @type {Record<string, string>} */
  severities: { info: "info", warning: "warning", critical: "critical" },
  since: (/** @type {string} */ when) => `since ${when}`,
  /** @param {string} by @param {string} when */
  acknowledgedBy: (by, when) => `acknowledged by ${by}, ${when}`,
  acknowledge: (/** @type {string} */ alarm) => `Acknowledge ${alarm}`,
  noAlarm: "No alarm.",
  alarmAloud: (/** @type {string} */ names) => `Alarm: ${names}`,

  // room.js
  earlier: "earlier",
  notInRoom: "Not in the room: reconnecting …",
  cameIn: "came in",
  leftRoom: "left",
  nickTaken: (/** @type {string} */ nick) => `“${nick}” is here already: take another name.`,
  clockCorrected: (/** @type {string} */ step) => `the gateway’s clock was corrected by ${step}`,
  /** @type {Record<string, string>} */
  alarmStates: { raised: "raised", cleared: "cleared", acknowledged: "acknowledged" },
  /** @param {string} alarm @param {string} state @param {string} [by] */
  alarmIs: (alarm, state, by) => `alarm ${alarm} ${state}${byWhom(by)}`,
  estopBy: (/** @type {string} */ by) => `emergency stop by ${by}`,
  resetBy: (/** @type {string} */ by) => `reset by ${by}: motors may start`,
  theGateway: "the gateway",
  notStored: (/** @type {string} */ why) => `readings are not stored${why}`,
  storedAgain: "readings are stored again",
  some: "some",
  /** @param {string} n @param {string} reason */
  readingsLost: (n, reason) => `${n} stored readings are lost: ${reason}`,
  /** @param {string} n @param {string} reason */
  readingsRemoved: (n, reason) => `${n} stored readings were removed: ${reason}`,
  /** @param {string} how */
  uplink: (how) => `Uplink: ${how}`,
  uplinkBack: "Uplink: readings go up again",
  /** @param {string} hub @param {boolean} added @param {string} by */
  hubKey: (hub, added, by) => `hub ${hub} may ${added ? "command this gateway from now on" : "command this gateway no longer"} (${by})`,

  // machine.js
  notKnown: "not known on this machine",
  noThermometer: "this machine has no thermometer",
  /** @param {string} used @param {string} all */
  usedOf: (used, all) => `${used} of ${all} used`,
  /** @param {string} received @param {string} sent a second */
  network: (received, sent) => `${received} received, ${sent} sent`,
  ago: (/** @type {string} */ time) => `${time} ago`,

  // account.js
  /** @type {Record<string, string>} */
  roles: { viewer: "viewer", operator: "operator", admin: "admin" },
  notLoggedIn: "not logged in",
  notLoggedOut: (/** @type {string} */ why) => `Not logged out: ${why}`,

  // admin.js
  allSensors: "all sensors",
  allMotors: "all motors",
  expired: "expired",
  expires: (/** @type {string} */ when) => `expires ${when}`,
  neverExpires: "never expires",
  /** @param {string} by @param {string} when */
  madeBy: (by, when) => `made by ${by || "somebody"}, ${when}`,
  /** @param {string} when @param {string} [from] */
  lastUsed: (when, from) => `last used ${when}${from ? ` from ${from}` : ""}`,
  neverUsed: "never used",
  /** @param {number} browsers @param {number} clients */
  inUse: (browsers, clients) => `${browsers ? several(browsers, "browser") : "no browsers"} logged in, ${clients ? several(clients, "client") : "no clients"} connected`,
  /** @param {string} path @param {string} from @param {string} since @param {string} how */
  connectedTo: (path, from, since, how) => `connected to ${path} from ${from} since ${since}, known by ${how}`,
  /** @param {string} from @param {string} when @param {string} used as lastUsed */
  loggedInFrom: (from, when, used) => `browser that logged in from ${from}, ${when}; ${used}`,
  link: "Link",
  rotate: "Rotate",
  rotateNow: "Rotate now: the old text ends",
  revoke: "Revoke",
  revokeNow: "Revoke now: all with it are cut off",
  logOut: "Log out",
  logOutNow: "Log it out now",
  end: "End",
  endNow: "End it now",
  noToken: "no token",
  thisBrowser: " (this browser)",
  noTokens: "There are no tokens.",
  /** @param {number} n @param {number} all */
  newestOf: (n, all) => `The newest ${n} of ${all}.`,
  tokenOf: (/** @type {string} */ name) => `The token of ${name}`,
  linkFor: (/** @type {string} */ name) => `A link for ${name}`,
  copy: "Copy",
  copied: "Copied",

  // audit.js: kinds, actions and reasons are shown as the audit log has them
  motorStopped: (/** @type {string} */ motor) => `${motor} stopped`,
  /** @type {Record<string, string>} */
  latches: { estop: "emergency stop", reset: "reset" },
  /** @type {Record<string, string>} */
  logged: { in: "logged in", out: "logged out" },
  endedSession: (/** @type {string} */ name) => `ended the session of ${name || "somebody without a token"}`,
  /** @param {string} name @param {string} role @param {string} what */
  tokenWas: (name, role, what) => `token of ${name} (${role}) ${what}`,
  /** @type {Record<string, string>} */
  tokenChanges: { made: "made", rotated: "rotated", revoked: "revoked" },
  gatewayStarted: (/** @type {string} */ version) => `the gateway started, version ${version}`,
  refused: "refused",
  fromWhere: (/** @type {string} */ from) => `from ${from}`,
  times: (/** @type {number} */ n) => `(${n} times)`,
};
