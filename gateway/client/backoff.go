package client

import (
	"math"
	"time"
)

// How to reconnect: wire/README.md, "The connection".
const (
	longestWait  = 60 * time.Second
	circuitTries = 10 // failures in a row that open the circuit
	circuitPause = 5 * time.Minute
)

// outcome is how an attempt to connect, or the connection that came of it, ended.
type outcome struct {
	success bool           // hello was received, or any message where the subprotocol has no hello
	retry   *time.Duration // the wait that the server asked for; nil if none
}

// backoff is how long to wait before the next try. Its random part, 0…1, spreads the
// tries of clients that lost the server together.
type backoff struct {
	random   func() float64
	attempt  int // waits since the last success
	failures int // failed attempts since then
}

// next returns the wait after an attempt that ended like this.
func (b *backoff) next(o outcome) time.Duration {
	if o.success {
		b.attempt, b.failures = 0, 0
	} else {
		b.failures++
	}
	attempt := b.attempt
	b.attempt++
	switch {
	case b.failures >= circuitTries:
		return circuitPause
	case o.retry != nil && attempt == 0:
		return min(*o.retry, longestWait)
	}
	seconds := math.Min(math.Exp2(float64(attempt))+b.random(), longestWait.Seconds())
	return time.Duration(seconds * float64(time.Second))
}
