package conn

import (
	"runtime"
	"time"
)

// gate limits how many connections at a time do what costs the processor: TLS's
// handshake, HTTP's request and the upgrade. When thousands connect at once they
// wait in front of it, so that ticks find a processor. A connection that waits for
// its client leaves the gate meanwhile; one that waits for a disk inside it delays
// the others by gateTime at most.
type gate chan struct{}

const gateTime = 2 * time.Second

func newGate() gate { return make(gate, runtime.GOMAXPROCS(0)) }

// enter waits for a place inside the gate, for a connection that has read something.
func (s *socket) enter() {
	s.mu.Lock()
	enter := !s.working && !s.upgraded && s.err == nil
	s.mu.Unlock()
	if !enter {
		return
	}
	select {
	case s.budget.gate <- struct{}{}:
	default:
		late := time.NewTimer(gateTime)
		defer late.Stop()
		select {
		case s.budget.gate <- struct{}{}:
		case <-late.C:
			return // without a place
		}
	}
	s.mu.Lock()
	s.working = s.err == nil
	ended := !s.working
	s.mu.Unlock()
	if ended {
		<-s.budget.gate
	}
}

// leave gives the place up, for the connection waits for its client or is upgraded. It
// reports whether it is upgraded, and whether TLS polls.
func (s *socket) leave() (upgraded, polling bool) {
	s.mu.Lock()
	leave := s.working
	s.working, upgraded, polling = false, s.upgraded, s.polling
	s.mu.Unlock()
	if leave {
		<-s.budget.gate
	}
	return upgraded, polling
}
