package announce

import (
	"context"
	"sync"
	"time"

	"sensorgateway/cmd/gateway/internal/notify"
	"sensorgateway/wire"
)

// firstWait is how long the announcement waits for sensors that do not answer.
const firstWait = 1500 * time.Millisecond

// Firsts are the first records of all sensors. It is a [notify.Listener].
type Firsts struct {
	notify.Nop
	mu      sync.Mutex
	records []wire.Record
	seen    map[uint16]bool // sensors that have a record
	awaited map[uint16]bool // sensors
	all     chan struct{}   // closed when none is awaited
}

// NewFirsts returns the first records of n sensors: none yet.
func NewFirsts(n int) *Firsts {
	f := &Firsts{records: make([]wire.Record, n), seen: map[uint16]bool{}, awaited: map[uint16]bool{}, all: make(chan struct{})}
	for i := range n {
		f.awaited[uint16(i)] = true
	}
	return f
}

// Tick takes the first record of each sensor. After a timeout it waits for another one:
// some chips, such as an AHT20, take longer than their first tick to open.
func (f *Firsts) Tick(records []wire.Record, _ int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.awaited) == 0 {
		return
	}
	for _, r := range records {
		if !f.awaited[r.Sensor] {
			continue
		}
		f.records[r.Sensor], f.seen[r.Sensor] = r, true
		if r.Fault != wire.Timeout && r.Fault != wire.WarmingUp {
			delete(f.awaited, r.Sensor)
		}
	}
	if len(f.awaited) == 0 {
		close(f.all)
	}
}

// Wait waits until all sensors have a record or had enough time. It returns false
// if ctx ended.
func (f *Firsts) Wait(ctx context.Context) bool {
	timer := time.NewTimer(firstWait)
	defer timer.Stop()
	select {
	case <-f.all:
	case <-timer.C:
	case <-ctx.Done():
		return false
	}
	return true
}

// of returns a sensor's first record, if it has one.
func (f *Firsts) of(i int) (wire.Record, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.records[i], f.seen[uint16(i)]
}
