package mqtt

import (
	"context"
	"errors"
	"math/rand/v2"
	"regexp"
	"time"
)

// Pauses between two connections.
const (
	minPause = time.Second
	maxPause = time.Minute
	// After a connection that another with the same client ID has taken over: to connect at
	// once would take it back, and so on for ever.
	minYield = time.Minute
	maxYield = 10 * time.Minute
	// A connection that lasted so long was a good one.
	goodConnection = time.Minute
	// maxSaid is how many different errors are remembered as reported.
	maxSaid = 16
)

// port is this side's address in an error of package net, "read tcp [::1]:40001->[::1]:1883":
// its port is another one for each connection.
var port = regexp.MustCompile(`[^ ]+:[0-9]+->`)

// Keep keeps a connection up until ctx ends: connect connects, to one broker after the
// other by the number of the attempt, and returns when the connection has ended. The
// pauses between the attempts grow up to a minute, and are random, so that clients that
// lost a broker together do not come back together. failed is called with why a connection
// ended, once for each text: to repeat it every minute helps nobody.
func Keep(ctx context.Context, connect func(ctx context.Context, attempt int) error, failed func(error)) {
	pause, yield := minPause, minYield
	said := map[string]bool{}
	for n := 0; ctx.Err() == nil; n++ {
		begin := time.Now()
		err := connect(ctx, n)
		if ctx.Err() != nil {
			return
		}
		taken := errors.Is(err, Disconnected(TakenOver))
		if !taken && time.Since(begin) > goodConnection {
			pause, yield = minPause, minYield
			clear(said)
		}
		if text := port.ReplaceAllString(err.Error(), ""); !said[text] {
			if len(said) == maxSaid {
				clear(said)
			}
			said[text] = true
			failed(err)
		}
		wait := minPause + rand.N(pause)
		pause = min(2*pause, maxPause-minPause)
		if taken {
			wait = yield/2 + rand.N(yield/2)
			yield = min(2*yield, maxYield)
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
		}
	}
}
