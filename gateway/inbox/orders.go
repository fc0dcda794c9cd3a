package inbox

import (
	"net/http"
	"sync/atomic"

	"sensorgateway/wire"
)

// maxOrders is how many of a client's orders may wait.
const maxOrders = 20

// Orders are what a client has asked for that takes a while: they are carried out one
// after the other, beside what it sends besides. Do and End are for one goroutine at a
// time.
type Orders struct {
	queue chan func() // nil: there were none
	ended atomic.Bool
}

// Do has do called when those before have ended, by a goroutine that start starts; unless
// the client has left by then. It is an error if too many wait.
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

// End says that the client has left.
func (o *Orders) End() {
	if o.ended.Store(true); o.queue != nil {
		close(o.queue)
	}
}
