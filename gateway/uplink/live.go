package uplink

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/eclipse/paho.golang/paho"

	"sensorgateway/gateway/fleet"
	"sensorgateway/wire"
)

// maxWatching is how many hubs can watch.
const maxWatching = 64

// live has the newest record of each sensor that was not sent to watching hubs yet. Records
// that cannot be sent in time are conflated: the log has all of them.
type live struct {
	watched atomic.Bool
	wake    chan struct{} // there are records; size 1

	mu      sync.Mutex
	watches map[string]watch // by hub
	newest  []wire.Record    // by sensor
	some    []bool           // newest has one
}

// watch is what a hub wants to see.
type watch struct {
	hz    float64
	until time.Time
}

func newLive(sensors int) *live {
	return &live{wake: make(chan struct{}, 1), watches: map[string]watch{}, newest: make([]wire.Record, sensors), some: make([]bool, sensors)}
}

// tick notes the records of a tick. It waits for nobody and allocates nothing.
func (l *live) tick(records []wire.Record) {
	if !l.watched.Load() {
		return
	}
	l.mu.Lock()
	for _, r := range records {
		if l.some[r.Sensor] {
			r.Flags |= wire.Conflated
		}
		l.newest[r.Sensor], l.some[r.Sensor] = r, true
	}
	l.mu.Unlock()
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// watch notes that a hub watches from now on; 0 Hz ends that.
func (l *live) watch(hub string, hz float64, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, known := l.watches[hub]; known || len(l.watches) < maxWatching {
		l.watches[hub] = watch{hz, now.Add(fleet.WatchTime)}
	}
	if hz == 0 {
		delete(l.watches, hub)
	}
	l.watched.Store(len(l.watches) > 0)
}

// rate returns how many ticks a second are to be sent: the most that any hub wants.
func (l *live) rate(now time.Time) (hz float64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for hub, w := range l.watches {
		if now.After(w.until) {
			delete(l.watches, hub)
			continue
		}
		hz = max(hz, w.hz)
	}
	l.watched.Store(hz > 0)
	if hz == 0 {
		clear(l.some)
	}
	return hz
}

// take appends the records that wait to b, as a message of readings.v2, and forgets them.
func (l *live) take(b []byte) []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, some := range l.some {
		if some {
			b = l.newest[i].Append(b)
		}
	}
	clear(l.some)
	return b
}

// sendLive sends ticks while somebody watches, until ctx ends.
func (l *link) sendLive(ctx context.Context) error {
	expiry := uint32(fleet.LiveExpiry / time.Second)
	due := time.Now() // of the next message
	for {
		select {
		case <-l.live.wake:
		case <-ctx.Done():
			return nil
		}
		hz := l.live.rate(time.Now())
		if hz == 0 || l.spent.Load() {
			continue
		}
		b := l.live.take(nil)
		if len(b) == 0 {
			continue
		}
		if _, err := l.publish(ctx, l.gateway.Topic(fleet.Live), 0, &paho.Publish{Payload: b, Properties: &paho.PublishProperties{MessageExpiry: &expiry}}); err != nil {
			return err
		}
		due = nextDue(due, time.Now(), hz)
		pause := time.NewTimer(time.Until(due))
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
			return nil
		}
	}
}

// nextDue returns when the next message is due, after one that was due at due and sent now. It
// is early enough not to leave out a tick that comes a little early, or soon after a message
// that was late, as on a busy machine; but it leaves other messages half a period of the line.
func nextDue(due, now time.Time, hz float64) time.Time {
	period := time.Duration(float64(time.Second) / hz)
	due, soonest := due.Add(period*9/10), now.Add(period/2)
	if due.Before(soonest) {
		return soonest
	}
	return due
}
