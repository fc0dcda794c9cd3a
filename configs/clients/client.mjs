// node client.mjs ws://greenhouse.local:8765/ prints each reading once, also those of a time in which the connection
// or the gateway was down. npm install ws, or Debian's node-ws. GATEWAY_TOKEN is for a gateway that wants one.
import { createRequire } from "node:module";
const WebSocket = createRequire(import.meta.url)("ws");

const REPLAYED = 4; // a flag of a record
const SILENCE = 40_000; // ms without a message, though the gateway pings every 25 s: the line is dead
const token = process.env.GATEWAY_TOKEN, protocols = ["readings.v2", ...(token ? [`gateway.token.${token}`] : [])];
let epoch, tries = 0, names = new Map(), behind = new Set(), fresh = new Set();
const known = new Map(); // where to resume: the last number of each sensor up to which none is missing
const live = new Map(); // sensor: runs of numbers that came live while older ones were still missing

/** Notes a number. What was missed comes beside what is live, each in order; after a cut, some of it comes again. */
function isNew(name, number, replayed) {
  if (!live.has(name)) live.set(name, []);
  const runs = live.get(name), last = runs.at(-1);
  const isNew = number > known.get(name) && !runs.some((run) => run.first <= number && number <= run.last);
  if (replayed || !behind.has(name)) known.set(name, Math.max(known.get(name), number));
  else if (isNew && fresh.has(name) && last) last.last = number;
  else if (isNew) fresh.add(name) && runs.push({ first: number, last: number }); // a run of this connection
  while (runs.length && runs[0].first <= known.get(name) + 1) known.set(name, Math.max(known.get(name), runs.shift().last));
  return isNew;
}

function hello(socket, { epoch: theirs, sensors }) {
  names = new Map(sensors.map(({ id, name }) => [id, name]));
  const since = Object.fromEntries([...names.values()].filter((name) => known.has(name)).map((name) => [name, known.get(name)]));
  behind = new Set(Object.keys(since));
  fresh = new Set();
  if (behind.size) socket.send(JSON.stringify({ type: "subscribe", payload: { topic: "sensors", epoch, since } }));
  if (epoch !== theirs) live.clear(); // its numbers begin anew
  for (const s of sensors) if (!behind.has(s.name)) known.set(s.name, s.next_seq - 1);
  else if (epoch !== theirs) known.set(s.name, -1);
  epoch = theirs;
}

function text(socket, { type, payload }) {
  if (type === "hello") return hello(socket, payload);
  if (!("recovered" in payload)) behind.clear(); // this gateway stores nothing
  for (const [name, number] of Object.entries(payload.from ?? {})) if (number <= known.get(name)) known.set(name, number - 1);
}

function records(bytes) {
  for (let r = new DataView(bytes); r.byteLength; r = new DataView(bytes, r.byteOffset + 24)) {
    const name = names.get(r.getUint16(0)), cause = r.getUint8(3), number = r.getUint32(4);
    if (!isNew(name, number, r.getUint8(2) & REPLAYED)) continue;
    console.log(`${r.getBigInt64(16)} ${name} ${number}`, cause ? `failed, cause ${cause}` : `${r.getFloat32(8).toFixed(2)} ${r.getFloat32(12).toFixed(1)}`);
  }
}

(function connect() {
  const socket = new WebSocket(process.argv[2], protocols), silence = setTimeout(() => socket.terminate(), SILENCE);
  socket.binaryType = "arraybuffer";
  for (const sign of ["open", "message", "ping"]) socket.on(sign, () => silence.refresh());
  socket.onopen = () => (tries = 0);
  socket.onmessage = ({ data }) => (typeof data === "string" ? text(socket, JSON.parse(data)) : records(data));
  socket.onerror = ({ message }) => console.error(message); // it closes then
  socket.onclose = ({ reason }) => setTimeout(connect, reason.match(/retry_ms=(\d+)/)?.[1] ?? (Math.min(2 ** tries++, 60) + Math.random()) * 1000);
})();
