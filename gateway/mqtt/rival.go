package mqtt

import (
	"errors"
	"fmt"
	"io"
	"syscall"
	"time"
)

const (
	// rivalEnds is how many short connections in a row that the broker closes without a reason
	// are more than chance.
	rivalEnds = 3
	// rivalTime is how long the rival may pause after that before it connects again.
	rivalTime = 2 * maxYield
)

// Rival detects that another client connects with the same client ID, at a broker that does
// not say so: Mosquitto 2.0 closes the older connection without a reason. A node of a cluster
// that is killed does so too, but then the next connection is to another node.
type Rival struct {
	broker string
	ends   int
	found  bool
}

// Explain returns the error with which a connection to a broker has ended: [Disconnected] by
// [TakenOver], if it looks like that. made: it had been established, and lasted so long.
func (r *Rival) Explain(broker string, err error, made bool, lasted time.Duration) error {
	silent := errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
	if broker != r.broker {
		*r = Rival{broker: broker}
	}
	switch {
	case silent && !made: // this says nothing about a rival
		return err
	case !silent: // such as a broker that is restarted
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
	return fmt.Sprintf("the broker closes one connection after the other without a reason, as Mosquitto does then; its log says why: %v", s.err)
}

func (s silentEnd) Is(target error) bool { return target == Disconnected(TakenOver) }
func (s silentEnd) Unwrap() error        { return s.err }
