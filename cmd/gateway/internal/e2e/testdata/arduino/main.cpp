#include SKETCH
int main() {
  for (setup(); !socket.done;) loop();
}
