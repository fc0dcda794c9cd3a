package gateway

import (
	"math"
	"slices"
	"time"

	"sensorgateway/gateway/conn"
	"sensorgateway/gateway/limit"
	"sensorgateway/gateway/window"
	"sensorgateway/wire"
)

const (
	// At most maxReplays run at a time, each for replayTime before it is the turn of
	// the next one: a reader takes tens of kilobytes a sensor, and after an outage all
	// clients reconnect at once.
	maxReplays = 16
	replayTime = time.Second
	// lull is how long a replay waits for the connection, or for the disk.
	lull = 2 * time.Millisecond
	// With a slow disk, a record that must be there may become readable late. A replay
	// waits recordWithin for it while others come live, and silentWithin if the client
	// gets nothing meanwhile.
	recordWithin = 40 * time.Second
	silentWithin = 2 * time.Second
	// What comes late ([Options.Late]) has no such bound, so a replay that has asked for it
	// lateAsks times in vain gives up its turn for lateLull. maxLanes is how many lanes of a client
	// may wait like this: the gaps of a minute in which many ticks of some sensors are missing.
	lateLull = time.Second
	lateAsks = 64
	maxLanes = 512
)

// replay sends a client what it missed, sensor by sensor. Its goroutine lives
// while there are lanes.
type replay struct {
	c    *session
	stop chan struct{}
	done chan struct{}

	lanes []*lane // under the broadcaster's lock

	// For its goroutine alone.
	pace conn.Pace
	feed feed // one of its own, for its encoder
	late bool // there was nothing to send
}

// lane is what a client is still to get of one sensor's past.
type lane struct {
	sensor uint16
	after  uint32 // the last number that was sent, or counted as missed
	end    uint32 // the first number that comes live
	first  uint32 // the client knows that numbers before this one are lost
	topic  string // of the subscription
	single bool   // nothing comes live until this lane has caught up: it has no end yet
	since  int64  // the time from which a single lane is read
	any    bool   // a record of a single lane was sent
	asked  bool   // a client has asked for it, and Lacks or LacksSince has not been called yet

	// For the goroutine alone.
	mark   int64 // of the batch that the last record of a single lane was in
	ahead  int64 // of the batch that was read last
	next   func() ([]wire.Record, error)
	unsent []wire.Record // of the batch that was read last
	empty  time.Time     // since when there is nothing to read, although there must be
}

// left is how many numbers are to come; unknown, so 0, for a single lane.
func (l *lane) left() uint64 {
	if l.single {
		return 0
	}
	return uint64(l.end - 1 - l.after)
}

// run sends lane after lane, a batch of each in turn, until there is none left.
func (r *replay) run() error {
	defer close(r.done)
	b := r.c.s.broadcaster
	for more := true; more; {
		select {
		case b.replays <- struct{}{}:
		case <-r.stop:
			return nil
		}
		func() {
			defer func() { <-b.replays }() // also if it panics
			more = r.serve(time.Now().Add(b.replayTime))
		}()
		if more && r.late && !r.wait(lateLull) {
			return nil
		}
	}
	return nil
}

// serve sends what can be sent until the deadline, and returns whether there is more.
func (r *replay) serve(deadline time.Time) bool {
	var mine []*lane // those that hold a reader
	defer func() {
		for _, l := range mine {
			l.next, l.unsent = nil, nil
		}
	}()
	r.late = r.c.s.opts.Late // until there is something to send
	for n := 0; n == 0 || time.Now().Before(deadline); n++ {
		l := r.pick(n)
		if l == nil {
			return false
		}
		if l.next == nil {
			l.next, mine = r.open(l), append(mine, l)
		}
		if len(l.unsent) == 0 && !r.readShare(l) || !r.pace.Ready(r.c.out) || !r.send(l) {
			if !r.wait(lull) {
				return false
			}
		}
		r.late = r.late && len(l.unsent) == 0 && !l.empty.IsZero()
		if r.late && n >= lateAsks {
			return true
		}
	}
	return true
}

// pick returns the n-th lane that is to be served, nil when there is none left, which ends the replay.
func (r *replay) pick(n int) *lane {
	b := r.c.s.broadcaster
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(r.lanes) == 0 {
		if r.c.replay == r {
			r.c.replay = nil
		}
		return nil
	}
	var heads []*lane // a sensor's lanes come one after the other
	var seen sensorSet
	for _, l := range r.lanes {
		if !seen.Has(l.sensor) {
			heads, seen = append(heads, l), seen|1<<l.sensor
		}
	}
	return heads[n%len(heads)]
}

func (r *replay) open(l *lane) func() ([]wire.Record, error) {
	if l.asked && r.c.s.opts.LacksSince != nil {
		if l.single {
			r.c.s.opts.Lacks(l.sensor, l.since, math.MaxInt64, true)
		} else {
			r.c.s.opts.LacksSince(l.sensor, l.after)
		}
		l.asked = false
	}
	if !l.single {
		return r.c.s.opts.History.Since(l.sensor, l.after)
	}
	next := r.c.s.opts.History.Follow(l.sensor, l.since, l.mark, l.after)
	return func() (batch []wire.Record, err error) {
		batch, l.ahead, err = next()
		return batch, err
	}
}

// wait waits, and returns false if the client has left meanwhile.
func (r *replay) wait(pause time.Duration) bool {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-r.stop:
		return false
	}
}

// readShare is read, within the share of the processor that all readers have together.
func (r *replay) readShare(l *lane) bool {
	slice := limit.Slice{Share: r.c.s.share}
	slice.Begin(r.c.s.ctx)
	defer slice.End()
	return r.read(l)
}

// read reads a lane's next batch, and returns whether there is something to send.
func (r *replay) read(l *lane) bool {
	beyond := false // the history has what comes after the lane
	for stale := true; stale; {
		batch, err := l.next()
		if err != nil {
			batch = nil // the end, or what cannot be read: Kept knows what is lost
		}
		l.unsent = batch
		if !l.single {
			l.unsent = l.due(batch)
		}
		beyond = len(batch) > 0 && !wire.Before(batch[len(batch)-1].Seq, l.end)
		stale = len(l.unsent) == 0 && len(batch) > 0 && !beyond
	}
	if len(l.unsent) > 0 {
		l.empty = time.Time{}
		return true
	}
	if l.empty.IsZero() {
		l.empty = time.Now()
	}
	r.atEnd(l, time.Since(l.empty), beyond)
	return false
}

// due returns the records of a batch that a lane is still to get: what is beyond its
// end comes live. A number that is repeated or out of order, as in a damaged history,
// is dropped: the client has it, or its account counts it as missed.
func (l *lane) due(batch []wire.Record) []wire.Record {
	last := l.after
	drop := func(r wire.Record) bool {
		if !wire.Before(last, r.Seq) || !wire.Before(r.Seq, l.end) {
			return true
		}
		last = r.Seq
		return false
	}
	i := slices.IndexFunc(batch, drop)
	if i < 0 {
		return batch
	}
	return append(batch[:i:i], slices.DeleteFunc(slices.Clone(batch[i:]), drop)...)
}

// atEnd ends a lane that has caught up, or whose next record has not appeared for so
// long that it counts as lost. Late records come in order: once the history has records
// beyond a lane, those that are missing in the lane were never made.
func (r *replay) atEnd(l *lane, silent time.Duration, beyond bool) {
	b, c := r.c.s.broadcaster, r.c
	b.mu.Lock()
	defer b.mu.Unlock()
	if !slices.Contains(r.lanes, l) {
		return
	}
	if l.single {
		// It has caught up when its last record is the newest: the next one comes live.
		newest, known := b.last[l.sensor], b.known.Has(l.sensor)
		whole := l.any && l.after+1 == b.next(int(l.sensor)) // even if there has been no tick since the start
		if whole || !l.any && (!known || newest.UnixMilli < l.since) || silent >= silentWithin {
			r.drop(l)
			b.move(c, c.sensors|1<<l.sensor)
		}
		return
	}
	first := c.s.opts.History.Kept(l.sensor, l.after)
	if late := c.s.opts.Late; late && beyond || !late && silent >= recordWithin {
		first = l.end
	}
	if !wire.Before(first, l.end) {
		r.lost(l, l.end)
		c.Miss(l.left())
		r.drop(l)
	}
}

// drop ends a lane. b.mu is held.
func (r *replay) drop(l *lane) {
	r.lanes = slices.DeleteFunc(r.lanes, func(other *lane) bool { return other == l })
}

// lost tells the client that numbers before first are lost, unless it knows. b.mu is held.
func (r *replay) lost(l *lane, first uint32) {
	if first == l.after+1 || !wire.Before(l.first, first) {
		return
	}
	l.first = first
	recovered := false
	r.c.sendJSON(wire.Envelope{Type: wire.TypeSubscribed, Payload: wire.Subscribed{
		Topic: l.topic, Recovered: &recovered, From: map[string]uint32{r.c.s.opts.Sensors[l.sensor].Name: first}}})
}

// send sends the beginning of a lane's batch, and returns false if the connection
// does not take it now, or has something live to take first.
func (r *replay) send(l *lane) bool {
	b, c := r.c.s.broadcaster, r.c
	n := min(len(l.unsent), window.RecordsIn(r.pace.Batch(), c.protocol))
	r.feed.encode(l.unsent[:n], c.s.opts.Sensors)
	last := l.unsent[n-1].Seq
	b.mu.Lock()
	defer b.mu.Unlock()
	if !slices.Contains(r.lanes, l) {
		l.unsent = nil
		return true // it was cancelled
	}
	if c.Waiting != nil {
		return false
	}
	if !l.single {
		r.lost(l, soonest(c.s.opts.History.Kept(l.sensor, l.after), l.end))
	}
	if !c.out.Offer(r.feed.Frame) {
		return false
	}
	b.frames.Add(int64(r.feed.Frames))
	if l.single {
		c.Settled.Produced += uint64(n)
		l.mark, l.any = l.ahead, true
	} else {
		passed := uint64(last - l.after)
		c.Miss(passed - uint64(n))
		c.Pending -= uint64(n)
	}
	c.Settled.Delivered += uint64(n)
	l.after, l.unsent = last, l.unsent[n:]
	if !l.single && l.after == l.end-1 {
		r.drop(l)
	}
	return true
}
