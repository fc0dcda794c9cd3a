package sensors

import (
	"context"

	"sensorgateway/sensors/timer"
)

// turn is a mutex. (To testing/synctest, who waits for a channel waits, who waits for a
// [sync.Mutex] works.)
type turn chan struct{}

func (t turn) take() { t <- struct{}{} }
func (t turn) give() { <-t }

// schedule waits for deadlines until all ticks are finished that were begun before the
// end of ctx.
func (s *Sampler) schedule(ctx context.Context) {
	next := timer.NewAlarm(s.clock.Timers)
	defer next.Close()
	s.setAlarm(next)
	defer s.setAlarm(nil)
	stop := s.guard(func(context.Context) error { s.stop(); return nil })
	defer context.AfterFunc(ctx, func() { _ = stop(ctx) })()
	for s.begun() {
		next.Wait()
	}
}

func (s *Sampler) setAlarm(next *timer.Alarm) {
	s.turn.take()
	defer s.turn.give()
	s.next = next
}

// begun begins the ticks that are due, and returns whether there is something to wait for.
func (s *Sampler) begun() bool {
	s.turn.take()
	defer s.turn.give()
	s.advance()
	return !s.ended()
}

// result takes what a probe has measured.
func (s *Sampler) result(j *job) {
	s.turn.take()
	defer s.turn.give()
	s.arrived(j)
	s.advance()
}

// stop lets no tick begin any more.
func (s *Sampler) stop() {
	s.turn.take()
	defer s.turn.give()
	s.stopping = true
	s.hurry(s.clock.Boot())
	s.advance()
}

// ended returns whether no tick will begin, and none is under way. s.turn is held.
func (s *Sampler) ended() bool { return s.stopping && len(s.open) == 0 }

// advance does what follows from the time and from what has just happened, and sets the
// alarm for what happens next. s.turn is held.
func (s *Sampler) advance() {
	if s.next == nil { // nobody waits: it has not begun, or has ended
		return
	}
	now := s.clock.Boot()
	s.expire(now)
	if !s.stopping {
		s.begin(now)
	}
	s.close(now)
	s.beats.Add(1)
	s.next.Set(s.untilNext(now))
}
