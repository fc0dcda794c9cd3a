package motor

import (
	"cmp"
	"slices"
	"time"

	"sensorgateway/wire"
)

// passing is the handler of each action of a control message.
var passing = handler{targets: (*Controller).named, handle: (*Controller).control}

// OnControl sets, before Run, the function that is called with the events of each request
// for control and of its outcome, in order with the changes of motors.
func (c *Controller) OnControl(f func(wire.Event)) { c.publisher.onControl = f }

// control is refused only if it is refused for each target; the answer shows all of them.
func (c *Controller) control(targets []*motor, cl Client, cmd wire.Command, now time.Time) (refused error) {
	done := len(targets) == 0
	for _, m := range targets {
		before := m.baton
		event, err := m.baton.Act(cmd, cl, m.holder, now)
		refused = cmp.Or(refused, err)
		done = done || err == nil
		if event == nil && m.baton != before {
			c.notify(m)
		}
		c.passed(m, event)
	}
	if done {
		return nil
	}
	return refused
}

// repeated returns whether a control message changes nothing.
func repeated(targets []*motor, cl Client, cmd wire.Command) bool {
	return !slices.ContainsFunc(targets, func(m *motor) bool { return !m.baton.Repeats(cmd, cl) })
}

// passed publishes a change of a motor's control; without an event there was none.
func (c *Controller) passed(m *motor, event *wire.Event) {
	if event != nil {
		c.publisher.publish(m.index, change{c.state(m), event}, m.operators())
	}
}

// pending returns those of the motors whose control the client has requested and waits for.
func pending(targets []*motor, cl Client) (names []string) {
	for _, m := range targets {
		if m.baton.Waits(cl) {
			names = append(names, m.cfg.Name)
		}
	}
	return names
}
