"""Prints ten readings, by Qt."""
import struct, sys
from PyQt5.QtCore import QCoreApplication, QUrl
from PyQt5.QtWebSockets import QWebSocket

app, ws, left = QCoreApplication(sys.argv), QWebSocket(), 10

def got(message):
    global left
    left -= 1
    if left >= 0:
        print(*struct.unpack("!ffq", message))
    if left == 0:
        ws.close()

def failed(_):
    print(ws.errorString(), file=sys.stderr)
    app.exit(1)

ws.binaryMessageReceived.connect(got)
ws.disconnected.connect(app.quit)
ws.error.connect(failed)
ws.open(QUrl(sys.argv[1]))
sys.exit(app.exec())
