package gateway

import (
	"math/rand/v2"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"sensorgateway/wire"
)

// moody reads only while it is told to.
type moody struct {
	c       *websocket.Conn
	session *session
	mood    chan bool // the next: true reads
	done    chan struct{}

	mu      sync.Mutex
	got     uint64           // readings
	last    map[uint16]int64 // time of the last one, by sensor
	bad     string
	flagged int // records that stand for others
}

func (s *testServer) moody(protocol string) *moody {
	s.t.Helper()
	d := websocket.Dialer{Subprotocols: []string{protocol}, NetDial: func(network, addr string) (net.Conn, error) {
		c, err := net.Dial(network, addr)
		if err == nil {
			err = c.(*net.TCPConn).SetReadBuffer(4 << 10)
		}
		return c, err
	}}
	before := map[*session]bool{}
	s.hub.each(func(c *session) { before[c] = true })
	c, _, err := d.Dial("ws://"+s.addr+"/", nil)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { c.Close() })
	m := &moody{c: c, mood: make(chan bool), done: make(chan struct{}), last: map[uint16]int64{}}
	s.joined()
	s.hub.each(func(c *session) {
		if !before[c] {
			m.session = c
		}
	})
	go m.run(protocol)
	return m
}

func (m *moody) run(protocol string) {
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
			return
		}
		m.mu.Lock()
		switch {
		case kind == websocket.BinaryMessage && protocol == wire.ReadingsV1:
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

// Whatever clients take and leave, the accounts close: every tick that was due
// is delivered, stood for by another, missed or waiting, and what is called
// delivered has arrived.
func TestAccountsClose(t *testing.T) {
	const ticks = 30_000
	s := start(t)
	rnd := rand.New(rand.NewPCG(1, 2))
	var clients []*moody
	for i := range 9 {
		clients = append(clients, s.moody([]string{wire.ReadingsV1, wire.ReadingsV2, wire.ReadingsJSON}[i%3]))
	}
	seq, slow := uint32(7), 0
	check := func() {
		s.hub.mu.Lock()
		defer s.hub.mu.Unlock()
		for i, c := range clients {
			a := s.hub.statsOf(c.session)
			if a.Produced != a.Delivered+a.Conflated+a.Missed+a.Queued {
				t.Fatalf("client %d: %+v", i, a)
			}
			if c.session.waiting != nil {
				slow++
			}
		}
	}
	for range ticks {
		if rnd.IntN(100) == 0 {
			seq += uint32(rnd.IntN(5)) // ticks that the sampler did not make
		}
		tick := records(seq, 2)
		tick[0].Temperature = float32(rnd.IntN(40))
		seq++
		s.hub.spread(tick)
		if rnd.IntN(50) == 0 {
			check()
		}
		if rnd.IntN(30) == 0 {
			select {
			case clients[rnd.IntN(len(clients))].mood <- rnd.IntN(3) > 0:
			default: // it waits for a message: next time
			}
		}
		if rnd.IntN(500) == 0 { // another subscription in the midst of it
			c := clients[rnd.IntN(len(clients))]
			if c.session.protocol == wire.ReadingsV2 {
				s.hub.mu.Lock()
				s.hub.move(c.session, sensorSet(1+rnd.IntN(3)))
				s.hub.mu.Unlock()
			}
		}
	}
	check()
	if slow == 0 {
		t.Fatal("no client was ever slow: this proves nothing")
	}
	for _, c := range clients {
		close(c.mood)
	}
	// All read on: what waits arrives, and what was delivered has arrived.
	for deadline := time.Now().Add(patience); ; runtime.Gosched() {
		s.hub.sweep(time.Now(), true)
		open := 0
		for _, c := range clients {
			s.hub.mu.Lock()
			a := s.hub.statsOf(c.session)
			s.hub.mu.Unlock()
			c.mu.Lock()
			if a.Queued > 0 || a.Delivered != c.got {
				open++
			}
			if c.bad != "" {
				t.Fatal(c.bad)
			}
			c.mu.Unlock()
		}
		if open == 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d accounts do not agree with what arrived", open)
		}
	}
	sum, abandoned := s.Accounts()
	for _, c := range clients {
		c.c.Close()
		<-c.done
	}
	s.wantClients(0)
	if after, left := s.Accounts(); after != sum || left != abandoned {
		t.Errorf("the sum of all accounts is %+v after they left, %+v before", after, sum)
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
	s.hub.sweep(time.Now(), true)
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

// Readings for a client that is too slow are conflated, and it is told which.
func TestConflatedRecordsAreFlagged(t *testing.T) {
	s := start(t)
	m := s.moody(wire.ReadingsV2)
	for m.mood <- false; ; s.tick() {
		s.hub.mu.Lock()
		enough := m.session.waiting != nil && m.session.waiting.total > 100
		s.hub.mu.Unlock()
		if enough {
			break
		}
		runtime.Gosched()
	}
	close(m.mood)
	for deadline := time.Now().Add(patience); ; runtime.Gosched() {
		s.hub.mu.Lock()
		a := s.hub.statsOf(m.session)
		s.hub.mu.Unlock()
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
		s.hub.sweep(time.Now(), true)
	}
}
