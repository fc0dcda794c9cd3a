package gateway

import "runtime"

// gate lets few connections at a time do what costs the processor: TLS's
// handshake, HTTP's request and the upgrade. Thousands that come at once wait
// their turn before it, so that ticks find a processor. Nobody waits for his
// client inside it.
type gate chan struct{}

func newGate() gate { return make(gate, runtime.GOMAXPROCS(0)) }

// enter lets a connection work that has read something.
func (s *socket) enter() {
	s.mu.Lock()
	enter := !s.working && !s.upgraded && s.err == nil
	s.working = s.working || enter
	s.mu.Unlock()
	if enter {
		s.gate <- struct{}{}
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
