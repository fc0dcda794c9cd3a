package gateway

import (
	"testing"

	"sensorgateway/wire"
)

// A client is slow when it has not acknowledged 16 KiB, however much the kernel
// would take.
func TestSlowIsWhoAcknowledgesNothing(t *testing.T) {
	withAndWithoutTLS(t, func(t *testing.T, s *testServer) {
		s.dialSmall(wire.ReadingsV1)
		var c *session
		s.hub.each(func(x *session) { c = x })
		if err := c.out.socket.Conn.(interface{ SetWriteBuffer(int) error }).SetWriteBuffer(1 << 20); err != nil {
			t.Fatal(err)
		}
		for seq := uint32(7); ; seq++ {
			s.hub.spread(records(seq, 2))
			held := unsent(c.out.socket.fd)
			if held > unsentLimit {
				t.Fatalf("after %d ticks, %d bytes are unacknowledged", seq, held)
			}
			s.hub.mu.Lock()
			slow := c.waiting != nil
			s.hub.mu.Unlock()
			if !slow {
				continue
			}
			if held <= unsentLimit-1000 || c.out.socket.waits() {
				t.Errorf("too slow with %d bytes unacknowledged, and some queued: %t", held, c.out.socket.waits())
			}
			return
		}
	})
}
