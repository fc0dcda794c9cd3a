package mqtt

import (
	"errors"
	"fmt"
	"io"
	"syscall"
	"time"
)

const (
	// So many connections that the broker closes without a word, each soon after it began,
	// are one too many for chance.
	rivalEnds = 3
	// Once that was found, whoever connects next may be waiting for so long.
	rivalTime = 2 * maxYield
)

// Rival finds out that another one connects with the same client ID, at a broker that does
// not say so: Mosquitto 2.0 closes the older connection without a word. So does the node of
// a cluster that is killed; then the next connection is to another one.
type Rival struct {
	broker string
	ends   int
	found  bool
}

// Explain returns the error with which a connection to a broker has ended, which was made and
// lasted so long: it is [Disconnected] because it was [TakenOver], if that is how it looks.
func (r *Rival) Explain(broker string, err error, made bool, lasted time.Duration) error {
	silent := errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
	if broker != r.broker {
		*r = Rival{broker: broker}
	}
	switch {
	case silent && !made: // it says nothing about the others
		return err
	case !silent: // such as a broker that is started anew
		*r = Rival{broker: broker}
		return err
	case r.found && lasted < rivalTime:
	case lasted > goodConnection:
		*r = Rival{broker: broker, ends: 1}
		return err
	default:
		if r.ends++; r.ends < rivalEnds {
			return err
		}
		r.found = true
	}
	return silentEnd{err}
}

// silentEnd is the end of a connection that seems to be taken over.
type silentEnd struct{ err error }

func (s silentEnd) Error() string {
	return fmt.Sprintf("the broker closes one connection after the other without a word, as Mosquitto does then; its log says why: %v", s.err)
}

func (s silentEnd) Is(target error) bool { return target == Disconnected(TakenOver) }
func (s silentEnd) Unwrap() error        { return s.err }
