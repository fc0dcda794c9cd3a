// Shows a gateway's readings on the serial port of an ESP8266 or ESP32, and turns a fan on where it is hot.
// Libraries: WebSockets by Markus Sattler (2.4 or newer). Readings that come while it is away are not for it.
#ifdef ESP8266
#include <ESP8266WiFi.h>
#else
#include <WiFi.h>
#endif
#include <WebSocketsClient.h>

const char *SSID = "greenhouse", *PASSWORD = "secret"; // of the network
const char *HOST = "192.168.1.7", *TOKEN = ""; // of the gateway; a token, where it wants one
const float HOT = 28; // °C
WebSocketsClient socket;

uint64_t number(const uint8_t *p, int bytes) { // in network byte order
  uint64_t n = 0;
  while (bytes--) n = n << 8 | *p++;
  return n;
}

float value(const uint8_t *p) {
  uint32_t bits = number(p, 4);
  float f;
  memcpy(&f, &bits, sizeof f);
  return f;
}

void reading(const uint8_t *message) { // of readings.v1
  uint32_t bits = number(message, 4);
  uint64_t ms = number(message + 8, 8);
  Serial.printf("%lu.%03u ", (unsigned long)(ms / 1000), (unsigned)(ms % 1000));
  if ((bits & 0xFFFFFF00) == 0x7FC00000) { // no number: the last byte is the cause
    return (void)Serial.printf("failed, cause %u\n", (unsigned)(bits & 0xFF));
  }
  Serial.printf("%.2f %.1f\n", value(message), value(message + 4));
  static unsigned long asked = 0;
  if (value(message) > HOT && millis() - asked > 5000) { // no fan runs on because this device has died
    asked = millis();
    socket.sendTXT("{\"type\":\"command\",\"payload\":{\"action\":\"start\",\"target\":\"motor_1\",\"run_ms\":10000}}");
  }
}

void onEvent(WStype_t type, uint8_t *payload, size_t length) {
  if (type == WStype_CONNECTED) Serial.println("connected");
  if (type == WStype_BIN && length == 16) reading(payload);
  if (type == WStype_TEXT) Serial.printf("%.*s\n", (int)length, (const char *)payload); // ack, or error and why
}

void setup() {
  Serial.begin(115200);
  WiFi.begin(SSID, PASSWORD);
  socket.begin(HOST, 8765, "/sensors/indoor", "readings.v1");
  // In place of the library's "Origin: file://", which gateways do not let in.
  socket.setExtraHeaders(*TOKEN ? (String("Authorization: Bearer ") + TOKEN).c_str() : NULL);
  socket.onEvent(onEvent);
  socket.setReconnectInterval(2000), socket.enableHeartbeat(15000, 5000, 2); // ms; without two answers the line is dead
}

void loop() { socket.loop(); }
