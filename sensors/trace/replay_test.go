package trace

import (
	"bytes"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"periph.io/x/conn/v3/i2c"

	"sensorgateway/sensors"
	"sensorgateway/sensors/bus"
	"sensorgateway/wire"
)

// On a trace the shipped drivers give the same results as when it was recorded.
func TestReplayAsFastAsItGoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		trace, _ := recordedFor(t, bad(t), 2*time.Second)
		h, r, err := Run(bytes.NewReader(trace), sensors.Chips())
		if err != nil || h.Gateway != "v1" || r.Different != 0 || r.Skipped != 0 || r.Calls != bytes.Count(trace, []byte("\n"))-1 || r.Failed == 0 {
			t.Errorf("%+v, %+v, %v", h, r, err)
		}
	})
}

// A sampler on a trace publishes the records that were published when it was
// recorded, bit by bit, the failed ones too.
func TestReplayAtSpeedGivesTheSameRecords(t *testing.T) {
	var trace []byte
	var want []sample
	synctest.Test(t, func(t *testing.T) {
		b := emulated(t)
		b.SetFlaky()
		managed := bus.New("bus 1", b.Open, slog.New(slog.DiscardHandler))
		trace, want = recordedFor(t, managed, 30*time.Second)
		if err := managed.Close(); err != nil {
			t.Error(err)
		}
	})
	var got []sample
	synctest.Test(t, func(t *testing.T) {
		h, calls, err := Read(bytes.NewReader(trace))
		if err != nil {
			t.Fatal(err)
		}
		p := NewPlayer(h, calls, true)
		got = sampled(t, func(i int) i2c.Bus { return p.Bus(i) }, 30*time.Second, p.Chip)
		if r := p.Result(); r.Different > 0 {
			t.Errorf("%+v", r)
		}
	})
	failed := 0
	bySensor := func(all []sample) (lists [4][]sample) {
		for _, r := range all {
			lists[r.sensor] = append(lists[r.sensor], r)
		}
		return lists
	}
	wantBySensor, gotBySensor := bySensor(want), bySensor(got)
	for id := range wantBySensor {
		w, g := wantBySensor[id], gotBySensor[id]
		if len(w) < 100 || len(g) != len(w) {
			t.Errorf("sensor %d: %d records, then %d", id, len(w), len(g))
			continue
		}
		for i := range w {
			if w[i].fault != wire.Good {
				failed++
			}
			if w[i] != g[i] {
				t.Errorf("sensor %d: %+v, then %+v", id, w[i], g[i])
				break
			}
		}
	}
	if failed < 20 {
		t.Errorf("only %d records failed", failed)
	}
}

// A driver that makes other transfers than the recorded one is noticed.
func TestDifferencesAreFound(t *testing.T) {
	measured := func(c Call) bool { return c.Do == Sense && c.Fault == 0 }
	for name, change := range map[string]func(*Call){
		"a value":           func(c *Call) { c.Values[0]++ },
		"a command":         func(c *Call) { c.Transfers[0].Write[0]++ },
		"an answer":         func(c *Call) { c.Transfers[len(c.Transfers)-1].Read[0] ^= 0x10 },
		"less to read":      func(c *Call) { c.Transfers[len(c.Transfers)-1].Read = nil },
		"nothing more":      func(c *Call) { c.Transfers = c.Transfers[:1] },
		"it failed then":    func(c *Call) { c.Values, c.Failure = nil, Failure{Error: "x", Fault: uint8(wire.NoAck)} },
		"a transfer failed": func(c *Call) { c.Transfers[0].Failure = Failure{Error: "x", Fault: uint8(wire.Timeout), Errno: 110} },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				trace, _ := recordedFor(t, emulated(t), time.Second)
				h, calls, err := Read(bytes.NewReader(trace))
				if err != nil {
					t.Fatal(err)
				}
				change(&calls[slices.IndexFunc(calls, measured)])
				_, r, err := Run(bytes.NewReader(written(t, h, calls)), sensors.Chips())
				if err != nil || r.Different != 1 || len(r.Differences) != 1 || !strings.Contains(r.Differences[0], ", sense at ") || !strings.Contains(r.Differences[0], ": recorded ") {
					t.Errorf("%+v, %v", r, err)
				}
			})
		})
	}
}
