// @ts-check
/**
 * The gateway's JavaScript client, without dependencies. Import it from the
 * gateway itself:
 *
 *     import { Gateway, cause } from "http://localhost:8765/gateway.js";
 *     const gateway = new Gateway();
 *     gateway.addEventListener("readings", ({ detail }) => {
 *       for (const r of detail) console.log(r.name, r.fault ? cause(r.fault).words : r.temperature);
 *     });
 *     gateway.addEventListener("hello", async () => {
 *       const { state } = await gateway.command("start", "motor_1", { speed: 0.5, run_ms: 5000 });
 *     });
 *     gateway.open();
 *
 * A page from another origin needs that origin in `origins:` of the gateway's
 * configuration, and a token where the gateway asks for one:
 *
 *     const gateway = new Gateway("wss://greenhouse.example:8443/", { token });
 *
 * Whoever can read the page can read a token that is written in it: make one for
 * that page alone, with the role and the sensors that it needs. The client speaks readings.v2: every tick of every sensor
 * arrives with its number, a failed measurement with its cause. After a lost
 * connection it asks for what it missed, so that each number arrives once, in
 * two lanes (live and historical), or is accounted for in `counts`. What a hub gets
 * later than its neighbours comes in the second of them, when it has it: in order, once.
 *
 * Events, each a CustomEvent with its `detail`:
 *
 * - `phase` Phase: "connecting", "connected", "waiting" (until `due`), "closed"
 * - `refused` string: why the gateway closed the connection for good, such as "Token revoked",
 *   or takes the token not at all, such as "401: the token of fence has expired"; no other is tried
 * - `hello` Hello: who the gateway is, its sensors and motors; after each connect
 * - `resumed` {skipped}: what was missed is asked for, but for what is older than `replay`
 * - `readings` Reading[]: those of one message that are new
 * - `motor` MotorState: as the gateway acknowledged or announced it, or was asked with `look`
 * - `event`, `stats`: as the gateway sends them, if the topic `events` is among the options
 * - `pong` number: the round trip in ms, every five seconds
 *
 * @module
 */

import { Leases, hidden } from "./leases.js";
import { Link } from "./link.js";
import { SUBPROTOCOL, decode } from "./readings.js";
import { Sequence } from "./sequence.js";

export { Room } from "./chat.js";
export { backoff } from "./link.js";
export { cause, decode, quantities } from "./readings.js";

/**
 * @typedef {import("./readings.js").Reading & {name: string}} Reading with its sensor's name
 * @typedef {{id: number, name: string, group?: string, model: string, interval_ms: number, next_seq: number, primary?: boolean,
 *   values?: import("./readings.js").Quantity[]}} SensorInfo; without values it measures temperature and humidity
 * @typedef {{target: string, running: boolean, speed: number, direction: "forward" | "reverse", reason: string, by: string,
 *   ts: number, holder?: string, latched?: boolean, fault?: string, reversible?: boolean, proportional?: boolean,
 *   interlocks?: {condition: string, holds: boolean}[], control?: {by: string, since: number, allow_takeover?: boolean},
 *   control_request?: {by: string, until: number}}} MotorState what is left out is not so; times are in Unix seconds
 * @typedef {{server: string, version: string, epoch: string, time: number, simulated: boolean, clock_synced: boolean,
 *   name?: string, sensors: SensorInfo[], motors: MotorState[], warnings?: string[], hub?: string, uplink?: {connected: boolean, state: string, unsent_readings: number, behind_ms: number}, you: You}} Hello
 * @typedef {{name: string, role: string, may: string[], denied?: string}} You who the client is; without a name it is anonymous. denied is why it may not command
 * @typedef {{name: string, state: "raised" | "acknowledged" | "cleared", severity: "info" | "warning" | "critical", condition?: string, sensor?: string,
 *   motor?: string, value?: number, reason?: string, since?: number, acknowledged?: {by: string, ts: number}, cleared?: number}} Alarm times in Unix seconds
 * @typedef {{action: string, target: string | string[], status: "ok", state?: MotorState, motors?: MotorState[], kept?: boolean, pending?: string[], alarm?: Alarm}} Ack kept is false if an e-stop or a reset is not stored yet
 */

const PING_EVERY = 5_000;
const ANSWER = 5_000; // ms for an answer
const URGENT = 2_000; // ms for the answer to an e-stop, before another connection is tried
/** ms without a replayed record after which a replay is over: longer than a gateway waits for a slow disk. */
const PATIENCE = 60_000;
const POLICY = 1008;

/** What the gateway refused, with its code (as in HTTP), or what it never got or answered: code 0. */
export class GatewayError extends Error {
  name = "GatewayError";

  /** @param {number} code @param {string} message */
  constructor(code, message) {
    super(message);
    this.code = code;
  }
}

/** A connection to the gateway, made again whenever it is lost. */
export class Gateway extends Link {
  /** @type {Hello | undefined} the newest */
  hello;
  /** @type {Map<string, MotorState>} by name, the newest known */
  motors = new Map();
  /** @type {Map<number, Sequence>} what came of each sensor and what did not, by its number, which is of one connection only */
  sequences = new Map();
  /** @type {number | undefined} ms */
  roundTrip;

  /** @type {Map<string, {resolve: (payload: any) => void, reject: (error: Error) => void}>} requests without an answer */
  #pending = new Map();
  #session = Math.random().toString(36).slice(2, 10); // numbers of two pages must not meet: they would be repeats
  #requests = 0;
  // What became of a motor is said by its state.
  #leases = new Leases((target) => this.command("keepalive", target).catch(() => {}));
  /** @type {ReturnType<typeof setInterval> | undefined} */
  #pings;
  #replaying = false;
  #replayed = 0; // when something of the replay came, on performance.now()
  #topic;
  #options;

  /**
   * @param {string | URL} [url] of the gateway, or of one sensor (…/sensors/NAME); where this file came from if not given
   * @param {object} [options]
   * @param {("motors" | "events")[]} [options.topics] what to subscribe to besides readings
   * @param {number} [options.replay] ms: of what was missed, nothing older is asked for
   * @param {string} [options.token] of who connects, gwt_…; the gateway's own page has a cookie instead
   * @param {() => string | Promise<string>} [options.ticket] in place of a token: gets a ticket for each connection, from who has the token
   */
  constructor(url = new URL(".", import.meta.url), { topics = [], replay = Infinity, token, ticket } = {}) {
    super(url, [SUBPROTOCOL], { token, ticket });
    const one = /\/(sensors\/[^/]+)$/.exec(new URL(url).pathname);
    this.#topic = one ? one[1] : "sensors";
    this.#options = { topics, replay };
  }

  /**
   * What came and what did not, of all sensors that there are: received (recovered
   * of these, by replay), conflated (others stood for them), missed (the gateway did
   * not measure), lost (measured, but no longer kept).
   */
  get counts() {
    const sum = { received: 0, recovered: 0, conflated: 0, missed: 0, lost: 0 };
    for (const { counts } of this.sequences.values()) {
      for (const key of /** @type {(keyof typeof sum)[]} */ (Object.keys(sum))) sum[key] += counts[key];
    }
    return sum;
  }

  /**
   * Commands a motor, or acknowledges an alarm. Resolves with the acknowledgement, which comes after the
   * pin was driven. Rejects with a GatewayError: refused, not connected, or no
   * answer; then nothing is sent later, but the command may have been carried out.
   * @param {"start" | "stop" | "set" | "keepalive" | "status" | "estop" | "reset" | "acknowledge"} action
   * @param {string | string[]} [target] a motor, the alarm to acknowledge, or "all" for stop, status and keepalive; several for keepalive; none for estop and reset
   * @param {{speed?: number, direction?: "forward" | "reverse", run_ms?: number, lease_ms?: number, expires?: number}} [parameters]
   * @param {number} [timeout] ms
   * @returns {Promise<Ack>}
   */
  async command(action, target, parameters = {}, timeout = ANSWER) {
    const before = new Map(this.motors);
    /** @type {Ack} */
    const ack = await this.request("command", { action, target, ...parameters }, timeout);
    for (const state of ack.motors ?? (ack.state ? [ack.state] : [])) {
      // A newer state may have come before the answer.
      const known = this.motors.get(state.target);
      if (!known || known === before.get(state.target) || known.ts <= state.ts) this.#motor(state);
    }
    return ack;
  }

  /**
   * Requests control of a motor, so that nobody else starts, sets or resets it; or
   * answers who requests it, or gives it back. Resolves with the acknowledgement: its
   * `pending` has the motors whose holder has yet to answer. What becomes of control
   * comes as `motor`, and as `event` of the kind "control". Rejects as a command does.
   * @param {"request" | "grant" | "deny" | "release" | string} action
   * @param {string | string[]} target
   * @param {{timeout_ms?: number, allow_takeover?: boolean}} [parameters] of a request
   * @returns {Promise<Ack>}
   */
  async control(action, target, parameters = {}) {
    const before = new Map(this.motors);
    /** @type {Ack} */
    const ack = await this.request("control", { action, target, ...parameters });
    for (const state of ack.motors ?? (ack.state ? [ack.state] : [])) {
      if (before.get(state.target) === this.motors.get(state.target)) this.#motor(state); // else something newer is known
    }
    return ack;
  }

  /**
   * Starts a motor, or changes one that runs, under a lease that is kept alive
   * while somebody can see the page: until it is hidden, {@link release} is called,
   * or the motor or the connection ends. If one of these happens before the start
   * is acknowledged, the lease is not kept alive at all. So a page that is hidden,
   * dies, sleeps or loses its network stops its motors within the lease.
   * @param {string} target
   * @param {{speed?: number, direction?: "forward" | "reverse"}} [parameters]
   * @param {number} [lease] ms
   */
  async hold(target, parameters = {}, lease = 2000) {
    if (hidden()) throw new GatewayError(0, "the page is hidden");
    // It may have been stopped since, and that be known before the answer.
    return this.#leases.begin(target, lease, () => this.command("start", target, { ...parameters, lease_ms: lease }), () => !!this.motors.get(target)?.running);
  }

  /**
   * Asks for the motors' states: no message is sent when an interlock changes, nor
   * for each step of a ramp. Each comes as `motor`, unless its change is about to be
   * announced. It is no command: it needs no right to command, and keeps no lease
   * alive. It subscribes to `motors`.
   */
  async look() {
    /** @type {{motors: MotorState[]}} */
    const { motors } = await this.request("subscribe", { topic: "motors" });
    for (const state of motors) if (this.motors.get(state.target)?.ts === state.ts) this.#motor(state);
  }

  /** Keeps a lease alive no longer: the motor stops when it ends. @param {string} [target] without one: all */
  release(target) {
    this.#leases.release(target);
  }

  /** Whether this client keeps a lease of the motor alive. @param {string} target */
  holds(target) {
    return this.#leases.has(target);
  }

  /**
   * Stops all motors and latches them until a reset. Tries for so long as
   * `within` says, over new connections if need be, then rejects: it did not
   * get through, and is not sent later.
   * @param {number} [within] ms
   * @returns {Promise<Ack>}
   */
  async estop(within = 10_000) {
    this.release();
    const end = performance.now() + within;
    this.urgent = true;
    try {
      for (let left = within; left > 0; left = end - performance.now()) {
        if (this.phase === "waiting" || this.phase === "closed") this.open();
        const answered = performance.now() + Math.min(URGENT, left);
        try {
          if (this.phase === "connected") return await this.command("estop", undefined, {}, answered - performance.now());
        } catch (error) {
          if (/** @type {GatewayError} */ (error).code) throw error;
          if (performance.now() >= answered) this.abandon();
        }
        await new Promise((then) => setTimeout(then, Math.min(200, Math.max(0, end - performance.now()))));
      }
    } finally {
      this.urgent = false;
    }
    throw new GatewayError(0, `no answer within ${Math.round(within / 1000)} s`);
  }

  /**
   * Sends a request and resolves with the payload of its answer.
   * @param {string} type @param {object} payload @param {number} [timeout] ms
   * @returns {Promise<any>}
   */
  request(type, payload, timeout = ANSWER) {
    const id = `${this.#session}-${++this.#requests}`;
    return new Promise((resolve, reject) => {
      if (!this.transmit({ type, id, payload })) throw new GatewayError(0, "not connected");
      const timer = setTimeout(() => this.#answer(id, new GatewayError(0, "no answer")), timeout);
      /** @param {(value: any) => void} settle */
      const once = (settle) => (/** @type {any} */ value) => {
        clearTimeout(timer);
        settle(value);
      };
      this.#pending.set(id, { resolve: once(resolve), reject: once(reject) });
    });
  }

  async probe() {
    const sent = performance.now();
    await this.request("ping", {});
    this.emit("pong", (this.roundTrip = performance.now() - sent));
  }

  /** @param {string | ArrayBuffer} data */
  received(data) {
    this.#leases.received();
    if (typeof data !== "string") return this.#readings(decode(data, this.hello?.sensors));
    const { type, id, payload } = JSON.parse(data);
    if (id !== undefined) this.#answer(id, type === "error" ? new GatewayError(payload.code, payload.message) : payload);
    else if (type === "hello") this.#greet(payload);
    else if (type === "state") this.#motor(payload);
    else if (type === "subscribed") this.#lose(payload);
    else if (type === "event" || type === "stats") this.emit(type, payload);
  }

  /** An endpoint that is unknown stays so; a client that sent too much may send less. @param {number} code @param {string} reason */
  returns(code, reason) {
    return code !== POLICY || reason.startsWith("Rate limit");
  }

  /** @param {string} reason */
  refusal(reason) {
    const [, sensor] = this.#topic.split("/");
    return sensor && reason === "Unknown endpoint" ? `unknown sensor ${sensor}` : reason;
  }

  dropped() {
    clearInterval(this.#pings);
    this.release();
    this.roundTrip = undefined;
    for (const id of [...this.#pending.keys()]) this.#answer(id, new GatewayError(0, "the connection was lost before the answer"));
  }

  /** @param {string} id @param {any} result */
  #answer(id, result) {
    const waiting = this.#pending.get(id);
    this.#pending.delete(id);
    if (result instanceof Error) waiting?.reject(result);
    else waiting?.resolve(result);
  }

  /** @param {Hello} hello */
  #greet(hello) {
    const epoch = this.hello?.epoch;
    this.hello = hello;
    for (const name of this.motors.keys()) if (!hello.motors.some(({ target }) => target === name)) this.motors.delete(name);
    this.emit("hello", hello);
    this.established();
    hello.motors.forEach((state) => this.#motor(state));
    this.#resume(hello, epoch);
    for (const topic of this.#options.topics) {
      this.request("subscribe", { topic }).then(({ motors = [] }) => motors.forEach((/** @type {MotorState} */ m) => this.#motor(m)), () => {});
    }
    const ping = () => this.probe().catch(() => {});
    ping();
    this.#pings = setInterval(ping, PING_EVERY);
  }

  get #named() {
    return new Map([...this.sequences.values()].map((sequence) => [sequence.name, sequence]));
  }

  /** Asks for what was missed. @param {Hello} hello @param {string} [before] the epoch of the connection before */
  async #resume({ epoch, sensors }, before) {
    const known = this.#named, anew = before !== undefined && before !== epoch, { replay } = this.#options;
    /** @type {Record<string, number>} */
    const since = {};
    let skipped = false;
    this.sequences = new Map(); // sensors that are no more are forgotten
    for (const { id, name, next_seq, interval_ms } of sensors) {
      const wanted = this.#topic === "sensors" || this.#topic === `sensors/${name}`, old = anew && !wanted ? undefined : known.get(name);
      const sequence = old ?? new Sequence(name, next_seq);
      this.sequences.set(id, sequence);
      if (!old || !wanted) continue;
      const oldest = (next_seq - 1 - Math.ceil(replay / interval_ms)) >>> 0;
      const { since: last, asked } = sequence;
      since[name] = anew ? last : asked;
      if (anew) sequence.askAnew(next_seq, replay === Infinity ? undefined : (since[name] = oldest));
      else sequence.ask();
      if (anew || replay === Infinity || ((oldest - asked) | 0) <= 0) continue;
      since[name] = oldest;
      if (((oldest - last) | 0) <= 0) continue; // only what may come late is too old
      sequence.lose((oldest + 1) >>> 0);
      skipped = true;
    }
    if (!Object.keys(since).length) return;
    this.#replaying = true;
    this.#replayed = performance.now();
    this.emit("resumed", { skipped });
    const of = anew && replay === Infinity ? before : epoch;
    const answer = await this.request("subscribe", { topic: this.#topic, epoch: of, since }).catch(() => undefined);
    if (this.phase !== "connected") return;
    this.#replayed = performance.now();
    for (const [name, sequence] of this.#named) {
      if (!(name in since)) continue;
      if (answer?.recovered === undefined) sequence.refused();
      else sequence.answered(since[name], answer.from?.[name]);
    }
  }

  /** In the middle of a replay, more of it was lost. @param {{from?: Record<string, number>}} subscribed */
  #lose({ from = {} }) {
    for (const [name, sequence] of this.#named) if (name in from) sequence.lose(from[name]);
  }

  /** @param {import("./readings.js").Reading[]} readings */
  #readings(readings) {
    if (this.phase !== "connected") return;
    /** @type {Reading[]} */
    const fresh = [];
    for (const reading of readings) {
      const sequence = this.sequences.get(reading.sensor);
      if (reading.historical) this.#replayed = performance.now();
      if (sequence?.accept(reading) ?? true) fresh.push({ ...reading, name: sequence?.name ?? `sensor_${reading.sensor}` });
    }
    if (this.#replaying && performance.now() - this.#replayed >= PATIENCE) {
      this.#replaying = false;
      this.sequences.forEach((sequence) => sequence.settle());
    }
    if (fresh.length) this.emit("readings", fresh);
  }

  /** @param {MotorState} state */
  #motor(state) {
    this.motors.set(state.target, state);
    if (!state.running) this.#leases.end(state.target);
    this.emit("motor", state);
  }
}
