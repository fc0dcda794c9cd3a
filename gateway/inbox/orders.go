package inbox

import (
	"context"
	"net/http"
	"sync"
	"sync/atomic"

	"sensorgateway/wire"
)

// maxOrders is how many of a client's orders may wait.
const maxOrders = 20

// Orders are a client's commands that take a while: they are carried out one after the
// other, while its other messages are handled. Do and End are for one goroutine at a
// time.
type Orders struct {
	queue chan func() // nil: there were no orders yet
	ended atomic.Bool
	left  func()
}

// Do queues do for a goroutine that start starts. It is called when the orders before it
// have ended, unless the client has left by then. It is an error if too many wait.
func (o *Orders) Do(start func(func()), do func()) error {
	if o.queue == nil {
		queue := make(chan func(), maxOrders)
		o.queue = queue
		start(func() {
			for do := range queue {
				if !o.ended.Load() {
					do()
				}
			}
			o.left()
		})
	}
	select {
	case o.queue <- do:
		return nil
	default:
		return wire.Errorf(http.StatusTooManyRequests, "%d commands wait for their answers already", maxOrders)
	}
}

// End is called when the client has left. It calls left, which is called again when the order
// that was under way has ended.
func (o *Orders) End(left func()) {
	o.ended.Store(true)
	left()
	if o.queue != nil {
		o.left = left
		close(o.queue)
	}
}

// Starts are the commands of all clients that wait, and that start motors or permit that. A stop
// overtakes what waits, so it ends them: what it has stopped must not be started by a command
// that was given before.
type Starts struct {
	mu  sync.Mutex
	ctx context.Context // of those that came after the last stop; nil: none did
	end context.CancelCauseFunc
}

// Context returns the context of a command that comes now: parent, or one that the next stop ends,
// with the cause [wire.Overtaken].
func (s *Starts) Context(parent context.Context, cmd wire.Command) context.Context {
	if !cmd.Starts() {
		return parent
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ctx == nil {
		s.ctx, s.end = context.WithCancelCause(parent)
	}
	return s.ctx
}

// Stop ends the contexts of all commands that have come.
func (s *Starts) Stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ctx != nil {
		s.end(wire.Overtaken())
		s.ctx = nil
	}
}
