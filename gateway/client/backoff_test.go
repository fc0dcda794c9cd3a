package client

import (
	"testing"
	"time"
)

func TestBackoff(t *testing.T) {
	const s = time.Second
	var (
		fails    = outcome{}
		lost     = outcome{success: true}
		restarts = outcome{success: true, retry: new(1234 * time.Millisecond)}
	)
	for _, tt := range []struct {
		name   string
		random float64
		ends   []outcome
		waits  []time.Duration
	}{
		{"doubles up to a minute, then the circuit opens", 0,
			[]outcome{fails, fails, fails, fails, fails, fails, fails, fails, fails, fails, fails, fails},
			[]time.Duration{1 * s, 2 * s, 4 * s, 8 * s, 16 * s, 32 * s, 60 * s, 60 * s, 60 * s, 300 * s, 300 * s, 300 * s}},
		{"the random part", 0.5, []outcome{fails, fails, fails, fails, fails, fails, fails},
			[]time.Duration{1500 * time.Millisecond, 2500 * time.Millisecond, 4500 * time.Millisecond,
				8500 * time.Millisecond, 16500 * time.Millisecond, 32500 * time.Millisecond, 60 * s}},
		{"a success starts over", 0, []outcome{fails, fails, fails, lost, fails, lost, lost},
			[]time.Duration{1 * s, 2 * s, 4 * s, 1 * s, 2 * s, 1 * s, 1 * s}},
		{"a success closes the circuit", 0,
			[]outcome{fails, fails, fails, fails, fails, fails, fails, fails, fails, fails, lost, fails},
			[]time.Duration{1 * s, 2 * s, 4 * s, 8 * s, 16 * s, 32 * s, 60 * s, 60 * s, 60 * s, 300 * s, 1 * s, 2 * s}},
		{"a lost connection is no failed try", 0,
			[]outcome{lost, fails, fails, fails, fails, fails, fails, fails, fails, fails, fails},
			[]time.Duration{1 * s, 2 * s, 4 * s, 8 * s, 16 * s, 32 * s, 60 * s, 60 * s, 60 * s, 60 * s, 300 * s}},
		{"what the server asks for replaces the first wait", 0.5, []outcome{restarts, fails, restarts},
			[]time.Duration{1234 * time.Millisecond, 2500 * time.Millisecond, 1234 * time.Millisecond}},
		{"and no other", 0, []outcome{fails, {retry: new(time.Duration)}}, []time.Duration{1 * s, 2 * s}},
		{"at once", 0.5, []outcome{{success: true, retry: new(time.Duration)}}, []time.Duration{0}},
		{"nor for longer than a minute", 0, []outcome{{success: true, retry: new(time.Hour)}}, []time.Duration{60 * s}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := backoff{random: func() float64 { return tt.random }}
			for i, o := range tt.ends {
				if got := b.next(o); got != tt.waits[i] {
					t.Errorf("wait %d: %v, want %v", i, got, tt.waits[i])
				}
			}
		})
	}
}
