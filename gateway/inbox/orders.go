package inbox

import (
	"net/http"
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
		})
	}
	select {
	case o.queue <- do:
		return nil
	default:
		return wire.Errorf(http.StatusTooManyRequests, "%d commands wait for their answers already", maxOrders)
	}
}

// End is called when the client has left.
func (o *Orders) End() {
	if o.ended.Store(true); o.queue != nil {
		close(o.queue)
	}
}
