"""python3 client.py ws://greenhouse.local:8765/ prints each reading once, also those of a time in which the
connection or the gateway was down. Debian: apt install python3-websockets. GATEWAY_TOKEN is for a gateway that wants one."""
import asyncio, json, os, random, re, struct, sys, websockets

REPLAYED = 4  # a flag of a record
epoch, known = None, {}  # where to resume: the last number of each sensor up to which none is missing
live = {}  # sensor: runs [first, last] of numbers that came live while older ones were still missing

def is_new(sensor, number, replayed, behind, fresh):
    """Notes a number. What was missed comes beside what is live, each in order; after a cut, some of it comes again."""
    runs = live.setdefault(sensor, [])
    new = number > known[sensor] and not any(first <= number <= last for first, last in runs)
    if replayed or sensor not in behind:
        known[sensor] = max(known[sensor], number)
    elif new and sensor in fresh and runs:
        runs[-1][1] = number
    elif new:
        fresh.add(sensor), runs.append([number, number])  # a run of this connection
    while runs and runs[0][0] <= known[sensor] + 1:
        known[sensor] = max(known[sensor], runs.pop(0)[1])
    return new

async def follow(ws):
    global epoch
    hello = json.loads(await ws.recv())["payload"]
    names = {s["id"]: s["name"] for s in hello["sensors"]}
    since = {name: known[name] for name in names.values() if name in known}
    behind, fresh = set(since), set()
    if since:
        await ws.send(json.dumps({"type": "subscribe", "payload": {"topic": "sensors", "epoch": epoch, "since": since}}))
    if epoch != hello["epoch"]:  # its numbers start over
        live.clear()
        known.update(dict.fromkeys(since, -1))
    known.update({s["name"]: s["next_seq"] - 1 for s in hello["sensors"] if s["name"] not in since})
    epoch = hello["epoch"]
    async for message in ws:
        if isinstance(message, bytes):
            for sensor, flags, cause, number, temperature, humidity, ms in struct.iter_unpack("!HBBIffq", message):
                if is_new(names[sensor], number, flags & REPLAYED, behind, fresh):
                    print(ms, names[sensor], number, f"failed, cause {cause}" if cause else f"{temperature:.2f} {humidity:.1f}", flush=True)
            continue
        answer = json.loads(message)["payload"]
        if "recovered" not in answer:  # this gateway stores nothing
            behind.clear()
        known.update({name: number - 1 for name, number in answer.get("from", {}).items() if number <= known[name]})

async def main(url, token):
    tries, protocols = 0, ["readings.v2"] + ([f"gateway.token.{token}"] if token else [])
    while True:
        try:
            async with websockets.connect(url, subprotocols=protocols, close_timeout=2) as ws:  # websockets pings every 20 s
                tries = 0
                await follow(ws)
        except (OSError, websockets.WebSocketException) as error:
            retry = re.search(r"retry_ms=(\d+)", str(error))  # a gateway that restarts says when to come back
            await asyncio.sleep(int(retry[1]) / 1000 if retry else min(2**tries, 60) + random.random())
            tries = min(tries + 1, 6)

asyncio.run(main(sys.argv[1], os.environ.get("GATEWAY_TOKEN")))
