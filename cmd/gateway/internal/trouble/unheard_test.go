package trouble

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"sensorgateway/gateway/history"
	"sensorgateway/wire"
)

// What is found at the start is sent when the first client is there to hear it, once
// and in order; what clients can see for themselves is not.
func TestUnheard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var heard []string
		client := false
		send := func(e wire.Event) bool {
			if client {
				heard = append(heard, e.Kind+" "+e.Reason)
			}
			return client
		}
		s := &Storage{}
		s.Notify = func(e wire.Event) { s.Send(e, send) }
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- s.Resend(ctx, send) }()
		for n := range unheardMax {
			s.Damaged(history.Damage{Reason: fmt.Sprint(n), Readings: 1})
		}
		s.Evicted(history.Eviction{Reason: "e"})
		s.Notify(wire.Event{Kind: wire.EventSensorLost})
		time.Sleep(time.Hour)
		client = true
		time.Sleep(2 * resendEvery)
		synctest.Wait()
		if len(heard) != unheardMax || heard[0] != wire.EventStorageDamaged+" 1" || heard[unheardMax-1] != wire.EventHistoryEvicted+" e" {
			t.Errorf("heard %q", heard)
		}
		heard = nil
		s.Damaged(history.Damage{Reason: "later"})
		time.Sleep(time.Minute)
		if len(heard) != 1 {
			t.Errorf("heard %q", heard)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
