package gateway

import (
	"maps"
	"net/http"
	"slices"

	"sensorgateway/wire"
)

// Resuming: what a client missed is sent to it beside what is live, or before it
// (wire/README.md, "What was missed").

// resume completes the answer to a client that resumes, and returns the sensors
// whose streams restart and the lanes that replay what they had. b.mu is held.
func (b *broadcaster) resume(sub wire.Subscription, sensors sensorSet, answer *wire.Subscribed) (restarted sensorSet, lanes []*lane, err error) {
	if sub.Since == nil {
		return 0, nil, nil
	}
	from := map[string]uint32{}
	for _, name := range slices.Sorted(maps.Keys(sub.Since)) {
		i := b.index(name)
		if i < 0 {
			return 0, nil, wire.Errorf(http.StatusNotFound, "Unknown sensor: %s", name)
		}
		if !sensors.Has(uint16(i)) {
			return 0, nil, wire.Errorf(http.StatusUnprocessableEntity, "since: %s is not in the topic %s", name, sub.Topic)
		}
		sensor, after, next := uint16(i), sub.Since[name], b.next(i)
		restarted |= 1 << sensor
		first := next // the first number that can be replayed
		switch history := b.s.opts.History; {
		case sub.Epoch != b.epoch:
			if history != nil {
				if oldest, ok := history.Oldest(sensor); ok && wire.Before(oldest, next) {
					after, first = oldest-1, history.Kept(sensor, oldest-1)
				}
			}
			from[name] = soonest(first, next)
		case !wire.Before(after, next): // numbers that were never used
			from[name] = next
		default:
			if history != nil {
				first = history.Kept(sensor, after)
			}
			if first != after+1 {
				from[name] = soonest(first, next)
			}
		}
		// There may be records before and after a hole in the middle, and, beyond the
		// newest here, records that come only because they are asked for.
		some := wire.Before(after+1, next) || after+1 == next && b.s.opts.LacksSince != nil
		if some && b.s.opts.History != nil && (sub.Epoch == b.epoch || first != next) {
			lanes = append(lanes, &lane{sensor: sensor, after: after, end: next, first: first, topic: sub.Topic, asked: true})
		}
	}
	recovered := len(from) == 0
	answer.Recovered, answer.From = &recovered, from
	return restarted, lanes, nil
}

// soonest returns the lower of two numbers.
func soonest(a, b uint32) uint32 {
	if wire.Before(a, b) {
		return a
	}
	return b
}

// follow sends a client the retained readings of its one sensor since a time, and
// then what comes live, in one lane.
func (b *broadcaster) follow(c *session, sensor uint16, since int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.s.opts.History == nil {
		b.move(c, 1<<sensor)
		return
	}
	b.replay(c, 1<<sensor, []*lane{{sensor: sensor, single: true, since: since, asked: true}})
}

// following returns the sensors that come live once a lane has caught up.
// b.mu is held.
func (c *session) following() (set sensorSet) {
	if c.replay != nil {
		for _, l := range c.replay.lanes {
			if l.single {
				set |= 1 << l.sensor
			}
		}
	}
	return set
}

// replay restarts the streams of some sensors: new lanes, if there are any, replace
// those that they had. b.mu is held.
func (b *broadcaster) replay(c *session, restarted sensorSet, lanes []*lane) {
	b.cancel(c, restarted)
	for _, l := range lanes {
		c.Settled.Produced += l.left()
		c.Pending += l.left()
	}
	switch {
	case len(lanes) == 0:
	case c.replay != nil:
		c.replay.lanes = append(c.replay.lanes, lanes...)
	default:
		c.replay = &replay{c: c, stop: make(chan struct{}), done: make(chan struct{}), lanes: lanes}
		c.replay.feed.feedKey = feedKey{c.protocol, ^sensorSet(0)}
		go c.try(c.replay.run) // what cannot be read must not end the program, again and again
	}
}

// fill gives each client that counts a sensor's numbers a lane for those between after
// and end, which its account has as missed. The client is not told which of them are
// lost, because it has not asked. b.mu is held.
func (b *broadcaster) fill(sensor uint16, after, end uint32) {
	for _, c := range b.sessions {
		if !c.sensors.Has(sensor) || c.protocol == wire.ReadingsV1 || c.replay != nil && len(c.replay.lanes) >= maxLanes {
			continue
		}
		l := &lane{sensor: sensor, after: after, end: end, first: end}
		c.Settle(b.feeds[c.feedKey].Totals)
		c.Settled.Missed -= l.left()
		c.Settled.Produced -= l.left()
		b.replay(c, 0, []*lane{l})
	}
}

// cancel removes the lanes of some sensors, and their part of a slow client's
// window: it is no longer due. b.mu is held.
func (b *broadcaster) cancel(c *session, sensors sensorSet) {
	if c.Waiting != nil {
		c.Settled.Produced -= uint64(c.Waiting.Drop(sensors.Has))
	}
	if c.replay == nil {
		return
	}
	c.replay.lanes = slices.DeleteFunc(c.replay.lanes, func(l *lane) bool {
		if !sensors.Has(l.sensor) {
			return false
		}
		c.Settled.Produced -= l.left()
		c.Pending -= l.left()
		return true
	})
}
