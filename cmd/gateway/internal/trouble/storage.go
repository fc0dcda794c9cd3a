// Package trouble is what is wrong with the gateway itself: the storage's events, and the
// checks of the built-in alarms.
//
// It refuses to know who listens, and why something fails.
package trouble

import (
	"cmp"
	"errors"
	"sync"
	"time"

	"sensorgateway/gateway/history"
	"sensorgateway/wire"
)

// Storage makes events when the readings or the e-stop's latch are not stored durably, when
// both are again, and when stored readings are lost.
type Storage struct {
	Notify func(wire.Event)

	mu    sync.Mutex // held over Notify, so that events come in order
	where [2]error   // of the readings, of the latch

	unheard unheard
}

// Readings notes why readings are not stored durably, nil if they are.
func (t *Storage) Readings(err error) { t.change(0, err) }

// Latch notes why the e-stop's latch is not stored durably, nil if it is.
func (t *Storage) Latch(err error) { t.change(1, err) }

// Err returns why the readings or the latch are not stored durably, as the last event
// says.
func (t *Storage) Err() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return cmp.Or(t.where[0], t.where[1])
}

func (t *Storage) change(i int, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.where[i] = err
	e := wire.Event{Kind: wire.EventStorageBack, TS: now()}
	switch {
	case err != nil:
		e.Kind, e.Reason = wire.EventStorageFailed, err.Error()
	case errors.Join(t.where[:]...) != nil:
		return // the other one is not stored yet
	}
	t.Notify(e)
}

// Damaged makes the event that stored readings were found to be lost. The log of
// readings has logged it.
func (t *Storage) Damaged(d history.Damage) {
	t.Notify(wire.Event{Kind: wire.EventStorageDamaged, Reason: d.Reason, Readings: d.Readings, TS: now()})
}

// Evicted makes the event that more stored readings were evicted than usual. The log of
// readings has logged it.
func (t *Storage) Evicted(e history.Eviction) {
	t.Notify(wire.Event{Kind: wire.EventHistoryEvicted, Reason: e.Reason, Readings: e.Readings, TS: now()})
}

func now() float64 { return wire.Seconds(time.Now().UnixMilli()) }
