"""Prints ten readings, by aiohttp."""
import asyncio, struct, sys, aiohttp

async def main(url):
    async with aiohttp.ClientSession() as session, session.ws_connect(url) as ws:
        for _ in range(10):
            print(*struct.unpack("!ffq", await ws.receive_bytes()))

asyncio.run(main(sys.argv[1]))
