//go:build linux

package gateway

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"syscall"
	"testing"
	"unsafe"

	"github.com/gorilla/websocket"

	"sensorgateway/gateway/conn"
	"sensorgateway/wire"
)

// ourFanout is a whole server with so many sensors.
func ourFanout(b *testing.B, sensors int) fanout {
	s := start(b, func(o *Options) {
		o.Sensors, o.Primary = nil, 0
		for i := range sensors {
			o.Sensors = append(o.Sensors, wire.SensorInfo{ID: uint16(i), Name: fmt.Sprintf("sensor-%d", i), IntervalMS: 100})
		}
	})
	return fanout{"ours", s.addr, s.Publish}
}

// bareFanout is as little as there can be: one non-blocking write(2) a client, of
// a frame that is made once, without even the runtime's account of system calls.
// It can do nothing else.
func bareFanout(b *testing.B) fanout {
	var mu sync.Mutex
	var clients []*websocket.Conn // keeps the sockets open
	var sockets []uintptr
	addr := upgrading(b, func(c *websocket.Conn) {
		raw, err := c.NetConn().(syscall.Conn).SyscallConn()
		if err != nil {
			b.Error(err)
			return
		}
		mu.Lock()
		defer mu.Unlock()
		clients = append(clients, c)
		if err := raw.Control(func(fd uintptr) { sockets = append(sockets, fd) }); err != nil {
			b.Error(err)
		}
	})
	b.Cleanup(func() {
		for _, c := range clients {
			_ = c.Close() // its client has left
		}
	})
	var frame []byte
	return fanout{"bare", addr, func(tick []wire.Record) {
		frame = conn.AppendFrame(frame[:0], conn.OpBinary, message(tick))
		mu.Lock()
		defer mu.Unlock()
		for _, fd := range sockets {
			n, _, err := syscall.RawSyscall(syscall.SYS_WRITE, fd, uintptr(unsafe.Pointer(&frame[0])), uintptr(len(frame)))
			if err != 0 || int(n) != len(frame) {
				b.Fatalf("write of %d bytes: %d, %v", len(frame), int(n), err)
			}
		}
	}}
}

// message returns a tick's message as our server makes it.
func message(tick []wire.Record) (b []byte) {
	if len(tick) == 1 {
		return tick[0].Reading.Append(nil)
	}
	for _, r := range tick {
		b = r.Append(b)
	}
	return b
}

// upgrading serves WebSocket with gorilla's upgrader and nothing else, gives each
// connection to accepted, and returns its address.
func upgrading(b *testing.B, accepted func(*websocket.Conn)) string {
	b.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	upgrader := websocket.Upgrader{Subprotocols: []string{wire.ReadingsV1, wire.ReadingsV2}}
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if c, err := upgrader.Upgrade(w, r, nil); err == nil { // else the client says so
			accepted(c)
		}
	})}
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	b.Cleanup(func() {
		if err := errors.Join(s.Close(), <-served); !errors.Is(err, http.ErrServerClosed) {
			b.Error(err)
		}
	})
	return l.Addr().String()
}
