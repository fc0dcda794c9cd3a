// What client.ino uses of an ESP32's core, for a computer: the serial port is the output.
#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <functional>
#include <string>
typedef std::string String;
struct {
  void begin(int) {}
  void println(const char *text) { puts(text); }
  void printf(const char *format, ...) __attribute__((format(printf, 2, 3))) {
    va_list args;
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
  }
} Serial;
struct {
  void begin(const char *, const char *) {}
} WiFi;
unsigned long now = 60000; // ms
unsigned long millis() { return now; }
