"""Fifty clients whose connections a restart closes, each with a time of its own to reconnect after, and that do."""
import asyncio, json, re, struct, sys, time, websockets

URL, N = sys.argv[1], 50
closed, back = [], []
connected = 0


async def client():
    global connected
    ws = await websockets.connect(URL)
    struct.unpack("!ffq", await ws.recv())
    connected += 1
    if connected == N:
        print("connected", flush=True)
    try:
        while True:
            await ws.recv()
    except websockets.ConnectionClosed as e:
        code, reason = e.code, e.reason
    begin = time.monotonic()
    retry = int(re.fullmatch(r"Service restart; retry_ms=(\d+)", reason).group(1))
    closed.append([code, retry])
    await asyncio.sleep(retry / 1000)
    while True:
        try:
            async with websockets.connect(URL) as ws:
                struct.unpack("!ffq", await ws.recv())
                back.append(time.monotonic() - begin)
                return
        except OSError:  # not there yet
            await asyncio.sleep(0.5)


async def main():
    await asyncio.gather(*(client() for _ in range(N)))
    print(json.dumps({"closed": closed, "back": back}))


asyncio.run(main())
