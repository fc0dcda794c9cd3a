"""Follows a gateway over broken connections, and has each reading in the end that is not told to be gone.

What is missed is replayed beside what is live, each in order. So a sensor is known up to `known`, and what
came live since `first` too; once the replay has reached `first`, that is known as well. A line that breaks
before that brings some readings twice, which the key of `readings` takes care of.
"""
import asyncio, json, struct, sys, websockets

URL, CONNECTIONS = sys.argv[1], int(sys.argv[2])
HISTORICAL = 4
epoch, known = None, {}  # where to resume: the last number of each sensor
readings = {}  # (sensor, number): temperature, humidity, Unix ms
gone = {}  # sensor: ranges of numbers that were told to be gone


async def follow(connection):
    global epoch
    async with websockets.connect(URL, subprotocols=["readings.v2"]) as ws:
        hello = json.loads(await ws.recv())["payload"]
        name = {s["id"]: s["name"] for s in hello["sensors"]}
        resuming = hello["epoch"] == epoch
        if resuming:
            await ws.send(json.dumps({"type": "subscribe", "payload": {"topic": "sensors", "epoch": epoch, "since": known}}))
        else:
            epoch = hello["epoch"]
            known.update({s["name"]: s["next_seq"] - 1 for s in hello["sensors"]})
        print("connected", flush=True)
        first, last = {}, dict(known)
        async for message in ws:
            if isinstance(message, str):
                answer = json.loads(message)
                assert answer["type"] == "subscribed", answer
                for sensor, number in answer["payload"].get("from", {}).items():
                    gone.setdefault(sensor, []).append([known[sensor] + 1, number])
                    known[sensor] = number - 1
                resuming, last = False, dict(known)
                continue
            for sensor, flags, fault, number, temperature, humidity, ms in struct.iter_unpack("!HBBIffq", message):
                sensor = name[sensor]
                readings[sensor, number] = temperature, humidity, ms
                if resuming:
                    continue  # what comes before the answer comes again after it
                if flags & HISTORICAL:
                    known[sensor] = number
                else:
                    first.setdefault(sensor, number)
                    last[sensor] = number
                if sensor in first and known[sensor] >= first[sensor] - 1:
                    known[sensor] = max(known[sensor], last[sensor])
            if connection == CONNECTIONS and not resuming and known.keys() == first.keys() and known == last:
                return


async def main():
    for connection in range(1, CONNECTIONS + 1):
        while True:
            try:
                await follow(connection)
                break
            except websockets.ConnectionClosed:
                break
            except (OSError, websockets.InvalidHandshake):  # not there yet
                await asyncio.sleep(0.2)
    numbers = {}
    for sensor, number in readings:
        numbers.setdefault(sensor, []).append(number)
    print(json.dumps({"epoch": epoch, "gone": gone, "numbers": {s: sorted(n) for s, n in numbers.items()}}))


asyncio.run(main())
