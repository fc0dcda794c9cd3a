package sensors

import (
	"context"
	"math"
	"time"
)

// mutex is a lock for which testing/synctest knows that a goroutine waits, unlike for a
// [sync.Mutex].
type mutex chan struct{}

func (m mutex) Lock()   { m <- struct{}{} }
func (m mutex) Unlock() { <-m }

// schedule waits for timeouts, and for deadlines that no probe waits for, until all ticks that
// began before the end of ctx are finished.
func (s *Sampler) schedule(ctx context.Context) {
	deputy := s.deputy
	defer deputy.Close()
	defer func() {
		s.mu.Lock()
		s.deputy = nil
		s.mu.Unlock()
	}()
	stop := s.guard(func(context.Context) error { s.stop(); return nil })
	defer context.AfterFunc(ctx, func() { _ = stop(ctx) })()
	for s.advanced() {
		deputy.Wait()
	}
}

// exchange takes what a probe has measured, waits for its next job, and stores that in j. It
// returns false after a stop: there are no more jobs. An idle probe whose own deadline is the
// next one waits for that, and then wakes the other probes.
func (s *Sampler) exchange(sl *slot, j *job, measured bool) bool {
	for ; ; measured = false {
		given, timed, ended := s.offer(sl, j, measured)
		switch {
		case given || ended:
			return given
		case timed:
			s.deadline.Wait()
		default:
			<-sl.called
		}
	}
}

// offer takes the probe's result, if it has measured. Then it gives it a job, or has it wait
// for the next deadline (timed), or says that there are no more jobs (ended).
func (s *Sampler) offer(sl *slot, j *job, measured bool) (given, timed, ended bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.timed == sl {
		s.timed = nil
	}
	if measured {
		s.arrived(j)
	}
	now := s.clock.Boot()
	s.progress(now, sl)
	if timed = !sl.given && !s.stopping && s.timed == nil && sl.next <= s.earliest(); timed {
		s.timed = sl
		s.deadline.WakeIn(sl.next - now)
	}
	s.arm(now)
	if given = sl.given; given {
		*j, sl.given = sl.job, false
	}
	return given, timed, s.stopping && !given
}

// call wakes a waiting probe, so that it looks for its job. s.mu is held.
func (s *Sampler) call(sl *slot) {
	if s.timed == sl {
		s.deadline.WakeIn(0)
		return
	}
	select {
	case sl.called <- struct{}{}:
	default: // it was called already, and has not woken up yet
	}
}

// advanced begins the ticks that are due, and returns whether there is something to wait for.
func (s *Sampler) advanced() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.advance()
	return !s.ended()
}

// stop prevents that further ticks begin.
func (s *Sampler) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopping = true
	s.hurry(s.clock.Boot())
	for _, sl := range s.slots {
		s.call(sl)
	}
	s.advance()
}

// ended returns whether no tick will begin, and none is under way. s.mu is held.
func (s *Sampler) ended() bool { return s.stopping && len(s.open) == 0 }

// advance processes what is due, and sets when to wake next. s.mu is held.
func (s *Sampler) advance() {
	now := s.clock.Boot()
	s.progress(now, nil)
	s.arm(now)
}

// progress expires, begins and publishes what is due. awake is the probe that calls it, or nil. s.mu is held.
func (s *Sampler) progress(now time.Duration, awake *slot) {
	if s.deputy == nil { // schedule has ended
		return
	}
	s.expire(now)
	if !s.stopping {
		s.begin(now, awake)
	}
	s.close(now)
	s.beats.Add(1)
}

// arm sets when schedule wakes. s.mu is held.
func (s *Sampler) arm(now time.Duration) {
	if s.deputy != nil {
		s.deputy.WakeIn(s.untilNext(now))
	}
}

// earliest returns the next deadline. s.mu is held.
func (s *Sampler) earliest() time.Duration {
	at := time.Duration(math.MaxInt64)
	for _, sl := range s.slots {
		at = min(at, sl.next)
	}
	return at
}

// untilNext returns how long schedule may sleep. Until then nothing needs it: results, and a
// deadline that a probe waits for, are processed by the probes.
func (s *Sampler) untilNext(now time.Duration) time.Duration {
	d := maxIdle
	if s.ended() {
		d = 0
	}
	if !s.stopping {
		next := s.earliest()
		if s.timed != nil && s.timed.next <= next {
			next += deputyAfter
		}
		d = min(d, next-now)
	}
	for _, sl := range s.slots {
		if sl.pending {
			d = min(d, sl.expires-now)
		}
	}
	for _, b := range s.open {
		if len(b.records) > 0 {
			d = min(d, b.deadline+closeAfter-now)
		}
	}
	return max(d, 0)
}
