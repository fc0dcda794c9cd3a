package metrics

import (
	"context"
	"encoding/json"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"sensorgateway/gateway/host"
	"sensorgateway/wire"
)

// What a machine does not have is absent; what cannot be read any more, too.
func TestMetricsOfTheMachine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := fixedSource()
		reads, stuck := 0, make(chan struct{})
		source.Host = func() host.Stats {
			if reads++; reads == 4 {
				<-stuck
			}
			return host.Stats{Load1: new(float64(reads))}
		}
		m := New(source)
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan struct{})
		go func() { m.Run(ctx); close(done) }()
		defer func() { cancel(); <-done }()
		for range 2 {
			exposition(m)
			time.Sleep(1250 * time.Millisecond)
		}
		for _, tt := range []struct {
			after time.Duration
			want  string
		}{{0, "3"}, {4400 * time.Millisecond, "3"}, {200 * time.Millisecond, ""}} {
			time.Sleep(tt.after)
			values := parseMetrics(t, exposition(m))
			if got := values["gateway_host_load1"]; got != tt.want {
				t.Errorf("load %q, want %q", got, tt.want)
			}
			for name := range values {
				if strings.HasPrefix(name, "process_") || strings.HasPrefix(name, "gateway_host_") && name != "gateway_host_load1" {
					t.Errorf("%s is there, and nothing reported it", name)
				}
			}
		}
		close(stuck)
		synctest.Wait()
		if got := parseMetrics(t, exposition(m))["gateway_host_load1"]; got != "5" { // and the tick that waited
			t.Errorf("load %q, want the newest", got)
		}
	})
}

// The machine's numbers are read once a second while somebody asks for them, and seldom
// while nobody does, but never so seldom that the next one to ask gets none.
func TestMachineIsReadForThoseWhoAsk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := fixedSource()
		var reads atomic.Int64
		source.Host = func() host.Stats { return host.Stats{Load1: new(float64(reads.Add(1)))} }
		m := New(source)
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan struct{})
		go func() { m.Run(ctx); close(done) }()
		defer func() { cancel(); <-done }()
		minute := func(ask bool) int64 {
			synctest.Wait()
			before := reads.Load()
			for range 60 {
				if ask && parseMetrics(t, exposition(m))["gateway_host_load1"] == "" {
					t.Error("the machine's numbers are missing")
				}
				time.Sleep(time.Second)
				synctest.Wait()
			}
			return reads.Load() - before
		}
		for range 2 {
			if n := minute(false); n > 60/hostSeldom+1 {
				t.Errorf("%d times in a minute in which nobody asked", n)
			}
			if n := minute(true); n < 58 {
				t.Errorf("%d times in a minute of questions", n)
			}
		}
	})
}

// A hub that asks gets only the numbers that it uses, in few bytes.
func TestMachineForAHub(t *testing.T) {
	source := fixedSource()
	stats := host.Stats{CPU: new(0.125), Load1: new(0.42), CPUTemperature: new(48.312), MemoryTotal: new(uint64(1 << 30)), MemoryAvailable: new(uint64(1 << 29)), DiskFree: new(uint64(20_123_456_789)), Uptime: new(12_345_678.9), ReceivedRate: new(1500.5), SentRate: new(300.5)}
	want, all := stats, stats
	all.Received, all.Sent, all.ProcessCPU, all.ProcessMemory, all.ProcessFiles = new(uint64(1)), new(uint64(2)), new(3.5), new(uint64(4)), new(uint64(5))
	source.Host = func() host.Stats { return all }
	got, err := json.Marshal(New(source).Machine())
	if err != nil || string(got) != string(wire.JSON(want)) || len(got) > 400 {
		t.Errorf("%d bytes: %s, %v", len(got), got, err)
	}
}

func TestStartedAt(t *testing.T) {
	said := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		name     string
		step     time.Duration // of the clock, after an hour
		corrects bool
	}{
		{"no step", 0, false},
		{"jitter", 900 * time.Millisecond, false},
		{"jitter back", -900 * time.Millisecond, false},
		{"the first synchronisation", 56 * 365 * 24 * time.Hour, true},
		{"an hour back", -time.Hour, true},
	} {
		got := startedAt(said, said.Add(time.Hour+tt.step), time.Hour)
		want := said
		if tt.corrects {
			want = said.Add(tt.step)
		}
		if !got.Equal(want) {
			t.Errorf("%s: %v, want %v", tt.name, got, want)
		}
	}
}
