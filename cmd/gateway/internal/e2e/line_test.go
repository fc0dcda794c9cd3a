package e2e

import (
	"context"
	"io"
	"net"
	"sync"
	"testing"
	"time"
)

// silence is how long clients to copy hear nothing before they connect again.
const silence = 40 * time.Second

// A line forwards connections to a gateway, until it dies: then its connections stay open,
// and nothing comes any more.
type line struct {
	address string

	mu   sync.Mutex
	dead chan struct{} // closed when the present line dies
}

func startLine(t *testing.T, gateway string) *line {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &line{address: listener.Addr().String(), dead: make(chan struct{})}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			all.Go(func() { l.lead(t.Context(), client.(*net.TCPConn), gateway) })
		}
	})
	t.Cleanup(func() {
		listener.Close()
		all.Wait()
	})
	return l
}

// lead forwards one connection, until both sides have ended it, or ctx ends.
func (l *line) lead(ctx context.Context, client *net.TCPConn, gateway string) {
	defer client.Close()
	l.mu.Lock()
	dead := l.dead
	l.mu.Unlock()
	c, err := net.Dial("tcp", gateway)
	if err != nil {
		return
	}
	server := c.(*net.TCPConn)
	defer server.Close()
	ended := make(chan struct{}, 2)
	carry := func(to, from *net.TCPConn) {
		_, _ = io.Copy(to, from) // either side may cut it
		select {
		case <-dead:
		default:
			_ = to.CloseWrite()
		}
		ended <- struct{}{}
	}
	go carry(client, server)
	go carry(server, client)
	for range 2 {
		select {
		case <-ended:
		case <-dead:
			server.Close()
			<-ctx.Done()
			return
		case <-ctx.Done():
			return
		}
	}
}

// die leaves all present connections open, without traffic, for ever.
func (l *line) die() {
	l.mu.Lock()
	defer l.mu.Unlock()
	close(l.dead)
	l.dead = make(chan struct{})
}
