package backoff

import (
	"testing"
	"testing/synctest"
	"time"
)

// A pause depends on how long the failure took.
func TestBackoff(t *testing.T) {
	const ms = time.Millisecond
	for cost, pauses := range map[time.Duration][]time.Duration{
		0:                {0, 0, 0},
		2 * ms:           {2 * ms, 4 * ms, 8 * ms, 16 * ms, 32 * ms, 32 * ms},
		time.Second:      {time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second, 16 * time.Second, 16 * time.Second},
		10 * time.Second: {10 * time.Second, 20 * time.Second, 30 * time.Second, 30 * time.Second},
		-time.Second:     {0, 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			var b Backoff
			if b.Waiting() {
				t.Error("it waits before anything failed")
			}
			for round := range 2 {
				for _, want := range pauses {
					b.Fail(cost)
					time.Sleep(want - 1)
					if want > 0 && !b.Waiting() {
						t.Errorf("cost %v, round %d: less than %v", cost, round, want)
					}
					time.Sleep(time.Nanosecond)
					if b.Waiting() {
						t.Errorf("cost %v, round %d: more than %v", cost, round, want)
					}
				}
				b.Fail(cost)
				b.Reset()
				if b.Waiting() {
					t.Error("it waits after a reset")
				}
			}
		})
	}
}
