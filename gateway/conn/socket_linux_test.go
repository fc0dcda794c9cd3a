package conn

import "testing"

// A client is slow when it has not acknowledged 16 KiB, however much the kernel
// would take.
func TestSlowIsWhoAcknowledgesNothing(t *testing.T) {
	both(t, func(t *testing.T, p *pair) {
		if err := p.socket.Conn.(interface{ SetWriteBuffer(int) error }).SetWriteBuffer(1 << 20); err != nil {
			t.Fatal(err)
		}
		frame := AppendFrame(nil, OpBinary, make([]byte, 16))
		for n := 0; p.Offer(frame); n++ {
			if held := unsent(p.socket.fd); held > UnsentLimit {
				t.Fatalf("after %d frames, %d bytes are unacknowledged", n, held)
			}
		}
		if held := unsent(p.socket.fd); held <= UnsentLimit-1000 || p.Queued() {
			t.Errorf("too slow with %d bytes unacknowledged, and some queued: %t", held, p.Queued())
		}
	})
}
