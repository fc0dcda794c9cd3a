package conn

import (
	"bytes"
	"crypto/tls"
	"net"
	"net/http/httptest"
	"runtime"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

// waiter is a client's, whose pongs are taken until there were most of them.
type waiter struct {
	most  int
	pongs chan struct{}
	woken chan struct{}
}

func newWaiter() *waiter {
	return &waiter{most: 1 << 30, pongs: make(chan struct{}, 64), woken: make(chan struct{}, 64)}
}

func (w *waiter) Pong() bool {
	if w.most--; w.most < 0 {
		return false
	}
	w.pongs <- struct{}{}
	return true
}

func (w *waiter) Wake() { w.woken <- struct{}{} }

// wait waits for one of the waiter's calls.
func wait(t *testing.T, what string, called <-chan struct{}) {
	t.Helper()
	select {
	case <-called:
	case <-time.After(patience):
		t.Fatal("not within a minute: " + what)
	}
}

// park parks a connection.
func (p *pair) park(t *testing.T, w *waiter) {
	t.Helper()
	if !p.Park(w) {
		t.Fatal("not parked")
	}
	t.Cleanup(p.socket.budget.Close)
}

func (p *pair) pong(t *testing.T) {
	t.Helper()
	if err := p.client.WriteControl(websocket.PongMessage, nil, time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
}

// A parked client's pongs are counted; a message wakes the waiter, once, and is read
// whole. Then the client can be parked again.
func TestParkedClientIsHeard(t *testing.T) { both(t, parkedClientIsHeard) }

// If TLS has a part of a record when there is nothing more to read, it goes on with that later.
func TestParkedClientIsHeardInPieces(t *testing.T) {
	parkedClientIsHeard(t, connect(t, (*httptest.Server).StartTLS, func(c net.Conn) net.Conn { return pieces{c} }))
}

// pieces sends each byte by itself.
type pieces struct{ net.Conn }

func (c pieces) Write(p []byte) (n int, err error) {
	for n < len(p) && err == nil {
		_, err = c.Conn.Write(p[n : n+1])
		n++
		runtime.Gosched() // often to whoever reads
	}
	return n, err
}

func parkedClientIsHeard(t *testing.T, p *pair) {
	w := newWaiter()
	p.park(t, w)
	for range 3 {
		for range 5 {
			p.pong(t)
			wait(t, "a pong", w.pongs)
		}
		p.pong(t)
		if err := p.client.WriteMessage(websocket.TextMessage, []byte("a message that is longer than four pongs")); err != nil {
			t.Fatal(err)
		}
		wait(t, "the waiter is woken", w.woken)
		p.ws = p.Reader()
		p.Allow(1 << 10)
		if _, message, err := p.ws.ReadMessage(); err != nil || string(message) != "a message that is longer than four pongs" {
			t.Fatalf("%q, %v", message, err)
		}
		for len(w.pongs) > 0 { // taken while it was parked, or left to the reader
			<-w.pongs
		}
		if !p.Park(w) {
			t.Fatal("not parked again")
		}
	}
	if len(w.woken) > 0 {
		t.Error("woken without a reason")
	}
}

// What ends a connection wakes the waiter: the client, who hangs up, and the gateway.
func TestParkedClientEnds(t *testing.T) {
	for name, end := range map[string]func(*pair){
		"client hangs up":  func(p *pair) { _ = p.client.Close() },
		"gateway closes":   func(p *pair) { _ = p.Close() },
		"queue is full":    func(p *pair) { p.socket.overrun() },
		"reading is bound": func(p *pair) { _ = p.SetReadDeadline(time.Now()) },
		"client resets": func(p *pair) {
			c := p.client.NetConn()
			if secure, ok := c.(*tls.Conn); ok {
				c = secure.NetConn()
			}
			_ = c.(*net.TCPConn).SetLinger(0)
			_ = c.Close()
		},
	} {
		both(t, func(t *testing.T, p *pair) {
			t.Log(name)
			w := newWaiter()
			p.park(t, w)
			end(p)
			wait(t, "the waiter is woken", w.woken)
			p.Allow(1 << 10)
			if n, err := p.Read(make([]byte, 1)); n != 0 || err == nil {
				t.Errorf("%d bytes, %v, want an error", n, err)
			}
			if p.Park(w) {
				t.Error("parked after its end")
			}
			if len(w.woken) > 0 {
				t.Error("woken twice")
			}
		})
	}
}

// A pong that exceeds the rate is left to the reader, who says so, and with it what
// comes behind.
func TestParkedClientExceeds(t *testing.T) { both(t, parkedClientExceeds) }

func parkedClientExceeds(t *testing.T, p *pair) {
	w := newWaiter()
	w.most = 2
	p.park(t, w)
	for range 3 {
		p.pong(t)
	}
	wait(t, "the waiter is woken", w.woken)
	if err := p.client.WriteMessage(websocket.TextMessage, []byte("behind")); err != nil {
		t.Fatal(err)
	}
	left := 0
	p.ws = p.Reader()
	p.ws.SetPongHandler(func(string) error { left++; return nil })
	p.Allow(1 << 10)
	if _, message, err := p.ws.ReadMessage(); err != nil || string(message) != "behind" || left != 1 || len(w.pongs) != 2 {
		t.Errorf("%q, %v, %d pongs left, %d counted", message, err, left, len(w.pongs))
	}
}

// A client that sends pongs without end does not hold up the poller: a goroutine of its
// own takes them.
func TestPongsWithoutEndAreNotParked(t *testing.T) {
	p, w := connect(t, (*httptest.Server).Start), newWaiter()
	const most = pollsAtOnce * 4 // as many as are read at a time
	if _, err := p.client.NetConn().Write(bytes.Repeat(masked(0x8A, ""), most+4)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.socket.budget.Close)
	if p.Park(w) || len(w.pongs) != most {
		t.Fatalf("parked, or %d pongs counted, want %d", len(w.pongs), most)
	}
	if n, err := p.Pongs(); n != 4 || err != nil {
		t.Errorf("%d pongs were left, %v, want 4", n, err)
	}
}
