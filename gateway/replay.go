package gateway

import (
	"maps"
	"net/http"
	"slices"
	"sort"
	"time"

	"sensorgateway/gateway/api"
	"sensorgateway/gateway/conn"
	"sensorgateway/wire"
)

// History is the readings that are retained. Its readers return a batch, which is
// good until the next call, and io.EOF at the present end, after which more may
// come. Records of the past carry [wire.Historical].
type History interface {
	Retained
	Replayer
	api.History // queries
}

// Retained is which numbers of the present epoch can be replayed. Both methods are
// quick, for a lock is held.
type Retained interface {
	// Kept returns the lowest number beyond after from which on nothing is lost.
	Kept(sensor uint16, after uint32) (from uint32)
	// Oldest returns the first number.
	Oldest(sensor uint16) (seq uint32, ok bool)
}

// A Replayer reads for clients that resume.
type Replayer interface {
	// Since reads the records of this epoch beyond after, in order.
	Since(sensor uint16, after uint32) (next func() ([]wire.Record, error))
	// Follow reads the records made at from or later, Unix milliseconds, of whatever
	// epoch, and does not end. Each batch has a mark. A later Follow with the mark of
	// a batch and the number of a record in it reads what comes behind that record,
	// even if time was set back meanwhile. Mark 0 is the beginning.
	Follow(sensor uint16, from, mark int64, after uint32) (next func() (records []wire.Record, mark int64, err error))
}

const (
	// maxReplays are under way at a time, each for replayTime before the next one's
	// turn comes: a reader takes tens of kilobytes a sensor, and after an outage all
	// clients reconnect at once.
	maxReplays = 16
	replayTime = time.Second
	// lull is how long a replay waits for the connection, or for the disk.
	lull = 2 * time.Millisecond
	// A slow disk may show a record late that must be there. recordWithin is how long a
	// replay waits for it while others come live, silentWithin how long if the client
	// gets nothing meanwhile.
	recordWithin = 40 * time.Second
	silentWithin = 2 * time.Second
)

// replay is a client's second lane: what it missed, sensor by sensor, beside
// what is live or before it. Its goroutine lives while there are lanes.
type replay struct {
	c    *session
	stop chan struct{}
	done chan struct{}

	lanes []*lane // under the broadcaster's lock

	// The goroutine's.
	pace conn.Pace
	feed feed // one of its own, for its encoder
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
	any    bool   // a single lane has had a record

	// The goroutine's.
	mark   int64 // of the batch that a single lane had its last record from
	ahead  int64 // and of the one at hand
	next   func() ([]wire.Record, error)
	unsent []wire.Record // of the batch that was read last
	empty  time.Time     // since when there is nothing to read, although there must be
}

// left is how many numbers are to come. A single lane does not know.
func (l *lane) left() uint64 {
	if l.single {
		return 0
	}
	return uint64(l.end - 1 - l.after)
}

// resume answers what a client asks of the past, and returns the sensors whose
// stream begins anew and the lanes that will bring what they had. b.mu is held.
func (b *broadcaster) resume(sub wire.Subscription, sensors sensorSet, answer *wire.Subscribed) (anew sensorSet, lanes []*lane, err error) {
	if sub.Since == nil {
		return 0, nil, nil
	}
	from := map[string]uint32{}
	for _, name := range slices.Sorted(maps.Keys(sub.Since)) {
		i := b.index(name)
		if i < 0 {
			return 0, nil, wire.Errorf(http.StatusNotFound, "Unknown sensor: %s", name)
		}
		if !sensors.has(uint16(i)) {
			return 0, nil, wire.Errorf(http.StatusUnprocessableEntity, "since: %s is not in the topic %s", name, sub.Topic)
		}
		sensor, after, next := uint16(i), sub.Since[name], b.next(i)
		anew |= 1 << sensor
		first := next // the first that can still be had
		switch log := b.s.opts.History; {
		case sub.Epoch != b.epoch:
			if log != nil {
				if oldest, ok := log.Oldest(sensor); ok && wire.Before(oldest, next) {
					after, first = oldest-1, log.Kept(sensor, oldest-1)
				}
			}
			from[name] = soonest(first, next)
		case !wire.Before(after, next): // the future: numbers that were never made
			from[name] = next
		default:
			if log != nil {
				first = log.Kept(sensor, after)
			}
			if first != after+1 {
				from[name] = soonest(first, next)
			}
		}
		// Behind a loss in the middle there may be more to have.
		if wire.Before(after+1, next) && b.s.opts.History != nil && (sub.Epoch == b.epoch || first != next) {
			lanes = append(lanes, &lane{sensor: sensor, after: after, end: next, first: first, topic: sub.Topic})
		}
	}
	recovered := len(from) == 0
	answer.Recovered, answer.From = &recovered, from
	return anew, lanes, nil
}

// soonest returns the lower of two numbers.
func soonest(a, b uint32) uint32 {
	if wire.Before(a, b) {
		return a
	}
	return b
}

// follow sends a client the retained readings of its one sensor since a time, and
// then what comes live, in one lane.
func (b *broadcaster) follow(c *session, sensor uint16, since int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.s.opts.History == nil {
		b.move(c, 1<<sensor)
		return
	}
	b.replay(c, 1<<sensor, []*lane{{sensor: sensor, single: true, since: since}})
}

// following returns the sensors that come live once a lane has caught up.
// b.mu is held.
func (c *session) following() (set sensorSet) {
	if c.replay != nil {
		for _, l := range c.replay.lanes {
			if l.single {
				set |= 1 << l.sensor
			}
		}
	}
	return set
}

// replay restarts the streams of some sensors: with new lanes, if there are any,
// in the place of those that they had. b.mu is held.
func (b *broadcaster) replay(c *session, anew sensorSet, lanes []*lane) {
	b.cancel(c, anew)
	for _, l := range lanes {
		c.settled.Produced += l.left()
		c.pending += l.left()
	}
	switch {
	case len(lanes) == 0:
	case c.replay != nil:
		c.replay.lanes = append(c.replay.lanes, lanes...)
	default:
		c.replay = &replay{c: c, stop: make(chan struct{}), done: make(chan struct{}), lanes: lanes}
		c.replay.feed.feedKey = feedKey{c.protocol, ^sensorSet(0)}
		go c.replay.run()
	}
}

// cancel removes the lanes of some sensors, and their part of a slow client's
// window: it is no longer due. b.mu is held.
func (b *broadcaster) cancel(c *session, sensors sensorSet) {
	if c.waiting != nil {
		c.settled.Produced -= uint64(c.waiting.drop(sensors))
	}
	if c.replay == nil {
		return
	}
	c.replay.lanes = slices.DeleteFunc(c.replay.lanes, func(l *lane) bool {
		if !sensors.has(l.sensor) {
			return false
		}
		c.settled.Produced -= l.left()
		c.pending -= l.left()
		return true
	})
}

// run sends lane after lane, a batch of each in turn, until there is none left.
func (r *replay) run() {
	defer close(r.done)
	b := r.c.s.broadcaster
	for more := true; more; {
		select {
		case b.replays <- struct{}{}:
		case <-r.stop:
			return
		}
		more = r.serve(time.Now().Add(b.replayTime))
		<-b.replays
	}
}

// serve sends what can be sent until the deadline, and returns whether there is more.
func (r *replay) serve(deadline time.Time) bool {
	var mine []*lane // those that hold a reader
	defer func() {
		for _, l := range mine {
			l.next, l.unsent = nil, nil
		}
	}()
	for n := 0; n == 0 || time.Now().Before(deadline); n++ {
		l := r.pick(n)
		if l == nil {
			return false
		}
		if l.next == nil {
			l.next, mine = r.open(l), append(mine, l)
		}
		if len(l.unsent) == 0 && !r.read(l) || !r.pace.Ready(r.c.out) || !r.send(l) {
			if !r.wait() {
				return false
			}
		}
	}
	return true
}

// pick returns the n-th lane, nil when there is none left, which ends the replay.
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
	return r.lanes[n%len(r.lanes)]
}

func (r *replay) open(l *lane) func() ([]wire.Record, error) {
	if !l.single {
		return r.c.s.opts.History.Since(l.sensor, l.after)
	}
	next := r.c.s.opts.History.Follow(l.sensor, l.since, l.mark, l.after)
	return func() (batch []wire.Record, err error) {
		batch, l.ahead, err = next()
		return batch, err
	}
}

// wait waits a moment, and returns false if the client has left meanwhile.
func (r *replay) wait() bool {
	timer := time.NewTimer(lull)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-r.stop:
		return false
	}
}

// read reads a lane's next batch, and returns whether there is something to send.
func (r *replay) read(l *lane) bool {
	var err error
	if l.unsent, err = l.next(); err != nil {
		l.unsent = nil // the end, or what cannot be read: Kept knows what is lost
	}
	if !l.single { // what is beyond its end comes live
		l.unsent = l.unsent[:sort.Search(len(l.unsent), func(i int) bool { return !wire.Before(l.unsent[i].Seq, l.end) })]
	}
	if len(l.unsent) > 0 {
		l.empty = time.Time{}
		return true
	}
	if l.empty.IsZero() {
		l.empty = time.Now()
	}
	r.atEnd(l, time.Since(l.empty))
	return false
}

// atEnd decides what it means that there has been nothing to read for so long.
func (r *replay) atEnd(l *lane, silent time.Duration) {
	b, c := r.c.s.broadcaster, r.c
	b.mu.Lock()
	defer b.mu.Unlock()
	if !slices.Contains(r.lanes, l) {
		return
	}
	if l.single {
		// It has all when it has the newest, and not one more: that comes live.
		newest, known := b.last[l.sensor], b.known.has(l.sensor)
		whole := l.any && l.after+1 == b.next(int(l.sensor)) // of a start without ticks too
		if whole || !l.any && (!known || newest.UnixMilli < l.since) || silent >= silentWithin {
			r.drop(l)
			b.move(c, c.sensors|1<<l.sensor)
		}
		return
	}
	first := c.s.opts.History.Kept(l.sensor, l.after)
	if silent >= recordWithin {
		first = l.end
	}
	if !wire.Before(first, l.end) {
		r.lost(l, l.end)
		c.missing(l.left())
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
	r.c.sendJSON(wire.Envelope{Type: "subscribed", Payload: wire.Subscribed{
		Topic: l.topic, Recovered: &recovered, From: map[string]uint32{r.c.s.opts.Sensors[l.sensor].Name: first}}})
}

// send sends the beginning of a lane's batch, and returns false if the connection
// does not take it now, or has something live to take first.
func (r *replay) send(l *lane) bool {
	b, c := r.c.s.broadcaster, r.c
	n := min(len(l.unsent), recordsIn(r.pace.Batch(), c.protocol))
	r.feed.encode(l.unsent[:n], c.s.opts.Sensors)
	last := l.unsent[n-1].Seq
	b.mu.Lock()
	defer b.mu.Unlock()
	if !slices.Contains(r.lanes, l) {
		l.unsent = nil
		return true // it was cancelled
	}
	if c.waiting != nil {
		return false
	}
	if !l.single {
		r.lost(l, soonest(c.s.opts.History.Kept(l.sensor, l.after), l.end))
	}
	if !c.out.Offer(r.feed.frame) {
		return false
	}
	b.frames.Add(int64(r.feed.frames))
	if l.single {
		c.settled.Produced += uint64(n)
		c.settled.Delivered += uint64(n)
	} else {
		passed := uint64(last - l.after)
		c.missing(passed - uint64(n))
		c.pending -= uint64(n)
		c.settled.Delivered += uint64(n)
	}
	if l.single {
		l.mark, l.any = l.ahead, true
	}
	l.after, l.unsent = last, l.unsent[n:]
	if !l.single && l.after == l.end-1 {
		r.drop(l)
	}
	return true
}
