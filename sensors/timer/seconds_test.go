package timer

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// All receive at the same moments, at whole seconds; one that does not receive misses some,
// and delays nobody.
func TestSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := NewSeconds(Runtime)
		a, b, deaf := s.C(), s.C(), s.C()
		time.Sleep(700 * time.Millisecond) // nothing is sent before Run, nor between two seconds
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- s.Run(ctx) }()
		first := time.Now().Truncate(time.Second).Add(2 * time.Second) // the next is too near
		for n := range 3 {
			want := first.Add(time.Duration(n) * time.Second)
			if got := <-a; !got.Equal(want) || !time.Now().Equal(want) {
				t.Errorf("it speaks of %v at %v, want both at %v", got, time.Now(), want)
			}
			if got := <-b; !got.Equal(want) || !time.Now().Equal(want) {
				t.Errorf("the other hears of %v at %v, want %v", got, time.Now(), want)
			}
		}
		if got := <-deaf; !got.Equal(first) {
			t.Errorf("who was deaf hears of %v first, want %v", got, first)
		}
		select {
		case got := <-deaf:
			t.Errorf("who was deaf hears of %v, which was over", got)
		default:
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
