package trouble

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"sensorgateway/gateway/history"
	"sensorgateway/wire"
)

// What is found at the start is sent when the first client is there to hear it, once
// and in order; what clients can see for themselves is not.
func TestUnheard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		heard := make(chan string, 2*unheardMax)
		var client atomic.Bool
		send := func(e wire.Event) bool {
			if !client.Load() {
				return false
			}
			heard <- e.Kind + " " + e.Reason
			return true
		}
		s := &Storage{}
		s.Notify = func(e wire.Event) { s.Send(e, send) }
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- s.Resend(ctx, time.Tick(time.Second), send) }()
		for n := range unheardMax {
			s.Damaged(history.Damage{Reason: fmt.Sprint(n), Readings: 1})
		}
		s.Evicted(history.Eviction{Reason: "e"})
		s.Notify(wire.Event{Kind: wire.EventSensorLost})
		time.Sleep(time.Hour)
		client.Store(true)
		time.Sleep(2 * time.Second)
		synctest.Wait()
		want := []string{}
		for n := 1; n < unheardMax; n++ { // the oldest was dropped
			want = append(want, fmt.Sprint(wire.EventStorageDamaged, " ", n))
		}
		want = append(want, wire.EventHistoryEvicted+" e")
		if diff := cmp.Diff(want, drain(heard)); diff != "" {
			t.Error(diff)
		}
		s.Damaged(history.Damage{Reason: "later"})
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := drain(heard); len(got) != 1 {
			t.Errorf("heard %q", got)
		}
		// What was not heard is sent first, whoever sends: a failure that came after its end
		// would look like one that lasts.
		client.Store(false)
		s.Damaged(history.Damage{Reason: "before"})
		synctest.Wait()
		client.Store(true)
		s.Damaged(history.Damage{Reason: "behind"})
		if diff := cmp.Diff([]string{wire.EventStorageDamaged + " before", wire.EventStorageDamaged + " behind"}, drain(heard)); diff != "" {
			t.Error(diff)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// drain returns what is in a channel.
func drain(c chan string) (all []string) {
	for len(c) > 0 {
		all = append(all, <-c)
	}
	return all
}
