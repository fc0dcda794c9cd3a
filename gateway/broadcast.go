package gateway

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"sensorgateway/gateway/conn"
	"sensorgateway/gateway/window"
	"sensorgateway/wire"
)

const (
	// backlog is how many ticks' messages may wait for the broadcaster. It never
	// blocks, so this fills only when the machine is overloaded for seconds.
	backlog = 64
	// The goroutine that publishes a tick sends it itself if there are at most fewSessions
	// sessions and sending the tick before took at most fewTime. More sessions would delay
	// what that goroutine does next; on the slowest machines even these few would.
	fewSessions = 128
	fewTime     = time.Millisecond
)

// broadcaster sends each tick to all sessions: in its own goroutine, or, if the
// sessions are few and mu is free, in the publisher's, which saves waking a thread.
type broadcaster struct {
	s       *Server
	aSecond int // how often the timer has the sessions checked
	beats   atomic.Int64

	operators atomic.Int64 // sessions that have sent a command: checking one asks the motors, which may block

	full, free chan *[]wire.Record
	quit, done chan struct{}
	replays    chan struct{} // holds an element for each replay that is under way
	replayTime time.Duration // of a replay, until the next one has its turn

	frames atomic.Int64 // frames with readings that clients have taken

	mu         sync.Mutex // guards all below; held while a tick is broadcast, which never blocks
	epoch      string
	sessions   []*session
	feeds      map[feedKey]*feed
	last       []wire.Record // by sensor
	known      sensorSet     // sensors that have a record in last
	latecomers int           // clients that came while the server was stopping
	gaps       []uint32      // missed ticks before each record of the present tick
	checked    time.Time     // when the sessions were last checked with a tick
	took       time.Duration // to deliver the last tick

	departed  wire.Stats // the accounts of clients that have left
	abandoned uint64     // and the readings that were queued for them
}

func newBroadcaster(s *Server, aSecond int) *broadcaster {
	b := &broadcaster{
		s: s, aSecond: aSecond, checked: time.Now(), epoch: s.opts.Epoch, feeds: map[feedKey]*feed{}, last: make([]wire.Record, len(s.opts.Sensors)),
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

// publish broadcasts a tick. Ticks are broadcast in the order of the calls.
func (b *broadcaster) publish(records []wire.Record) {
	if b.publishToFew(records) {
		return
	}
	select {
	case tick := <-b.free:
		*tick = append((*tick)[:0], records...)
		b.full <- tick // does not block: it has room for all ticks
	case <-b.done:
	}
}

// publishToFew broadcasts a tick at once, if that takes very little time and waits for
// nobody. It returns whether it did.
func (b *broadcaster) publishToFew(records []wire.Record) bool {
	behind := len(b.free) < backlog // the goroutine has not broadcast all that it was given
	if behind || b.operators.Load() > 0 || !b.deliverToFew(records) {
		return false
	}
	b.checkWithTick()
	return true
}

func (b *broadcaster) deliverToFew(records []wire.Record) bool {
	if !b.mu.TryLock() {
		return false
	}
	defer b.mu.Unlock()
	if len(b.sessions) > fewSessions || b.took > fewTime || b.s.opts.Remote { // on a hub, one goroutine publishes for many gateways
		return false
	}
	b.deliver(records)
	return true
}

// run broadcasts, and checks the sessions when timer says so.
func (b *broadcaster) run(timer <-chan time.Time) {
	defer close(b.done)
	for checks := 1; ; {
		select {
		case tick := <-b.full:
			b.broadcast(*tick)
			b.free <- tick
			b.checkWithTick()
		case <-timer:
			b.check(time.Now(), checks%b.aSecond == 0)
			checks++
		case <-b.quit:
			return
		}
		b.beats.Add(1)
	}
}

// checkWithTick checks the sessions that must be checked more often than the timer says.
func (b *broadcaster) checkWithTick() {
	if b.aSecond == checksASecond {
		return
	}
	now := time.Now()
	b.mu.Lock()
	due := now.Sub(b.checked) >= checkEvery
	if due {
		b.checked = now
	}
	b.mu.Unlock()
	if due {
		b.check(now, false)
	}
}

func (b *broadcaster) stop() {
	close(b.quit)
	<-b.done
}

func (b *broadcaster) broadcast(records []wire.Record) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.deliver(records)
}

// deliver sends a tick to all sessions. It allocates nothing, except for slow
// clients, and waits for nobody. b.mu is held.
func (b *broadcaster) deliver(records []wire.Record) {
	begin := time.Now()
	for i, r := range records {
		b.gaps[i] = 0
		if b.known.Has(r.Sensor) {
			b.gaps[i] = uint32(max(int32(r.Seq-b.last[r.Sensor].Seq)-1, 0)) // numbers wrap
		}
		b.last[r.Sensor] = r
		b.known |= 1 << r.Sensor
	}
	for _, f := range b.feeds {
		f.encode(records, b.s.opts.Sensors)
		if len(f.Frame) == 0 {
			continue
		}
		before := f.Totals
		for i, r := range records {
			if f.sensors.Has(r.Sensor) {
				f.Records++
				f.Missed += uint64(b.gaps[i])
			}
		}
		f.send(before)
		b.frames.Add(int64(len(f.members) * f.Frames))
	}
	for _, f := range b.feeds { // after the quick sessions of all feeds
		if len(f.Frame) == 0 {
			continue
		}
		for _, c := range f.slow {
			c.Settle(f.Totals)
			f.conflate(c, records)
		}
		f.retry()
	}
	for i, r := range records {
		if b.s.opts.Late && b.gaps[i] > 0 {
			b.fill(r.Sensor, r.Seq-b.gaps[i]-1, r.Seq)
		}
	}
	b.took = time.Since(begin)
}

// join makes a session known, greets it and subscribes it. Nothing can come
// between the hello and the first record after its next_seq.
func (b *broadcaster) join(c *session) {
	b.mu.Lock()
	defer b.mu.Unlock()
	c.slot = len(b.sessions)
	b.sessions = append(b.sessions, c)
	if c.protocol == wire.ReadingsV2 || c.protocol == wire.ReadingsJSON {
		c.sendJSON(wire.Envelope{Type: wire.TypeHello, Payload: b.hello(c.Identity)})
	}
	set := c.sensors
	c.sensors = 0
	b.move(c, set)
	if b.s.stopping.Load() { // it came after all others were closed
		b.latecomers++
		c.close(wire.CloseServiceRestart, wire.CloseReasonRestart(5000+b.latecomers))
	}
}

// leave removes a session, and waits for the end of its replay.
func (b *broadcaster) leave(c *session) {
	if r := b.remove(c); r != nil {
		close(r.stop)
		<-r.done
	}
}

// remove removes a session and returns its replay, which the caller has to end.
func (b *broadcaster) remove(c *session) *replay {
	b.mu.Lock()
	defer b.mu.Unlock()
	final := b.statsOf(c)
	b.move(c, 0)
	b.abandoned += final.Queued
	final.Queued = 0
	b.departed = b.departed.Add(final)
	if c.commanded.Load() {
		b.operators.Add(-1)
	}
	b.sessions = removeAt(b.sessions, c.slot)
	if c.slot < len(b.sessions) {
		b.sessions[c.slot].slot = c.slot
	}
	if c.replay != nil {
		c.replay.lanes = nil // what it is still reading is not sent
	}
	return c.replay
}

// move subscribes a session to other sensors than before. b.mu is held.
func (b *broadcaster) move(c *session, sensors sensorSet) {
	if sensors == c.sensors {
		return
	}
	if f := b.feeds[c.feedKey]; c.sensors != 0 {
		c.Settle(f.Totals)
		if i := slices.IndexFunc(f.members, func(m member) bool { return m.c == c }); i >= 0 {
			f.members = removeAt(f.members, i)
		} else {
			f.slow = removeAt(f.slow, slices.Index(f.slow, c))
		}
		if len(f.members)+len(f.slow) == 0 {
			delete(b.feeds, c.feedKey)
		}
	}
	c.sensors = sensors
	if sensors == 0 {
		c.Cancel()
		return
	}
	f := b.feeds[c.feedKey]
	if f == nil {
		f = &feed{feedKey: c.feedKey}
		b.feeds[c.feedKey] = f
	}
	c.Base = f.Totals
	if c.Waiting != nil {
		f.slow = append(f.slow, c)
	} else {
		f.members = append(f.members, member{c.out, c})
	}
}

// hold makes a session slow whose client has not read what it was sent. b.mu is held.
func (b *broadcaster) hold(c *session) {
	c.lags = true
	if c.Waiting != nil {
		return
	}
	f := b.feeds[c.feedKey]
	c.Settle(f.Totals)
	c.Waiting = &window.Window{}
	f.members = removeAt(f.members, slices.IndexFunc(f.members, func(m member) bool { return m.c == c }))
	f.slow = append(f.slow, c)
}

// removeAt removes the i-th element. It does not keep the order.
func removeAt[T any](all []T, i int) []T {
	last := len(all) - 1
	all[i] = all[last]
	clear(all[last:]) // for the garbage collector
	return all[:last]
}

// each calls f for every session.
func (b *broadcaster) each(f func(*session)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, c := range b.sessions {
		f(c)
	}
}

// send sends a message to the sessions that subscribe to its kind.
func (b *broadcaster) send(e wire.Envelope, subscribed func(*session) bool) (sent bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	var frame []byte
	for _, c := range b.sessions {
		if subscribed(c) {
			if frame == nil {
				frame = conn.AppendFrame(nil, conn.OpText, wire.JSON(e))
			}
			_, _ = c.out.Write(frame) // as in session.send
		}
	}
	return frame != nil
}

// setEpoch closes every client that counts numbers. A new epoch is rare enough for that.
func (b *broadcaster) setEpoch(epoch string) {
	b.mu.Lock()
	b.epoch = epoch
	b.mu.Unlock()
	b.restart(func(c *session) bool { return c.protocol == wire.ReadingsV2 || c.protocol == wire.ReadingsJSON })
}

// restartStreams waits until all ticks that were published before have been broadcast:
// a client that connects again gets none of them.
func (b *broadcaster) restartStreams() {
	for range backlog {
		select {
		case tick := <-b.free:
			defer func() { b.free <- tick }()
		case <-b.done:
			return
		}
	}
	b.restart(func(c *session) bool { return c.sensors != 0 || c.replay != nil })
}

// restart closes sessions with 1012 and tells each when to reconnect: one after the
// other, from half a second on, within 4 s if they are not too many.
func (b *broadcaster) restart(chosen func(*session) bool) {
	n := 0
	b.each(func(*session) { n++ })
	step := max(4000/max(n, 1), 1)
	i := 0
	b.each(func(c *session) {
		if chosen(c) {
			c.close(wire.CloseServiceRestart, wire.CloseReasonRestart(500+i*step))
			i++
		}
	})
}

// restartAll closes all sessions with 1012, as restart does.
func (b *broadcaster) restartAll() { b.restart(func(*session) bool { return true }) }

// cutAll ends all connections at once.
func (b *broadcaster) cutAll() { b.each(func(c *session) { _ = c.out.Close() }) }
