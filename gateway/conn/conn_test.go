package conn

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

// patience is how long a test waits for what must come; nothing waits for it to pass.
const patience = time.Minute

// both tests a connection without TLS and one with it.
func both(t *testing.T, test func(*testing.T, *pair)) {
	t.Run("plain", func(t *testing.T) { test(t, connect(t, (*httptest.Server).Start)) })
	t.Run("TLS", func(t *testing.T) { test(t, connect(t, (*httptest.Server).StartTLS)) })
}

// pair is the two ends of a connection.
type pair struct {
	client *websocket.Conn
	ws     *websocket.Conn // the server's reading side
	*Conn
}

// connect upgrades a connection whose client's kernel keeps little that the
// client has not read. Each of through is put between the client and its socket.
func connect(t *testing.T, start func(*httptest.Server), through ...func(net.Conn) net.Conn) *pair {
	t.Helper()
	upgraded := make(chan *pair, 1)
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ws, c, err := Upgrade(w, r, nil)
		if err != nil {
			t.Error(err)
			return
		}
		c.LeaveGate()
		upgraded <- &pair{ws: ws, Conn: c}
	}))
	s.Listener = NewBudget(Limits{}).Listen(s.Listener)
	start(s)
	t.Cleanup(s.Close)
	d := websocket.Dialer{NetDial: func(network, addr string) (net.Conn, error) {
		c, err := net.Dial(network, addr)
		if err == nil {
			err = c.(*net.TCPConn).SetReadBuffer(4 << 10)
		}
		for _, f := range through {
			c = f(c)
		}
		return c, err
	}, TLSClientConfig: s.Client().Transport.(*http.Transport).TLSClientConfig}
	client, _, err := d.Dial(strings.Replace(s.URL, "http", "ws", 1), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	_ = client.SetReadDeadline(time.Now().Add(patience))
	p := <-upgraded
	p.client = client
	t.Cleanup(func() { p.End(0) })
	return p
}

// fill offers numbered frames until one is refused, and returns how many were taken.
func (p *pair) fill(t *testing.T) (taken int) {
	t.Helper()
	for p.Offer(AppendFrame(nil, OpBinary, fmt.Appendf(nil, "%09d", taken))) {
		if taken++; taken == 1_000_000 {
			t.Fatal("a million frames for a client that reads none")
		}
	}
	return taken
}

// However little a client takes, it gets whole frames: those that were offered
// and taken, and the ones that must arrive, all of them and in order.
func TestFramesAreNeverTorn(t *testing.T) {
	both(t, func(t *testing.T, p *pair) {
		offered := p.fill(t)
		const answers = 10
		big := bytes.Repeat([]byte("x"), 1000)
		for i := range answers {
			if _, err := p.Write(AppendFrame(nil, OpText, fmt.Appendf(nil, "%02d%s", i, big))); err != nil {
				t.Fatal(err)
			}
			p.Offer(AppendFrame(nil, OpBinary, fmt.Appendf(nil, "%09d", offered)))
		}
		if _, err := p.Write(AppendFrame(nil, OpClose, websocket.FormatCloseMessage(1000, "bye"))); err != nil {
			t.Fatal(err)
		}
		if _, err := p.Write(AppendFrame(nil, OpText, big)); err == nil || p.Offer(AppendFrame(nil, OpText, nil)) {
			t.Error("a frame was taken after the close frame")
		}
		frames, texts := 0, 0
		for {
			kind, b, err := p.client.ReadMessage()
			switch {
			case err != nil:
				if !websocket.IsCloseError(err, 1000) || frames < offered || texts != answers {
					t.Errorf("%d of %d frames and %d of %d answers came, then %v", frames, offered, texts, answers, err)
				}
				return
			case kind == websocket.BinaryMessage && frames < offered:
				if want := fmt.Sprintf("%09d", frames); string(b) != want {
					t.Fatalf("frame %s came, want %s", b, want)
				}
				frames++
			case kind == websocket.TextMessage:
				if want := fmt.Sprintf("%02d%s", texts, big); string(b) != want {
					t.Fatalf("answer %.9s…, %d bytes, came; want %.9s…", b, len(b), want)
				}
				texts++
			}
		}
	})
}

// A client that asks for more than it takes is ended; the queue is bounded.
func TestQueueIsBounded(t *testing.T) {
	both(t, func(t *testing.T, p *pair) {
		frame := AppendFrame(nil, OpText, make([]byte, 1000))
		var err error
		for n := 0; err == nil; n++ {
			if n == 1_000_000 {
				t.Fatal("a gigabyte is queued for a client that reads nothing")
			}
			_, err = p.Write(frame)
			p.socket.mu.Lock()
			queued := p.socket.flying + len(p.socket.queue)
			p.socket.mu.Unlock()
			if queued > queueLimit {
				t.Fatalf("%d bytes are queued", queued)
			}
		}
		if !errors.Is(err, errQueueFull) {
			t.Errorf("it ended with %v", err)
		}
		if _, err := p.Write(frame); err == nil {
			t.Error("an ended connection takes more")
		}
	})
}

// A client that was slow and reads on is offered more, and shows that it takes it.
func TestASlowClientReadsOn(t *testing.T) {
	both(t, func(t *testing.T, p *pair) {
		taken := p.fill(t)
		p.Progress()
		for range taken {
			if _, _, err := p.client.ReadMessage(); err != nil {
				t.Fatal(err)
			}
		}
		for deadline := time.Now().Add(patience); !p.Drained(); { // the last acknowledgement is on its way
			if time.Now().After(deadline) {
				t.Fatal("it has taken all, and does not count as drained")
			}
		}
		if !p.Progress() && p.socket.fd >= 0 {
			t.Error("it has taken all, and that counts as nothing")
		}
		if !p.Offer(AppendFrame(nil, OpBinary, []byte("x"))) {
			t.Error("it is offered nothing")
		}
	})
}

// What an idle client sends is pongs; anything else is left to whoever reads.
func TestPongsOfAnIdleClient(t *testing.T) {
	p := connect(t, (*httptest.Server).Start)
	write := func(frames ...[]byte) {
		t.Helper()
		if _, err := p.client.NetConn().Write(bytes.Join(frames, nil)); err != nil {
			t.Fatal(err)
		}
	}
	write(masked(0x8A, ""))
	if n, err := p.Pongs(); n != 1 || err != nil {
		t.Errorf("%d pongs, %v, want 1", n, err)
	}
	write(masked(0x8A, ""), masked(0x81, "text"))
	if n, err := p.Pongs(); n != 0 || err != nil || !p.Buffered() {
		t.Errorf("%d pongs, %v, where there was more", n, err)
	}
	ponged := false
	p.ws.SetPongHandler(func(string) error { ponged = true; return nil })
	p.Allow(100)
	if _, b, err := p.ws.ReadMessage(); err != nil || string(b) != "text" || !ponged {
		t.Errorf("then came %q, %v, a pong before it: %t", b, err, ponged)
	}
	p.client.Close()
	if n, err := p.Pongs(); n != 0 || err == nil {
		t.Errorf("%d pongs, %v, after the end", n, err)
	}
	if _, _, err := p.ws.ReadMessage(); err == nil {
		t.Error("the end was not noticed")
	}
}

// A message has a budget of bytes, whatever gorilla makes of them.
func TestAllow(t *testing.T) {
	p := connect(t, (*httptest.Server).Start)
	if _, err := p.client.NetConn().Write(bytes.Join([][]byte{masked(0x01, ""), bytes.Repeat(masked(0x00, ""), 1000)}, nil)); err != nil {
		t.Fatal(err)
	}
	p.Allow(1000)
	if _, _, err := p.ws.ReadMessage(); !errors.Is(err, ErrTooMuch) {
		t.Errorf("a message of 6,000 bytes ended with %v", err)
	}
}

func TestHeaderLengths(t *testing.T) {
	for n, want := range map[int]string{0: "8200", 125: "827d", 126: "827e007e", 65535: "827effff", 65536: "827f0000000000010000"} {
		if got := fmt.Sprintf("%x", AppendHeader(nil, OpBinary, n)); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
}

// masked returns a client's frame with a mask of zeros.
func masked(op byte, payload string) []byte {
	return append([]byte{op, 0x80 | byte(len(payload)), 0, 0, 0, 0}, payload...)
}
