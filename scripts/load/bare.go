//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"sync"
	"syscall"
	"time"
	"unsafe"

	"github.com/gorilla/websocket"

	"sensorgateway/wire"
)

// bare is the least that can send ticks to clients: a timer, and for each client one
// non-blocking write(2) of a frame that is made once, by a raw system call of which the
// runtime does not know. It does nothing else. Without clients it is an idle timer.
type bare struct {
	pause time.Duration // from the deadline of a tick to its sending, as for a conversion

	mu      sync.Mutex
	clients []*websocket.Conn // keeps the sockets open
	sockets []uintptr
}

// serveBare serves until ctx ends.
func serveBare(ctx context.Context, pause time.Duration) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	b := &bare{pause: pause}
	s := &http.Server{Handler: b}
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	fmt.Fprintf(os.Stderr, "ws://%s/\n", l.Addr())
	err = b.run(ctx)
	for _, c := range b.clients {
		_ = c.Close() // the process ends
	}
	if err := errors.Join(s.Close(), <-served); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return err
}

// ServeHTTP upgrades every connection to a client.
func (b *bare) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	upgrader := websocket.Upgrader{Subprotocols: []string{wire.ReadingsV1}}
	c, err := upgrader.Upgrade(w, r, nil)
	if err != nil {
		return // the client reports it
	}
	raw, err := c.NetConn().(syscall.Conn).SyscallConn()
	if err != nil {
		_ = c.Close() // it is no socket
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.clients = append(b.clients, c)
	_ = raw.Control(func(fd uintptr) { b.sockets = append(b.sockets, fd) }) // it is open
}

// run sends a tick to all clients ten times a second.
func (b *bare) run(ctx context.Context) error {
	tick := time.NewTicker(oneSensor.interval)
	defer tick.Stop()
	var frame []byte
	for {
		select {
		case <-ctx.Done():
			return nil
		case now := <-tick.C:
			time.Sleep(b.pause)
			reading := wire.Reading{Values: [2]float32{20, 40}, UnixMilli: now.UnixMilli()}
			frame = reading.Append(append(frame[:0], 0x82, wire.ReadingSize)) // one binary frame (RFC 6455, section 5.2)
			if err := b.send(frame); err != nil {
				return err
			}
		}
	}
}

// send writes a frame to all clients. It removes clients that have left.
func (b *bare) send(frame []byte) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := 0; i < len(b.sockets); i++ {
		n, _, err := syscall.RawSyscall(syscall.SYS_WRITE, b.sockets[i], uintptr(unsafe.Pointer(&frame[0])), uintptr(len(frame)))
		switch {
		case err == syscall.EPIPE || err == syscall.ECONNRESET:
			_ = b.clients[i].Close() // it has left
			last := len(b.sockets) - 1
			b.clients[i], b.sockets[i] = b.clients[last], b.sockets[last]
			b.clients, b.sockets = b.clients[:last], b.sockets[:last]
			i--
		case err != 0 || int(n) != len(frame):
			return fmt.Errorf("write of %d bytes: %d, %w", len(frame), int(n), err)
		}
	}
	return nil
}
