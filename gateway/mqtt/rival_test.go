package mqtt

import (
	"errors"
	"fmt"
	"io"
	"testing"
	"time"
)

// A client that loses one connection after the other without a reason has a rival; not one
// that loses one now and then, or whose broker restarts or ends each connection at once.
func TestRival(t *testing.T) {
	silent, refused := fmt.Errorf("mqtts://broker: %w", io.EOF), errors.New("connection refused")
	const soon, late = 5 * time.Second, 2 * goodConnection
	type end struct {
		err    error
		made   bool
		lasted time.Duration
		taken  bool
	}
	for name, ends := range map[string][]end{
		"rival":        {{silent, true, 24 * time.Hour, false}, {silent, true, soon, false}, {silent, true, soon, true}, {silent, true, maxYield, true}, {silent, true, soon, true}},
		"gone":         {{silent, true, soon, false}, {silent, true, soon, false}, {silent, true, soon, true}, {silent, true, 24 * time.Hour, false}, {silent, true, soon, false}, {silent, true, soon, true}},
		"now and then": {{silent, true, late, false}, {silent, true, late, false}, {silent, true, late, false}, {silent, true, late, false}},
		"restarted":    {{silent, true, soon, false}, {silent, true, soon, false}, {refused, false, 0, false}, {silent, true, soon, false}, {silent, true, soon, false}},
		"not let in":   {{silent, false, 0, false}, {silent, false, 0, false}, {silent, false, 0, false}, {silent, false, 0, false}},
		"said":         {{Disconnected(TakenOver), true, soon, true}},
	} {
		var r Rival
		for i, e := range ends {
			err := r.Explain("mqtts://broker", e.err, e.made, e.lasted)
			if taken := errors.Is(err, Disconnected(TakenOver)); taken != e.taken || !errors.Is(err, e.err) {
				t.Errorf("%s: end %d is %v", name, i, err)
			}
		}
	}
	var r Rival
	for i := range 9 { // the nodes of a cluster are killed, one after the other
		if err := r.Explain(fmt.Sprint("mqtts://broker", i%2), silent, true, soon); err != silent {
			t.Error(err)
		}
	}
}
