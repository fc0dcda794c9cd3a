// @ts-check
// The client of the operators' room.

import { Link, isEnd } from "./link.js";
import { SUBPROTOCOL } from "./readings.js";

const POLICY = 1008;

/**
 * The operators' room. Events: `phase`; `message` {type, nick, text}, of type
 * join, leave, chat, info or error, with `from`, who that is to the gateway and
 * where, if the address ends with ?from=1; `refused` with the reason, when the nick is
 * taken or the room full.
 */
export class Room extends Link {
  silence = Infinity; // a room may be quiet
  #joined = false;
  #nick;

  /**
   * @param {string} nick 20 characters at most @param {string | URL} [url] of /chat; next to this file if not given
   * @param {object} [options]
   * @param {string} [options.token] as of a Gateway
   * @param {() => string | Promise<string>} [options.ticket] likewise, for the room's own path
   */
  constructor(nick, url = new URL("chat", import.meta.url), { token, ticket } = {}) {
    super(url, token === undefined ? [] : [SUBPROTOCOL], { token, ticket }); // a browser fails if none of its subprotocols is chosen, which a token never is
    this.#nick = nick;
  }

  /** @param {string} text 500 characters at most @returns whether it went out */
  say(text) {
    return this.phase === "connected" && this.transmit({ type: "chat", nick: this.#nick, text });
  }

  opened() {
    this.transmit({ type: "join", nick: this.#nick, text: "" });
  }

  /** @param {any} data */
  received(data) {
    const message = JSON.parse(data);
    if (this.phase === "connecting" && message.type === "info") {
      this.#joined = true;
      this.established();
    }
    this.emit("message", message);
  }

  /** After a loss the nick may still be taken by the lost connection, so a room that was joined tries again. @param {number} code @param {string} reason */
  returns(code, reason) {
    return code !== POLICY || (this.#joined && !isEnd(reason));
  }
}
