"""Uses all endpoints of a gateway, with Debian's python3-websockets."""
import asyncio, json, sys, websockets

URL = sys.argv[1]


async def close_of(ws):
    try:
        while True:
            await asyncio.wait_for(ws.recv(), 60)
    except websockets.ConnectionClosed as e:
        return [e.code, e.reason]


async def echo():
    async with websockets.connect(URL + "echo", max_size=None) as ws:
        for message in ["", "é" * 1000, b"", bytes(range(256)) * 300, "x" * 1_000_000]:
            await ws.send(message)
            assert await ws.recv() == message, len(message)
        assert await (await ws.ping(b"there?")) is not None
    return "ok"


async def stream():
    async with websockets.connect(URL, subprotocols=["readings.json"]) as ws:
        assert ws.subprotocol == "readings.json"
        hello = json.loads(await ws.recv())
        assert hello["type"] == "hello", hello
        seen = [json.loads(await ws.recv()) for _ in range(12)]
        for m in seen:
            p = m["payload"]
            assert m["type"] == "sensor" and p["unit"] == "C" and (p["temp"] is None) == ("fault" in p), m
        return sorted({m["payload"]["sensor"] for m in seen})


async def requests():
    async with websockets.connect(URL) as ws:
        async def ask(text):
            await ws.send(text)
            while True:
                answer = await ws.recv()
                if isinstance(answer, str) and json.loads(answer)["type"] != "state":  # which may come before its ack
                    return json.loads(answer)

        got = [await ask(t) for t in (
            "nonsense", '{"type":"fly","id":1}', '{"type":"ping","id":"a","payload":{"x":1}}',
            '{"type":"subscribe","payload":{"topic":"motors"}}',
            '{"type":"command","id":2,"payload":{"action":"start","target":"motor_1","speed":1,"run_ms":60000}}')]
        return got


async def rate():
    async with websockets.connect(URL) as ws:
        pongs = 0
        try:
            for _ in range(200):  # within a second, also on a machine that is busy
                await ws.send('{"type":"ping"}')
        except websockets.ConnectionClosed:
            pass
        try:
            while True:
                pongs += isinstance(await asyncio.wait_for(ws.recv(), 60), str)
        except websockets.ConnectionClosed as e:
            return [pongs, e.code, e.reason]


async def chat():
    async def join(nick):
        ws = await websockets.connect(URL + "chat")
        await ws.send(json.dumps({"type": "join", "nick": nick, "text": ""}))
        return ws

    ahmet = await join(" ahmet ")
    info = json.loads(await ahmet.recv())
    twin = await join("ahmet")
    refused = json.loads(await twin.recv())
    closed = await close_of(twin)
    eve = await join("eve")
    joined = json.loads(await ahmet.recv())
    await eve.send(json.dumps({"type": "chat", "nick": "eve", "text": "hi"}))
    while (heard := json.loads(await ahmet.recv()))["type"] != "chat":
        pass
    while (own := json.loads(await eve.recv()))["type"] != "chat":
        pass
    await eve.close()
    left = json.loads(await ahmet.recv())
    await ahmet.close()
    return [info, refused, closed, joined, heard, own, left]


async def main():
    print(json.dumps({f.__name__: await f() for f in (echo, stream, requests, rate, chat)}))


asyncio.run(main())
