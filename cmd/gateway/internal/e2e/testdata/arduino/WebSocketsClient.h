// The part of the library WebSockets 2.4 that client.ino uses, with the same declarations. What it receives comes from
// the input: a type, two bytes of length and the message; what it is asked for is printed.
typedef enum { WStype_ERROR, WStype_DISCONNECTED, WStype_CONNECTED, WStype_TEXT, WStype_BIN } WStype_t;
class WebSocketsClient {
public:
  typedef std::function<void(WStype_t type, uint8_t *payload, size_t length)> WebSocketClientEvent;
  void begin(const char *, uint16_t port, const char *url = "/", const char *protocol = "arduino") { printf("begin %u %s %s\n", port, url, protocol); }
  void setExtraHeaders(const char *headers = NULL) { printf("headers %s\n", headers ? headers : "none"); }
  void setReconnectInterval(unsigned long) {}
  void enableHeartbeat(uint32_t pingInterval, uint32_t pongTimeout, uint8_t disconnectTimeoutCount) { printf("heartbeat %u %u %u\n", pingInterval, pongTimeout, disconnectTimeoutCount); }
  void onEvent(WebSocketClientEvent callback) { event = callback; }
  bool sendTXT(const char *payload, size_t = 0) { return printf("sent %s\n", payload) > 0; }
  void loop() {
    int type = getchar();
    if (type == EOF) {
      done = true;
      return;
    }
    int high = getchar(), length = high << 8 | getchar();
    uint8_t message[65536];
    if (fread(message, 1, length, stdin) == size_t(length)) event(WStype_t(type), message, length);
    now += 100;
  }
  bool done = false;

private:
  WebSocketClientEvent event;
};
