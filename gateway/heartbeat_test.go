package gateway

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"sensorgateway/gateway/conn"
	"sensorgateway/wire"
)

func TestHeartbeat(t *testing.T) {
	s := start(t)
	pings := make(chan struct{}, 8)
	answers, silent := s.dial("/"), s.dial("/")
	answers.SetPingHandler(func(data string) error {
		pings <- struct{}{}
		return answers.WriteControl(websocket.PongMessage, []byte(data), time.Now().Add(patience))
	})
	silent.SetPingHandler(func(string) error { pings <- struct{}{}; return nil })
	ended := make(chan error, 2)
	for _, c := range []*client{answers, silent} {
		go func() {
			for {
				if _, _, err := c.ReadMessage(); err != nil {
					ended <- err
					return
				}
			}
		}()
	}
	now := time.Now()
	s.broadcaster.check(now.Add(29*time.Second), true)
	select {
	case <-pings:
		t.Fatal("pinged before its time")
	default:
	}
	s.broadcaster.check(now.Add(31*time.Second), true)
	<-pings
	<-pings
	s.until("a pong is in", func() (in bool) {
		s.broadcaster.each(func(c *session) { in = in || c.pongs.Load() > 0 })
		return in
	})
	s.broadcaster.check(now.Add(42*time.Second), true)
	if err := <-ended; websocket.IsCloseError(err, wire.CloseNormal) {
		t.Errorf("the silent one ended with %v", err)
	}
	s.broadcaster.check(now.Add(62*time.Second), true)
	<-pings // of the one that is left
	s.wantClients(1)
}

// An operator is pinged every second, whether the checks come a little early or a
// little late, and lost two seconds after its last pong, whenever it was asked.
func TestOperatorsHeartbeat(t *testing.T) {
	s := start(t, (&motors{driving: true}).options)
	o := s.dial("/")
	o.ask(`{"type":"command","payload":{"action":"start","target":"motor_1"}}`)
	var silent atomic.Bool
	o.SetPingHandler(func(data string) error {
		if silent.Load() {
			return nil
		}
		return o.WriteControl(websocket.PongMessage, []byte(data), time.Now().Add(patience))
	})
	texts := make(chan []byte, 1)
	go func() {
		defer close(texts)
		for {
			_, text, err := o.ReadMessage()
			if err != nil {
				return
			}
			texts <- text
		}
	}()
	begin := time.Now().Add(time.Hour) // later than the broadcaster's own checks
	checkAt := func(i int) time.Time {
		return begin.Add(time.Duration(i)*checkEvery + time.Duration(i%3)*time.Millisecond)
	}
	const checks = 10 * checksASecond
	pings, last := 0, 0
	s.broadcaster.each(func(c *session) {
		c.driving, c.pinged = true, time.Time{}
		for i := range checks {
			pongs := c.pongs.Load()
			if c.beat(checkAt(i)); !c.pinged.Equal(checkAt(i)) {
				continue
			}
			pings, last = pings+1, i
			s.until("the pong is in", func() bool { return c.pongs.Load() != pongs })
		}
	})
	if pings != 10 {
		t.Errorf("%d pings in 10 s", pings)
	}
	silent.Store(true)
	ponged := checkAt(last + 1) // when the broadcaster saw it
	s.broadcaster.check(checkAt(checks), false)
	s.broadcaster.check(ponged.Add(drivingPongWithin-time.Millisecond), false)
	if err := o.WriteMessage(websocket.TextMessage, []byte(`{"type":"ping"}`)); err != nil {
		t.Fatal(err)
	}
	if _, there := <-texts; !there {
		t.Fatal("lost too early")
	}
	s.broadcaster.check(ponged.Add(drivingPongWithin), false)
	s.wantClients(0)
}

// A client that only listens and answers pings may do so for ever: each pong
// gives it room for the next.
func TestPongsForEver(t *testing.T) {
	upgraded := make(chan *session, 1)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := &session{endpoint: silent{}, rules: &rules{size: readLimit}}
		var err error
		if c.ws, c.out, err = conn.Upgrade(w, r, nil); err != nil {
			t.Error(err)
		}
		upgraded <- c
	}))
	server.Listener = conn.Listen(server.Listener)
	server.Start()
	defer server.Close()
	client, _, err := websocket.DefaultDialer.Dial(strings.Replace(server.URL, "http", "ws", 1), nil)
	if err != nil {
		t.Fatal(err)
	}
	c := <-upgraded
	defer c.out.End(0)
	defer client.Close()
	const pongs = 2000
	go func() {
		payload := make([]byte, 125)
		for range pongs {
			if client.WriteControl(websocket.PongMessage, payload, time.Time{}) != nil {
				return // the other end says why
			}
		}
		_ = client.WriteMessage(websocket.TextMessage, nil) // likewise
	}()
	c.ws.SetPongHandler(func(string) error { return c.ponged() })
	if err := c.read(); err != nil || c.pongs.Load() != pongs {
		t.Errorf("after %d pongs: %v", c.pongs.Load(), err)
	}
}

// silent is an endpoint that answers nothing.
type silent struct{ endpoint }

func (silent) message(*session, int, []byte) {}

// A client that does not read delays nobody, costs bounded memory, and is closed.
func TestDeafClient(t *testing.T) { withAndWithoutTLS(t, testDeafClient) }

func testDeafClient(t *testing.T, s *testServer) {
	reader := s.dialSmall(wire.ReadingsV1)
	quick := s.dial("/")
	var deaf *session
	s.broadcaster.each(func(c *session) {
		if deaf == nil || c.pinged.Before(deaf.pinged) {
			deaf = c
		}
	})
	// tick goes on as if the deaf client were not there, and returns whether it is slow.
	tick := func() (slow bool) {
		want := s.tick()[1].Reading.Append(nil)
		if got := quick.read(websocket.BinaryMessage); string(got) != string(want) {
			t.Fatalf("the quick client got % x, want % x", got, want)
		}
		s.broadcaster.each(func(c *session) { slow = slow || c == deaf && c.waiting != nil })
		return slow
	}
	for n, refused := 0, 0; refused < 1000; n++ { // in a row: at first the kernel makes room again
		if n > 1_000_000 {
			t.Fatal("a million readings for a client that reads none")
		}
		if refused++; !tick() {
			refused = 0
		}
	}
	// Whenever its kernel makes a little room, which a busy machine's may do late, the
	// client is quick, or has taken something, until the next ticks have filled it.
	over := false
	for deadline := time.Now().Add(patience); !over; {
		if time.Now().After(deadline) {
			t.Fatal("it is never given up")
		}
		if !tick() {
			continue
		}
		s.broadcaster.each(func(c *session) {
			if c != deaf || c.waiting == nil {
				return
			}
			if c.overdue(c.took.Add(tooSlow - time.Second)) {
				t.Error("it was given up too early")
			}
			if over = c.overdue(c.took.Add(tooSlow)); over {
				c.beat(c.took.Add(tooSlow))
			}
		})
	}
	_ = reader.SetReadDeadline(time.Now().Add(patience))
	for { // it finds out when it reads again
		if _, _, err := reader.ReadMessage(); err != nil {
			if !websocket.IsCloseError(err, wire.CloseTooSlow) {
				t.Errorf("the deaf client ended with %v, want 1013", err)
			}
			break
		}
	}
	s.wantClients(1)
}

// wantClients waits until there are n.
func (s *testServer) wantClients(n int) {
	s.t.Helper()
	s.until(fmt.Sprintf("there are %d clients", n), func() bool { return s.Clients() == n })
}

// until waits until something is so.
func (s *testServer) until(what string, so func() bool) {
	s.t.Helper()
	for deadline := time.Now().Add(patience); !so(); runtime.Gosched() {
		if time.Now().After(deadline) {
			s.t.Fatalf("waited for %v until %s; %d clients", patience, what, s.Clients())
		}
	}
}
