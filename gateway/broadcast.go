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
	// backlog is how many ticks' messages may wait for the broadcaster. Fan-out never
	// blocks, so it fills only when the machine is out of breath for seconds.
	backlog = 64

	pingEvery  = 30 * time.Second
	pongWithin = 10 * time.Second
	// Who drives a motor is an operator whose loss must be noticed.
	drivingPingEvery  = time.Second
	drivingPongWithin = 2 * time.Second
	tooSlow           = 30 * time.Second // a client that has taken nothing for so long

	// The broadcaster looks after its sessions so often; after those who drive nothing and
	// for what happens once a second every fourth time.
	checkEvery    = 250 * time.Millisecond
	checksASecond = 4
)

// broadcaster is the fan-out: one goroutine that gives each tick to all sessions.
type broadcaster struct {
	s     *Server
	beats atomic.Int64

	full, free chan *[]wire.Record
	quit, done chan struct{}
	replays    chan struct{} // holds one for each that is under way
	replayTime time.Duration // of each

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

func newBroadcaster(s *Server) *broadcaster {
	b := &broadcaster{
		s: s, epoch: s.opts.Epoch, feeds: map[feedKey]*feed{}, last: make([]wire.Record, len(s.opts.Sensors)),
		gaps: make([]uint32, len(s.opts.Sensors)),
		full: make(chan *[]wire.Record, backlog), free: make(chan *[]wire.Record, backlog),
		quit: make(chan struct{}), done: make(chan struct{}), replays: make(chan struct{}, maxReplays), replayTime: replayTime,
	}
	for range backlog {
		records := make([]wire.Record, 0, len(s.opts.Sensors))
		b.free <- &records
	}
	return b
}

func (b *broadcaster) publish(records []wire.Record) {
	select {
	case tick := <-b.free:
		*tick = append((*tick)[:0], records...)
		b.full <- tick // has room for all there are
	case <-b.done:
	}
}

func (b *broadcaster) run() {
	defer close(b.done)
	ticker := time.NewTicker(checkEvery)
	defer ticker.Stop()
	for checks := 1; ; {
		select {
		case tick := <-b.full:
			b.broadcast(*tick)
			b.free <- tick
		case <-ticker.C:
			b.check(time.Now(), checks%checksASecond == 0)
			checks++
		case <-b.quit:
			return
		}
		b.beats.Add(1)
	}
}

func (b *broadcaster) stop() {
	close(b.quit)
	<-b.done
}

// broadcast gives a tick to all. It allocates nothing, but for who is slow, and
// waits for nobody.
func (b *broadcaster) broadcast(records []wire.Record) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i, r := range records {
		b.gaps[i] = 0
		if b.known.has(r.Sensor) {
			b.gaps[i] = uint32(max(int32(r.Seq-b.last[r.Sensor].Seq)-1, 0)) // they wrap
		}
		b.last[r.Sensor] = r
		b.known |= 1 << r.Sensor
	}
	for _, f := range b.feeds {
		f.encode(records, b.s.opts.Sensors)
		if len(f.frame) == 0 {
			continue
		}
		before := f.totals
		for i, r := range records {
			if f.sensors.has(r.Sensor) {
				f.records++
				f.missed += uint64(b.gaps[i])
			}
		}
		f.give(before)
		b.frames.Add(int64(len(f.members) * f.frames))
	}
	for _, f := range b.feeds { // the quick ones have theirs
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
func (b *broadcaster) join(c *session) {
	b.mu.Lock()
	defer b.mu.Unlock()
	c.slot = len(b.sessions)
	b.sessions = append(b.sessions, c)
	if c.protocol == wire.ReadingsV2 || c.protocol == wire.ReadingsJSON {
		c.sendJSON(wire.Envelope{Type: "hello", Payload: b.hello()})
	}
	set := c.sensors
	c.sensors = 0
	b.move(c, set)
	if b.s.stopping.Load() { // came between the farewell and the end
		b.latecomers++
		c.close(wire.CloseServiceRestart, retryReason(5000+b.latecomers))
	}
}

func (b *broadcaster) leave(c *session) {
	if r := b.forget(c); r != nil {
		close(r.stop)
		<-r.done
	}
}

// forget takes a session off the books, and returns its replay, which is to end.
func (b *broadcaster) forget(c *session) *replay {
	b.mu.Lock()
	defer b.mu.Unlock()
	final := b.statsOf(c)
	b.move(c, 0)
	b.abandoned += final.Queued
	final.Queued = 0
	b.departed = b.departed.Add(final)
	b.sessions = remove(b.sessions, c.slot)
	if c.slot < len(b.sessions) {
		b.sessions[c.slot].slot = c.slot
	}
	if c.replay != nil {
		c.replay.lanes = nil // what it is still reading is for nobody
	}
	return c.replay
}

// move subscribes a session to other sensors than before. b.mu is held.
func (b *broadcaster) move(c *session, sensors sensorSet) {
	if sensors == c.sensors {
		return
	}
	if f := b.feeds[c.feedKey]; c.sensors != 0 {
		c.settle(f.totals)
		if i := slices.IndexFunc(f.members, func(m member) bool { return m.c == c }); i >= 0 {
			f.members = remove(f.members, i)
		} else {
			f.slow = remove(f.slow, slices.Index(f.slow, c))
		}
		if len(f.members)+len(f.slow) == 0 {
			delete(b.feeds, c.feedKey)
		}
	}
	c.sensors = sensors
	if sensors == 0 {
		c.forget()
		return
	}
	f := b.feeds[c.feedKey]
	if f == nil {
		f = &feed{feedKey: c.feedKey}
		b.feeds[c.feedKey] = f
	}
	c.base = f.totals
	if c.waiting != nil {
		f.slow = append(f.slow, c)
	} else {
		f.members = append(f.members, member{c.out, c})
	}
}

// statsOf returns a session's account. b.mu is held.
func (b *broadcaster) statsOf(c *session) wire.Stats {
	if f := b.feeds[c.feedKey]; f != nil && c.sensors != 0 {
		c.settle(f.totals)
	}
	return c.stats()
}

// accounts returns the sum of all clients' accounts, and how many readings
// waited for clients that have left.
func (b *broadcaster) accounts() (sum wire.Stats, abandoned uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	sum = b.departed
	for _, c := range b.sessions {
		sum = sum.Add(b.statsOf(c))
	}
	return sum, b.abandoned
}

// Hello is what a client is greeted with.
func (b *broadcaster) Hello() wire.Hello {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.hello()
}

// hello is Hello. b.mu is held.
func (b *broadcaster) hello() wire.Hello {
	hello := wire.Hello{
		Server: "gateway", Version: b.s.opts.Version, Epoch: b.epoch, Time: time.Now().UnixMilli(),
		Simulated: b.s.opts.Simulated, ClockSynced: b.s.opts.ClockSynced(),
		Sensors: slices.Clone(b.s.opts.Sensors), Motors: b.s.opts.Motors.States(),
	}
	for i := range hello.Sensors {
		hello.Sensors[i].NextSeq = b.next(i)
		hello.Sensors[i].Values = hello.Sensors[i].Quantities()
	}
	return hello
}

// next returns the sequence number of a sensor's next record. b.mu is held.
func (b *broadcaster) next(i int) uint32 {
	if b.known.has(uint16(i)) {
		return b.last[i].Seq + 1
	}
	return b.s.opts.Sensors[i].NextSeq
}

// index returns a sensor's index by its name, -1 if there is none.
func (b *broadcaster) index(name string) int {
	return slices.IndexFunc(b.s.opts.Sensors, func(s wire.SensorInfo) bool { return s.Name == name })
}

// carries returns why readings.v1 cannot carry a sensor's readings, nil if it can.
func (b *broadcaster) carries(i int) error {
	if s := &b.s.opts.Sensors[i]; !s.InV1() {
		return wire.Errorf(http.StatusUnprocessableEntity, "%s carries temperature and humidity only: for %s use %s", wire.ReadingsV1, s.Name, wire.ReadingsV2)
	}
	return nil
}

// Newest returns the last record of a sensor, if there has been one.
func (b *broadcaster) Newest(i int) (wire.Record, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.last[i], b.known.has(uint16(i))
}

// Ready tells whether who connects would get readings, and why not.
func (b *broadcaster) Ready() (reason string, ok bool) {
	if b.s.stopping.Load() {
		return "shutting down", false
	}
	return b.quality()
}

// quality tells how many sensors measure, and what ails the others.
func (b *broadcaster) quality() (reason string, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	good, ill := 0, []string{}
	for i, s := range b.s.opts.Sensors {
		switch {
		case !b.known.has(uint16(i)):
			ill = append(ill, s.Name+": no reading yet")
		case b.last[i].Fault != wire.Good:
			ill = append(ill, s.Name+": "+b.last[i].Fault.String())
		default:
			good++
		}
	}
	reason = fmt.Sprintf("%d of %d sensors measure", good, len(b.s.opts.Sensors))
	if len(ill) > 0 {
		reason += " (" + strings.Join(ill, ", ") + ")"
	}
	return reason, good > 0
}

// each calls f for every session.
func (b *broadcaster) each(f func(*session)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, c := range b.sessions {
		f(c)
	}
}

// check is each session's heartbeat: no client has a timer of its own.
func (b *broadcaster) check(now time.Time, all bool) {
	var metrics []byte
	if all && b.s.watchers.Load() > 0 {
		metrics = conn.AppendFrame(nil, conn.OpText, wire.JSON(wire.Envelope{Type: "metrics", Payload: b.s.opts.Metrics()}))
	}
	b.each(func(c *session) {
		if driving := c.commanded.Load() && b.s.opts.Motors.Running(c.ID); driving != c.driving {
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
			c.sendJSON(wire.Envelope{Type: "stats", Payload: b.statsOf(c)})
		}
	})
	if all {
		b.mu.Lock()
		defer b.mu.Unlock()
		for _, f := range b.feeds {
			f.retry() // for sensors whose next tick is far
		}
	}
}

// send sends a message to those who asked for its kind. b.mu is held.
func (b *broadcaster) send(e wire.Envelope, who func(*session) bool) {
	var frame []byte
	for _, c := range b.sessions {
		if who(c) {
			if frame == nil {
				frame = conn.AppendFrame(nil, conn.OpText, wire.JSON(e))
			}
			_, _ = c.out.Write(frame) // as in session.send
		}
	}
}

// setEpoch is rare enough to send everybody away who counts.
func (b *broadcaster) setEpoch(epoch string) {
	b.mu.Lock()
	b.epoch = epoch
	b.mu.Unlock()
	b.farewell(func(c *session) bool { return c.protocol == wire.ReadingsV2 || c.protocol == wire.ReadingsJSON })
}

// restartStreams waits until all ticks are broadcast that were published before:
// who comes anew gets none of them.
func (b *broadcaster) restartStreams() {
	for range backlog {
		select {
		case tick := <-b.free:
			defer func() { b.free <- tick }()
		case <-b.done:
			return
		}
	}
	b.farewell(func(c *session) bool { return c.sensors != 0 || c.replay != nil })
}

func (b *broadcaster) restart() { b.farewell(func(*session) bool { return true }) }

// farewell closes sessions with 1012, each with its own time to come back at:
// one after the other from half a second on, within 4 s if they are not too many.
func (b *broadcaster) farewell(whom func(*session) bool) {
	n := 0
	b.each(func(*session) { n++ })
	step := max(4000/max(n, 1), 1)
	i := 0
	b.each(func(c *session) {
		if whom(c) {
			c.close(wire.CloseServiceRestart, retryReason(500+i*step))
			i++
		}
	})
}

func (b *broadcaster) cutAll() { b.each(func(c *session) { c.out.Close() }) }

func retryReason(ms int) string { return fmt.Sprintf("Service restart; retry_ms=%d", ms) }
