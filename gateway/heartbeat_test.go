package gateway

import (
	"context"
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"sensorgateway/gateway/access"
	"sensorgateway/gateway/access/tokens"
	"sensorgateway/wire"
)

// dialRaw connects a client to a path that answers no ping by itself.
func (s *testServer) dialRaw(path string) *client {
	s.t.Helper()
	c := s.dial(path)
	c.SetPingHandler(func(string) error { return nil })
	return c
}

func TestHeartbeat(t *testing.T) {
	s := start(t, func(o *Options) {
		o.Endpoints = map[string]func(Sender, *http.Request, *access.Identity) Receiver{"/chat": func(c Sender, _ *http.Request, _ *access.Identity) Receiver { return shouter{c, make(chan struct{})} }}
	})
	pings := make(chan struct{}, 8)
	answers, silent := s.dial("/chat"), s.dial("/chat")
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
	s.broadcaster.check(now.Add(24*time.Second), true)
	select {
	case <-pings:
		t.Fatal("pinged before its time")
	default:
	}
	s.broadcaster.check(now.Add(26*time.Second), true)
	<-pings
	<-pings
	s.until("a pong is in", func() (in bool) {
		s.broadcaster.each(func(c *session) { in = in || c.inbox.Pongs() > 0 })
		return in
	})
	s.broadcaster.check(now.Add(37*time.Second), true)
	if err := <-ended; !websocket.IsCloseError(err, wire.CloseTooSlow) || !strings.Contains(err.Error(), wire.CloseReasonNoPong) {
		t.Errorf("the silent one ended with %v, want 1013", err)
	}
	s.broadcaster.check(now.Add(51*time.Second), true)
	<-pings // of the one that is left
	s.wantClients(1)
}

// A client that answers no ping is closed with a reason, which is logged. The early
// pings of a client that gets readings matter only if it answers them.
func TestNoPong(t *testing.T) {
	refused := make(chan string, 8)
	s := start(t, func(o *Options) { o.Refused = func(reason, client, _ string) { refused <- reason + " " + client } })
	c := s.dialRaw("/")
	begin := time.Now()
	for second := range 35 {
		s.broadcaster.check(begin.Add(time.Duration(second)*time.Second), true)
	}
	want := s.tick()[1].Reading.Append(nil)
	if got := c.read(websocket.BinaryMessage); string(got) != string(want) {
		t.Errorf("% x, want % x: it is still there", got, want)
	}
	s.broadcaster.check(begin.Add(37*time.Second), true)
	c.wantClose(wire.CloseTooSlow, wire.CloseReasonNoPong)
	if got, want := <-refused, "no_pong "+c.LocalAddr().String(); got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// A client whose pongs are seconds old gets no more readings until it answers at
// once; then it gets those that it has missed, conflated.
func TestClientThatReadsLate(t *testing.T) {
	s := start(t)
	c := s.dialRaw("/")
	begin := time.Now()
	at := func(d time.Duration) { s.broadcaster.check(begin.Add(d), true) }
	pong := func(n int64) {
		t.Helper()
		if err := c.WriteControl(websocket.PongMessage, nil, time.Now().Add(patience)); err != nil {
			t.Fatal(err)
		}
		s.until("the pong is in", func() (in bool) {
			s.broadcaster.each(func(c *session) { in = c.inbox.Pongs() == n })
			return in
		})
	}
	at(3100 * time.Millisecond) // asks it
	pong(1)
	at(4 * time.Second)
	at(7 * time.Second) // asks it again
	at(8 * time.Second)
	s.tick()
	c.read(websocket.BinaryMessage)
	at(9500 * time.Millisecond)
	var held []wire.Record
	for range 20 {
		held = append(held, s.tick()[1])
	}
	pong(2) // late, so it is asked once more
	at(10 * time.Second)
	held = append(held, s.tick()[1])
	pong(3)
	at(11 * time.Second)
	want := [][]byte{held[0].Reading.Append(nil), held[len(held)-1].Reading.Append(nil)}
	for _, want := range want {
		if got := c.read(websocket.BinaryMessage); string(got) != string(want) {
			t.Errorf("got % x, want % x", got, want)
		}
	}
	live := s.tick()[1].Reading.Append(nil)
	if got := c.read(websocket.BinaryMessage); string(got) != string(live) {
		t.Errorf("then % x, want % x", got, live)
	}
	sum, _ := s.Accounts()
	if sum.Conflated != uint64(len(held)-2) || sum.Produced != sum.Delivered+sum.Conflated {
		t.Errorf("%+v, want %d conflated", sum, len(held)-2)
	}
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
			pongs := c.inbox.Pongs()
			if s.broadcaster.beat(c, checkAt(i)); !c.pinged.Equal(checkAt(i)) {
				continue
			}
			pings, last = pings+1, i
			s.until("the pong is in", func() bool { return c.inbox.Pongs() != pongs })
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

// revocable is the access of everybody until it ends.
type revocable struct{ valid context.Context }

func (a revocable) Identify(r *http.Request) (*access.Identity, *access.Refusal) {
	id := access.Anybody(r.RemoteAddr)
	id.Valid = a.valid
	return id, nil
}

// Where the timer seldom has sessions checked, ticks do: a client whose identity has
// ended is closed soon.
func TestTicksHaveSessionsChecked(t *testing.T) {
	valid, revoke := context.WithCancelCause(t.Context())
	s := startChecked(t, 1, func(o *Options) { o.Access = revocable{valid} })
	c := s.dial("/")
	revoke(tokens.ErrRevoked)
	closed := make(chan error, 1)
	go func() {
		for {
			if _, _, err := c.ReadMessage(); err != nil {
				closed <- err
				return
			}
		}
	}()
	s.until("it is closed", func() bool { s.tick(); return len(closed) > 0 })
	if err := <-closed; !websocket.IsCloseError(err, wire.ClosePolicy) {
		t.Error(err)
	}
}

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
		s.broadcaster.each(func(c *session) { slow = slow || c == deaf && c.Waiting != nil })
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
			if c != deaf || c.Waiting == nil {
				return
			}
			if c.overdue(c.took.Add(tooSlow - time.Second)) {
				t.Error("it was given up too early")
			}
			if over = c.overdue(c.took.Add(tooSlow)); over {
				s.broadcaster.beat(c, c.took.Add(tooSlow))
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
