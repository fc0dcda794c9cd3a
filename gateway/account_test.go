package gateway

import (
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"sensorgateway/gateway/limit"
	"sensorgateway/wire"
)

// moody is a client that reads only when the test wants it to.
type moody struct {
	protocol string
	c        *websocket.Conn
	session  *session
	mood     chan bool // the next: true reads
	done     chan struct{}
	err      error // of its end, once done is closed
	asked    int   // pings

	mu      sync.Mutex
	got     uint64           // readings
	last    map[uint16]int64 // time of the last one, by sensor
	bad     string
	flagged int // records that stand for others
}

func (s *testServer) moody(protocol string) *moody {
	s.t.Helper()
	before := map[*session]bool{}
	s.broadcaster.each(func(c *session) { before[c] = true })
	c := s.dialSmall(protocol)
	m := &moody{protocol: protocol, c: c, mood: make(chan bool, 1), done: make(chan struct{}), last: map[uint16]int64{}}
	s.joined()
	s.broadcaster.each(func(c *session) {
		if !before[c] {
			m.session = c
		}
	})
	go m.run()
	return m
}

func (m *moody) run() {
	defer close(m.done)
	for reading := true; ; {
		if !reading {
			var ok bool
			if reading, ok = <-m.mood; !ok {
				reading = true
				m.mood = nil
			}
			continue
		}
		select {
		case r, ok := <-m.mood:
			if reading = r || !ok; !ok {
				m.mood = nil
			}
			continue
		default:
		}
		kind, b, err := m.c.ReadMessage()
		if err != nil {
			m.err = err
			return
		}
		m.mu.Lock()
		switch {
		case kind == websocket.BinaryMessage && m.protocol == wire.ReadingsV1:
			r, _ := wire.ParseReading(b)
			m.see(0, r.UnixMilli)
		case kind == websocket.BinaryMessage:
			records, _ := wire.ParseRecords(b)
			for _, r := range records {
				m.see(r.Sensor, r.UnixMilli)
				if r.Flags&wire.Conflated != 0 {
					m.flagged++
				}
			}
		case strings.Contains(string(b), `"type":"sensor"`):
			m.got++
			if strings.Contains(string(b), `"conflated":true`) {
				m.flagged++
			}
		}
		m.mu.Unlock()
	}
}

func (m *moody) see(sensor uint16, ms int64) {
	m.got++
	if last, ok := m.last[sensor]; ok && ms <= last {
		m.bad = "a reading came twice or out of order"
	}
	m.last[sensor] = ms
}

// soakOr returns how often to repeat something: soak where GATEWAY_TEST_SOAK is set,
// as by scripts/soak.
func soakOr(soak, usual int) int {
	if os.Getenv("GATEWAY_TEST_SOAK") != "" {
		return soak
	}
	return usual
}

// Whatever clients read, ask for and subscribe to, and whenever they connect and
// leave, the accounts close: every tick that was due is delivered, conflated, missed
// or queued, and what counts as delivered has arrived.
func TestAccountsClose(t *testing.T) {
	t.Parallel()
	withAndWithoutTLS(t, func(t *testing.T, s *testServer) {
		t.Parallel()
		r := &riot{testServer: s, rnd: rand.New(rand.NewPCG(1, 2)), seq: 7}
		for i := range 9 {
			r.clients = append(r.clients, s.moody(protocols[i%len(protocols)]))
		}
		for range soakOr(20_000, 4_000) {
			r.step()
		}
		r.check()
		if r.slow == 0 || r.restarts == 0 || r.left == 0 {
			t.Fatalf("%d times slow, %d restarts, %d left: this proves nothing", r.slow, r.restarts, r.left)
		}
		r.calm()
		sum, abandoned := s.Accounts()
		if sum.Produced != sum.Delivered+sum.Conflated+sum.Missed+abandoned || sum.Queued != 0 {
			t.Errorf("%+v, %d abandoned", sum, abandoned)
		}
		for _, c := range r.clients {
			c.c.Close()
			<-c.done
		}
		s.wantClients(0)
		if after, left := s.Accounts(); after != sum || left != abandoned {
			t.Errorf("the sum of all accounts is %+v after they left, %+v before", after, sum)
		}
	})
}

var protocols = []string{wire.ReadingsV1, wire.ReadingsV2, wire.ReadingsJSON}

// riot is clients that do anything at any time while ticks are broadcast.
type riot struct {
	*testServer
	rnd                  *rand.Rand
	clients              []*moody
	seq                  uint32
	slow, restarts, left int
}

// step broadcasts a tick; before and after it, something may happen.
func (r *riot) step() {
	if r.chance(100) {
		r.seq += uint32(r.rnd.IntN(5)) // ticks that the sampler did not make
	}
	tick := records(r.seq, 2)
	tick[0].Values[0] = float32(r.rnd.IntN(40))
	r.seq++
	r.broadcaster.broadcast(tick)
	i := r.rnd.IntN(len(r.clients))
	c := r.clients[i]
	switch {
	case r.chance(50):
		r.check()
	case r.chance(30):
		select {
		case c.mood <- !r.chance(3):
		default: // it waits for a message: next time
		}
	case r.chance(500) && c.session.protocol == wire.ReadingsV2: // another subscription
		r.broadcaster.mu.Lock()
		r.broadcaster.move(c.session, sensorSet(1+r.rnd.IntN(3)))
		r.broadcaster.mu.Unlock()
	case r.chance(500) && c.asked < limit.PerSecond:
		c.asked++
		if err := c.c.WriteMessage(websocket.TextMessage, []byte(`{"type":"ping"}`)); err != nil {
			r.t.Fatal(err)
		}
	case r.chance(500): // left without a close frame
		c.c.Close()
		r.replace(i)
	case r.chance(1000):
		r.restarts++
		r.broadcaster.restartAll()
		for i, c := range r.clients {
			close(c.mood)
			<-c.done
			if !websocket.IsCloseError(c.err, wire.CloseServiceRestart) {
				r.t.Fatalf("client %d: %v, want 1012", i, c.err)
			}
			r.clients[i] = r.moody(c.protocol)
		}
	}
}

func (r *riot) chance(of int) bool { return r.rnd.IntN(of) == 0 }

// replace connects another client for one that has left.
func (r *riot) replace(i int) {
	r.left++
	c := r.clients[i]
	close(c.mood)
	<-c.done
	r.clients[i] = r.moody(c.protocol)
}

// check checks that all accounts close.
func (r *riot) check() {
	r.broadcaster.mu.Lock()
	defer r.broadcaster.mu.Unlock()
	for i, c := range r.clients {
		if a := r.broadcaster.statsOf(c.session); a.Produced != a.Delivered+a.Conflated+a.Missed+a.Queued {
			r.t.Fatalf("client %d: %+v", i, a)
		}
		if c.session.Waiting != nil {
			r.slow++
		}
	}
}

// calm lets all clients read on: what is queued arrives, and what was delivered has
// arrived.
func (r *riot) calm() {
	for _, c := range r.clients {
		close(c.mood)
	}
	for deadline := time.Now().Add(patience); ; runtime.Gosched() {
		r.broadcaster.check(time.Now(), true)
		open := 0
		for _, c := range r.clients {
			r.broadcaster.mu.Lock()
			a := r.broadcaster.statsOf(c.session)
			r.broadcaster.mu.Unlock()
			c.mu.Lock()
			if a.Queued > 0 || a.Delivered != c.got {
				open++
			}
			if c.bad != "" {
				r.t.Fatal(c.bad)
			}
			c.mu.Unlock()
		}
		if open == 0 {
			return
		}
		if time.Now().After(deadline) {
			r.t.Fatalf("%d accounts do not agree with what arrived", open)
		}
	}
}

func TestStats(t *testing.T) {
	s := start(t)
	c := s.dial("/", wire.ReadingsV2)
	c.read(websocket.TextMessage)
	c.ask(`{"type":"subscribe","payload":{"topic":"events"}}`)
	s.tick()
	c.read(websocket.BinaryMessage)
	s.seq += 3
	s.tick()
	c.read(websocket.BinaryMessage)
	s.broadcaster.check(time.Now(), true)
	for {
		got := string(c.read(websocket.TextMessage))
		if got == `{"type":"stats","payload":{"produced":10,"delivered":4,"conflated":0,"missed":6,"queued":0}}` {
			return
		}
		if !strings.Contains(got, `"stats"`) {
			t.Fatal(got)
		}
	}
}

// Readings for a slow client are conflated, and flagged.
func TestConflatedRecordsAreFlagged(t *testing.T) {
	withAndWithoutTLS(t, func(t *testing.T, s *testServer) { testConflation(t, s, wire.ReadingsV2) })
}

// The window of very many sensors is more than may be offered at once.
func TestConflatedInParts(t *testing.T) {
	s := start(t, func(o *Options) {
		o.Sensors = nil
		for i := range MaxSensors {
			o.Sensors = append(o.Sensors, wire.SensorInfo{ID: uint16(i), Name: fmt.Sprintf("sensor-%d", i), IntervalMS: 100, NextSeq: 7})
		}
	})
	testConflation(t, s, wire.ReadingsJSON)
}

func testConflation(t *testing.T, s *testServer, protocol string) {
	m := s.moody(protocol)
	m.mood <- false
	for deadline := time.Now().Add(patience); ; s.tick() {
		if time.Now().After(deadline) {
			t.Fatal("a client that reads nothing is never slow")
		}
		s.broadcaster.mu.Lock()
		enough := m.session.Waiting != nil && m.session.Waiting.Total() > 100*len(s.opts.Sensors)
		s.broadcaster.mu.Unlock()
		if enough {
			break
		}
		runtime.Gosched()
	}
	close(m.mood)
	for deadline := time.Now().Add(patience); ; runtime.Gosched() {
		s.broadcaster.mu.Lock()
		a := s.broadcaster.statsOf(m.session)
		s.broadcaster.mu.Unlock()
		m.mu.Lock()
		got, flagged := m.got, m.flagged
		m.mu.Unlock()
		if a.Queued == 0 && got == a.Delivered {
			if a.Conflated == 0 || flagged == 0 {
				t.Errorf("%+v, %d records with the flag", a, flagged)
			}
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%+v", a)
		}
		s.broadcaster.check(time.Now(), true)
	}
}
