package motor

import (
	"reflect"
	"time"

	"sensorgateway/wire"
)

// repeatWithin is how long after its answer the same command counts as a repeat.
const repeatWithin = time.Minute

// repeats is the last answer to each client about each target, by client ID and
// target, until the client's connection ends.
type repeats map[string]map[string]answer

type answer struct {
	at  time.Time
	cmd wire.Command
	ack wire.Ack
	err error
}

// find returns the answer of which the command is a repeat.
func (r repeats) find(cl Client, cmd wire.Command, now time.Time) (answer, bool) {
	a, ok := r[cl.ID][cmd.Target]
	return a, ok && cmd.ID != "" && now.Sub(a.at) < repeatWithin && reflect.DeepEqual(a.cmd, cmd)
}

// add notes the answer as the client's last about its target.
func (r repeats) add(cl Client, a answer) {
	if r[cl.ID] == nil {
		r[cl.ID] = map[string]answer{}
	}
	r[cl.ID][a.cmd.Target] = a
}

// forget is called for a stop: no later command of the client is a repeat of an
// earlier one.
func (r repeats) forget(cl Client, target string) {
	if target == wire.All {
		delete(r, cl.ID)
		return
	}
	delete(r[cl.ID], target)
}
