package gateway

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"sensorgateway/gateway/conn"
	"sensorgateway/wire"
)

const (
	// backlog is how many ticks' messages may wait for the hub. Fan-out never
	// blocks, so it fills only when the machine is out of breath for seconds.
	backlog = 64

	pingEvery  = 30 * time.Second
	pongWithin = 10 * time.Second
	// Who drives a motor is an operator whose loss must be noticed.
	drivingPingEvery  = time.Second
	drivingPongWithin = 2 * time.Second
	tooSlow           = 30 * time.Second // a client that has taken nothing for so long

	// The hub looks after its sessions so often; after those who drive nothing and
	// for what happens once a second every fourth time.
	sweepEvery    = 250 * time.Millisecond
	sweepsASecond = 4
)

// hub is the fan-out: one goroutine that gives each tick to all sessions.
type hub struct {
	s     *Server
	beats atomic.Int64

	full, free chan *[]wire.Record
	quit, done chan struct{}
	replays    chan struct{} // holds one for each that is under way
	turn       time.Duration // of each

	frames atomic.Int64 // handed to clients' outboxes: readings only

	mu         sync.Mutex // all below; held for a fan-out, which never blocks
	epoch      string
	sessions   []*session
	feeds      map[feedKey]*feed
	last       []wire.Record // by sensor
	known      sensorSet     // those in last
	latecomers int           // who came while the server was stopping
	gaps       []uint32      // missed ticks before each record of the present tick

	departed  wire.Stats // the accounts of clients that have left
	abandoned uint64     // and what waited for them
}

func newHub(s *Server) *hub {
	h := &hub{
		s: s, epoch: s.opts.Epoch, feeds: map[feedKey]*feed{}, last: make([]wire.Record, len(s.opts.Sensors)),
		gaps: make([]uint32, len(s.opts.Sensors)),
		full: make(chan *[]wire.Record, backlog), free: make(chan *[]wire.Record, backlog),
		quit: make(chan struct{}), done: make(chan struct{}), replays: make(chan struct{}, maxReplays), turn: replayTurn,
	}
	for range backlog {
		records := make([]wire.Record, 0, len(s.opts.Sensors))
		h.free <- &records
	}
	return h
}

func (h *hub) publish(records []wire.Record) {
	select {
	case b := <-h.free:
		*b = append((*b)[:0], records...)
		h.full <- b // has room for all there are
	case <-h.done:
	}
}

func (h *hub) run() {
	defer close(h.done)
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for sweeps := 1; ; {
		select {
		case b := <-h.full:
			h.spread(*b)
			h.free <- b
		case <-tick.C:
			h.sweep(time.Now(), sweeps%sweepsASecond == 0)
			sweeps++
		case <-h.quit:
			return
		}
		h.beats.Add(1)
	}
}

func (h *hub) stop() {
	close(h.quit)
	<-h.done
}

// spread gives a tick to all. It allocates nothing, but for who is slow, and
// waits for nobody.
func (h *hub) spread(records []wire.Record) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for i, r := range records {
		h.gaps[i] = 0
		if h.known.has(r.Sensor) {
			h.gaps[i] = uint32(max(int32(r.Seq-h.last[r.Sensor].Seq)-1, 0)) // they wrap
		}
		h.last[r.Sensor] = r
		h.known |= 1 << r.Sensor
	}
	for _, f := range h.feeds {
		f.encode(records, h.s.opts.Sensors)
		if len(f.frame) == 0 {
			continue
		}
		before := f.totals
		for i, r := range records {
			if f.sensors.has(r.Sensor) {
				f.records++
				f.missed += uint64(h.gaps[i])
			}
		}
		f.give(before)
		h.frames.Add(int64(len(f.members) * f.frames))
	}
	for _, f := range h.feeds { // the quick ones have theirs
		if len(f.frame) == 0 {
			continue
		}
		for _, c := range f.slow {
			c.settle(f.totals)
			f.keep(c, records)
		}
		f.retry()
	}
}

// join makes a session known, greets it and subscribes it. Nothing can come
// between the hello and the first record after its next_seq.
func (h *hub) join(c *session) {
	h.mu.Lock()
	defer h.mu.Unlock()
	c.slot = len(h.sessions)
	h.sessions = append(h.sessions, c)
	if c.protocol == wire.ReadingsV2 || c.protocol == wire.ReadingsJSON {
		c.sendJSON(wire.Envelope{Type: "hello", Payload: h.hello()})
	}
	set := c.sensors
	c.sensors = 0
	h.move(c, set)
	if h.s.stopping.Load() { // came between the farewell and the end
		h.latecomers++
		c.close(wire.CloseServiceRestart, retryReason(5000+h.latecomers))
	}
}

func (h *hub) leave(c *session) {
	if r := h.forget(c); r != nil {
		close(r.stop)
		<-r.done
	}
}

// forget takes a session off the books, and returns its replay, which is to end.
func (h *hub) forget(c *session) *replay {
	h.mu.Lock()
	defer h.mu.Unlock()
	final := h.statsOf(c)
	h.move(c, 0)
	h.abandoned += final.Queued
	final.Queued = 0
	h.departed = h.departed.Add(final)
	h.sessions = remove(h.sessions, c.slot)
	if c.slot < len(h.sessions) {
		h.sessions[c.slot].slot = c.slot
	}
	if c.replay != nil {
		c.replay.lanes = nil // what it is still reading is for nobody
	}
	return c.replay
}

// move subscribes a session to other sensors than before. h.mu is held.
func (h *hub) move(c *session, sensors sensorSet) {
	if sensors == c.sensors {
		return
	}
	if f := h.feeds[c.feedKey]; c.sensors != 0 {
		c.settle(f.totals)
		if i := slices.IndexFunc(f.members, func(m member) bool { return m.c == c }); i >= 0 {
			f.members = remove(f.members, i)
		} else {
			f.slow = remove(f.slow, slices.Index(f.slow, c))
		}
		if len(f.members)+len(f.slow) == 0 {
			delete(h.feeds, c.feedKey)
		}
	}
	c.sensors = sensors
	if sensors == 0 {
		c.forget()
		return
	}
	f := h.feeds[c.feedKey]
	if f == nil {
		f = &feed{feedKey: c.feedKey}
		h.feeds[c.feedKey] = f
	}
	c.base = f.totals
	if c.waiting != nil {
		f.slow = append(f.slow, c)
	} else {
		f.members = append(f.members, member{c.out, c})
	}
}

// statsOf returns a session's account. h.mu is held.
func (h *hub) statsOf(c *session) wire.Stats {
	if f := h.feeds[c.feedKey]; f != nil && c.sensors != 0 {
		c.settle(f.totals)
	}
	return c.stats()
}

// accounts returns the sum of all clients' accounts, and how many readings
// waited for clients that have left.
func (h *hub) accounts() (sum wire.Stats, abandoned uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	sum = h.departed
	for _, c := range h.sessions {
		sum = sum.Add(h.statsOf(c))
	}
	return sum, h.abandoned
}

// Hello is what a client is greeted with.
func (h *hub) Hello() wire.Hello {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.hello()
}

// hello is Hello. h.mu is held.
func (h *hub) hello() wire.Hello {
	hello := wire.Hello{
		Server: "gateway", Version: h.s.opts.Version, Epoch: h.epoch, Time: time.Now().UnixMilli(),
		Simulated: h.s.opts.Simulated, ClockSynced: h.s.opts.ClockSynced(),
		Sensors: slices.Clone(h.s.opts.Sensors), Motors: h.s.opts.Motors.States(),
	}
	for i := range hello.Sensors {
		hello.Sensors[i].NextSeq = h.next(i)
		hello.Sensors[i].Values = hello.Sensors[i].Quantities()
	}
	return hello
}

// next returns the sequence number of a sensor's next record. h.mu is held.
func (h *hub) next(i int) uint32 {
	if h.known.has(uint16(i)) {
		return h.last[i].Seq + 1
	}
	return h.s.opts.Sensors[i].NextSeq
}

// index returns a sensor's index by its name, -1 if there is none.
func (h *hub) index(name string) int {
	return slices.IndexFunc(h.s.opts.Sensors, func(s wire.SensorInfo) bool { return s.Name == name })
}

// carries returns why readings.v1 cannot carry a sensor's readings, nil if it can.
func (h *hub) carries(i int) error {
	if s := &h.s.opts.Sensors[i]; !s.InV1() {
		return wire.Errorf(http.StatusUnprocessableEntity, "%s carries temperature and humidity only: for %s use %s", wire.ReadingsV1, s.Name, wire.ReadingsV2)
	}
	return nil
}

// Newest returns the last record of a sensor, if there has been one.
func (h *hub) Newest(i int) (wire.Record, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.last[i], h.known.has(uint16(i))
}

// Ready tells whether who connects would get readings, and why not.
func (h *hub) Ready() (reason string, ok bool) {
	if h.s.stopping.Load() {
		return "shutting down", false
	}
	return h.quality()
}

// quality tells how many sensors measure, and what ails the others.
func (h *hub) quality() (reason string, ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	good, ill := 0, []string{}
	for i, s := range h.s.opts.Sensors {
		switch {
		case !h.known.has(uint16(i)):
			ill = append(ill, s.Name+": no reading yet")
		case h.last[i].Fault != wire.Good:
			ill = append(ill, s.Name+": "+h.last[i].Fault.String())
		default:
			good++
		}
	}
	reason = fmt.Sprintf("%d of %d sensors measure", good, len(h.s.opts.Sensors))
	if len(ill) > 0 {
		reason += " (" + strings.Join(ill, ", ") + ")"
	}
	return reason, good > 0
}

// each calls f for every session.
func (h *hub) each(f func(*session)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, c := range h.sessions {
		f(c)
	}
}

// sweep is each session's heartbeat: no client has a timer of its own.
func (h *hub) sweep(now time.Time, all bool) {
	var metrics []byte
	if all && h.s.watchers.Load() > 0 {
		metrics = conn.AppendFrame(nil, conn.OpText, wire.JSON(wire.Envelope{Type: "metrics", Payload: h.s.opts.Metrics()}))
	}
	h.each(func(c *session) {
		if driving := c.commanded.Load() && h.s.opts.Motors.Running(c.ID); driving != c.driving {
			c.driving, c.pinged, c.heard, c.waits = driving, now, now, false
			if driving {
				c.pinged = time.Time{} // at once
			}
		}
		if all || c.driving {
			c.heartbeat(now)
		}
		if _, ok := c.talk.(watch); ok && metrics != nil {
			c.out.Offer(metrics)
		}
		if all && c.events {
			c.sendJSON(wire.Envelope{Type: "stats", Payload: h.statsOf(c)})
		}
	})
	if all {
		h.mu.Lock()
		defer h.mu.Unlock()
		for _, f := range h.feeds {
			f.retry() // for sensors whose next tick is far
		}
	}
}

// tell sends a message to those who asked for its kind. h.mu is held.
func (h *hub) tell(e wire.Envelope, who func(*session) bool) {
	var frame []byte
	for _, c := range h.sessions {
		if who(c) {
			if frame == nil {
				frame = conn.AppendFrame(nil, conn.OpText, wire.JSON(e))
			}
			_, _ = c.out.Write(frame) // as in session.send
		}
	}
}

// setEpoch is rare enough to send everybody away who counts.
func (h *hub) setEpoch(epoch string) {
	h.mu.Lock()
	h.epoch = epoch
	h.mu.Unlock()
	h.farewell(func(c *session) bool { return c.protocol == wire.ReadingsV2 || c.protocol == wire.ReadingsJSON })
}

// restartStreams waits until all ticks are spread that were published before:
// who comes anew gets none of them.
func (h *hub) restartStreams() {
	for range backlog {
		select {
		case b := <-h.free:
			defer func() { h.free <- b }()
		case <-h.done:
			return
		}
	}
	h.farewell(func(c *session) bool { return c.sensors != 0 || c.replay != nil })
}

func (h *hub) restart() { h.farewell(func(*session) bool { return true }) }

// farewell closes sessions with 1012, each with its own time to come back at:
// one after the other from half a second on, within 4 s if they are not too many.
func (h *hub) farewell(whom func(*session) bool) {
	n := 0
	h.each(func(*session) { n++ })
	step := max(4000/max(n, 1), 1)
	i := 0
	h.each(func(c *session) {
		if whom(c) {
			c.close(wire.CloseServiceRestart, retryReason(500+i*step))
			i++
		}
	})
}

func (h *hub) cutAll() { h.each(func(c *session) { c.out.Close() }) }

func retryReason(ms int) string { return fmt.Sprintf("Service restart; retry_ms=%d", ms) }
