"""Prints ten readings, by websocket-client."""
import struct, sys, websocket

ws = websocket.create_connection(sys.argv[1])
for _ in range(10):
    print(*struct.unpack("!ffq", ws.recv()))
ws.close()
