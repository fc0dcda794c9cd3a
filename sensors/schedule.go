package sensors

import (
	"context"

	"sensorgateway/sensors/timer"
)

// mutex is one whose waiters testing/synctest sees waiting, which it does not see of a
// [sync.Mutex].
type mutex chan struct{}

func (m mutex) Lock()   { m <- struct{}{} }
func (m mutex) Unlock() { <-m }

// schedule waits for deadlines until all ticks are finished that were begun before the
// end of ctx.
func (s *Sampler) schedule(ctx context.Context) {
	next := timer.NewSleeper(s.clock.Timers)
	defer next.Close()
	s.setSleeper(next)
	defer s.setSleeper(nil)
	stop := s.guard(func(context.Context) error { s.stop(); return nil })
	defer context.AfterFunc(ctx, func() { _ = stop(ctx) })()
	for s.advanced() {
		next.Wait()
	}
}

func (s *Sampler) setSleeper(next *timer.Sleeper) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.next = next
}

// advanced begins the ticks that are due, and returns whether there is something to wait for.
func (s *Sampler) advanced() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.advance()
	return !s.ended()
}

// result takes what a probe has measured.
func (s *Sampler) result(j *job) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.arrived(j)
	s.advance()
}

// stop lets no tick begin any more.
func (s *Sampler) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopping = true
	s.hurry(s.clock.Boot())
	s.advance()
}

// ended returns whether no tick will begin, and none is under way. s.mu is held.
func (s *Sampler) ended() bool { return s.stopping && len(s.open) == 0 }

// advance does what follows from the time and from what has just happened, and sets when
// to wake for what happens next. s.mu is held.
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
	s.next.WakeIn(s.untilNext(now))
}
