package conn

import (
	"runtime"
	"time"
)

// gate lets few connections at a time do what costs the processor: TLS's
// handshake, HTTP's request and the upgrade. Thousands that come at once wait
// their turn before it, so that ticks find a processor. Nobody waits for his
// client inside it; who has a disk to wait for there keeps nobody out for longer
// than gateTime.
type gate chan struct{}

const gateTime = 2 * time.Second

func newGate() gate { return make(gate, runtime.GOMAXPROCS(0)) }

// enter lets a connection work that has read something.
func (s *socket) enter() {
	s.mu.Lock()
	enter := !s.working && !s.upgraded && s.err == nil
	s.mu.Unlock()
	if !enter {
		return
	}
	select {
	case s.gate <- struct{}{}:
	default:
		late := time.NewTimer(gateTime)
		defer late.Stop()
		select {
		case s.gate <- struct{}{}:
		case <-late.C:
			return // without a place
		}
	}
	s.mu.Lock()
	s.working = s.err == nil
	gone := !s.working
	s.mu.Unlock()
	if gone {
		<-s.gate
	}
}

// leave ends that: it waits, or its work is done.
func (s *socket) leave() {
	s.mu.Lock()
	leave := s.working
	s.working = false
	s.mu.Unlock()
	if leave {
		<-s.gate
	}
}
