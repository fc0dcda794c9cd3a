package ship

import (
	"context"
	"slices"
	"time"
)

const (
	pollTime = 5 * time.Second // how often the log is asked for more
	minPause = time.Second
	maxPause = time.Minute
)

// answer is the answer to a message.
type answer struct {
	ticket
	flights []*flight
	reason  byte
	err     error
}

// run is the work of one connection.
type run struct {
	*Shipper
	link    Link
	flow    flow
	streams []*stream
	answers chan answer
	pause   time.Duration    // how long the next pause is
	paused  <-chan time.Time // the end of the present pause; nil: there is none
	held    bool             // nothing is sent until the pause is over and all that is under way is answered
	probe   bool             // one message is sent alone
	headsAt time.Time        // when heads of blocks are sent again
	// headsSent says that some heads were sent since they were due.
	headsSent bool
}

// Run sends what the log has and will have, until ctx ends, which is no error, or the
// connection does.
func (s *Shipper) Run(ctx context.Context, link Link) error {
	r := &run{Shipper: s, link: link, answers: make(chan answer, maxFlying), pause: minPause}
	defer s.waitFor("", 0)
	defer func() {
		for r.flow.messages > 0 { // they end with ctx, or the connection
			_ = r.took(<-r.answers)
		}
	}()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	poll := time.NewTicker(pollTime)
	defer poll.Stop()
	r.refill()
	for {
		r.send(ctx)
		select {
		case a := <-r.answers:
			if err := r.took(a); err != nil && ctx.Err() == nil {
				return err
			}
		case <-r.paused:
			r.paused = nil
		case <-poll.C:
			r.refill()
		case <-ctx.Done():
			return nil
		}
	}
}

// refill asks the log for more.
func (r *run) refill() {
	for _, x := range r.streams {
		x.ended = false
	}
	for _, name := range r.o.Feed.Names() {
		if !slices.ContainsFunc(r.streams, func(x *stream) bool { return x.name == name }) {
			r.streams = append(r.streams, r.open(name))
		}
	}
}

// send sends what there is, as long as there is room in the line.
func (r *run) send(ctx context.Context) {
	if r.held && r.paused == nil && r.flow.messages == 0 { // begin again at the cursors
		r.streams, r.held, r.probe = nil, false, true
		r.refill()
	}
	if r.held || r.probe && r.flow.messages > 0 {
		return
	}
	if r.spent(r.flow.flying) {
		if r.flow.messages == 0 {
			r.sendHeads(ctx)
		}
		return
	}
	if r.waits(Budget) {
		r.waitFor("", 0)
	}
	limit := min(r.flow.message(), r.link.limit())
	for x := r.oldest(limit); x != nil; x = r.oldest(limit) {
		if !r.flow.fits(min(limit, len(x.pieces[0].bytes))) || r.spent(r.flow.flying) {
			return
		}
		m, flights := r.message(limit)
		r.start(ctx, m, flights, r.oldest(limit) == nil)
		if r.probe {
			return
		}
	}
}

// message makes the next message: the oldest blocks of a stream, then the next oldest, as long
// as there is room. So one message has a minute of all sensors.
func (r *run) message(limit int) (m Message, flights []*flight) {
	for x := r.oldest(limit); x != nil; x = r.oldest(limit) {
		room := limit - len(m.Payload)
		if len(flights) > 0 {
			if room -= partRoom; len(x.pieces[0].bytes) > room {
				break
			}
		}
		r.fill(x, room, limit)
		f := x.take(&m, room)
		x.flying = append(x.flying, f)
		flights = append(flights, f)
	}
	return m, flights
}

// start sends a message. limited: no other is ready to follow it.
func (r *run) start(ctx context.Context, m Message, flights []*flight, limited bool) {
	t := r.flow.sent(len(m.Payload), limited, time.Now())
	go func() {
		reason, err := r.link.Publish(ctx, m)
		r.answers <- answer{t, flights, reason, err} // there is room for all that can be under way
	}()
}

// oldest returns the stream whose next block is the oldest, nil if there is none.
func (r *run) oldest(limit int) (oldest *stream) {
	for _, x := range r.streams {
		r.fill(x, 1, limit)
		if len(x.pieces) > 0 && (oldest == nil || x.pieces[0].from < oldest.pieces[0].from) {
			oldest = x
		}
	}
	return oldest
}

// took takes the answer to a message.
func (r *run) took(a answer) error {
	confirmed := a.err == nil && a.reason == success
	r.flow.done(a.ticket, confirmed, time.Now())
	switch {
	case a.err != nil:
		return a.err
	case !confirmed:
		r.refused(a.reason)
		return nil
	case !r.held:
		r.probe, r.pause = false, minPause
		if !a.flights[0].heads { // after heads, it still waits for the budget
			r.waitFor("", 0)
		}
	}
	for _, f := range a.flights {
		f.confirmed = true
		x := f.stream
		if f.heads {
			r.confirmed(f)
			continue
		}
		n := 0
		for n < len(x.flying) && x.flying[n].confirmed {
			r.confirmed(x.flying[n])
			n++
		}
		x.flying = slices.Delete(x.flying, 0, n)
	}
	return nil
}

// confirmed moves the cursor: everything before f is confirmed too.
func (s *Shipper) confirmed(f *flight) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f.heads {
		s.state.Summarised.move(f.through)
	} else {
		s.state.Sent.move(f.through)
	}
	s.edited(f.size)
}

// refused begins a pause. Afterwards all that is not confirmed is sent again.
func (r *run) refused(reason byte) {
	if r.held { // another answer has begun the pause
		return
	}
	r.held, r.paused = true, time.After(r.pause)
	r.pause = min(2*r.pause, maxPause)
	switch reason {
	case noSubscribers:
		r.waitFor(Unheard, reason)
	case quotaExceeded, implementation:
		r.waitFor(Full, reason)
	default:
		r.waitFor(Refused, reason)
	}
}

func (s *Shipper) waitFor(why Reason, code byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waiting, s.code = why, code
}

func (s *Shipper) waits(why Reason) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.waiting == why
}
