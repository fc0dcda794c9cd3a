package limit

import (
	"testing"
	"time"
)

func TestRate(t *testing.T) {
	var r Rate
	now := time.Now()
	for i := range 20 {
		if !r.Take(now.Add(time.Duration(i) * 10 * time.Millisecond)) {
			t.Fatalf("message %d of 20 was refused", i+1)
		}
	}
	if r.Take(now.Add(999 * time.Millisecond)) {
		t.Error("the 21st within a second was taken")
	}
	if !r.Take(now.Add(time.Second)) || r.Take(now.Add(1009*time.Millisecond)) || !r.Take(now.Add(1010*time.Millisecond)) {
		t.Error("the window does not slide")
	}
}
