package backoff

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestBackoff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b Backoff
		if b.Waiting() {
			t.Error("it waits before anything failed")
		}
		for round := range 2 {
			for _, want := range []time.Duration{250, 500, 1000, 2000, 4000, 5000, 5000} {
				want *= time.Millisecond
				b.Fail()
				time.Sleep(want - 1)
				if !b.Waiting() {
					t.Errorf("round %d: less than %v", round, want)
				}
				time.Sleep(time.Nanosecond)
				if b.Waiting() {
					t.Errorf("round %d: more than %v", round, want)
				}
			}
			b.Fail()
			b.Reset()
			if b.Waiting() {
				t.Error("it waits after a reset")
			}
		}
	})
}
