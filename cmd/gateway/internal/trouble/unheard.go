package trouble

import (
	"context"
	"slices"
	"sync"
	"time"

	"sensorgateway/wire"
)

const (
	unheardMax = 16 // events that wait for a client; beyond, the oldest is dropped
)

// unheard are events of the storage that no client was there to hear: most of what is
// found at the start comes before anybody can have connected.
type unheard struct {
	mu     sync.Mutex
	events []wire.Event
}

// Send sends an event to the clients. If no client gets an event of the storage, it is
// sent again until one does, and later ones wait: a failure that came after its end would
// look like one that lasts.
func (t *Storage) Send(e wire.Event, send func(wire.Event) (heard bool)) {
	kinds := []string{wire.EventStorageDamaged, wire.EventStorageFailed, wire.EventStorageBack, wire.EventHistoryEvicted}
	if !slices.Contains(kinds, e.Kind) {
		send(e)
		return
	}
	t.unheard.mu.Lock()
	defer t.unheard.mu.Unlock()
	if t.unheard.events = append(t.unheard.events, e); len(t.unheard.events) > unheardMax {
		t.unheard.events = slices.Delete(t.unheard.events, 0, 1)
	}
	t.unheard.send(send)
}

// Resend sends what was not heard, at each tick, until ctx ends.
func (t *Storage) Resend(ctx context.Context, tick <-chan time.Time, send func(wire.Event) (heard bool)) error {
	for {
		select {
		case <-tick:
			t.unheard.mu.Lock()
			t.unheard.send(send)
			t.unheard.mu.Unlock()
		case <-ctx.Done():
			return nil
		}
	}
}

// send sends what is waiting, in its order, as long as it is heard. mu is held.
func (u *unheard) send(send func(wire.Event) (heard bool)) {
	for len(u.events) > 0 && send(u.events[0]) {
		u.events = slices.Delete(u.events, 0, 1)
	}
}
