package gateway

import (
	"net"
	"testing"

	"github.com/gorilla/websocket"

	"sensorgateway/wire"
)

// drained connects n clients whose bytes are taken and forgotten without
// allocating.
func (s *testServer) drained(n int, protocol string) {
	s.t.Helper()
	for range n {
		c := s.connect("/", websocket.Dialer{Subprotocols: []string{protocol}})
		go func(c net.Conn) {
			for b := make([]byte, 4096); ; {
				if _, err := c.Read(b); err != nil {
					return
				}
			}
		}(c.NetConn())
	}
	s.joined()
}

func records(seq uint32, sensors int) []wire.Record {
	r := make([]wire.Record, sensors)
	for i := range r {
		r[i] = wire.Record{Sensor: uint16(i), Seq: seq, Reading: wire.Reading{Values: [2]float32{20, 40}, UnixMilli: int64(seq)}}
	}
	return r
}

// From the tick to the sockets nothing is allocated.
func TestTickAllocatesNothing(t *testing.T) {
	s := start(t)
	for _, protocol := range protocols {
		s.drained(8, protocol)
	}
	tick := records(1, 2)
	s.broadcaster.broadcast(tick) // the buffers grow once
	if n := testing.AllocsPerRun(20, func() { s.broadcaster.broadcast(tick) }); n != 0 {
		t.Errorf("%v allocations a tick", n)
	}
	s.broadcaster.each(func(c *session) {
		if c.Waiting != nil {
			t.Error("a client was too slow: the measurement is void")
		}
	})
}

// BenchmarkTickToSocket is what a tick of two sensors costs for each client, on
// real sockets. One operation is one frame to one client.
func BenchmarkTickToSocket(b *testing.B) {
	for _, protocol := range []string{wire.ReadingsV1, wire.ReadingsV2, wire.ReadingsJSON} {
		b.Run(protocol, func(b *testing.B) {
			const clients = 100
			s := start(b)
			s.drained(clients, protocol)
			tick := records(1, 2)
			b.ReportAllocs()
			for n := 0; b.Loop(); n++ {
				if n%clients == 0 {
					s.broadcaster.broadcast(tick)
				}
			}
		})
	}
}
