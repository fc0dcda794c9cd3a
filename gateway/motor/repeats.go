package motor

import (
	"reflect"
	"time"

	"sensorgateway/wire"
)

// repeatWithin is how long after a command the same command counts as a repeat.
const repeatWithin = time.Minute

// repeats is the last command that each client had carried out for each target,
// by client ID and target, until the client's connection ends.
type repeats map[string]map[string]done

type done struct {
	at  time.Time
	cmd wire.Command
}

// has returns whether the command is a repeat: of the client's last one for the
// target, with the same ID and content.
func (r repeats) has(cl Client, cmd wire.Command, now time.Time) bool {
	last, ok := r[cl.ID][cmd.Target]
	return ok && cmd.ID != "" && now.Sub(last.at) < repeatWithin && reflect.DeepEqual(last.cmd, cmd)
}

// add notes the command as the client's last for its target.
func (r repeats) add(cl Client, cmd wire.Command, now time.Time) {
	if r[cl.ID] == nil {
		r[cl.ID] = map[string]done{}
	}
	r[cl.ID][cmd.Target] = done{now, cmd}
}

// forget is called for a stop: no later command of the client for the target is
// a repeat of an earlier one.
func (r repeats) forget(cl Client, target string) {
	if target == wire.All {
		delete(r, cl.ID)
		return
	}
	delete(r[cl.ID], target)
}
