package sensors

import (
	"errors"
	"log/slog"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"periph.io/x/conn/v3/i2c"
	"periph.io/x/conn/v3/physic"

	"sensorgateway/sensors/bus"
	"sensorgateway/wire"
)

// held is an adapter whose transactions do not end until a moment.
type held struct{ until, from time.Time }

func (h *held) String() string                  { return "held" }
func (h *held) SetSpeed(physic.Frequency) error { return nil }
func (h *held) Close() error                    { return nil }
func (h *held) Tx(uint16, []byte, []byte) error {
	if now := time.Now(); !now.Before(h.from) && now.Before(h.until) {
		time.Sleep(h.until.Sub(now))
	}
	return nil
}

// onBus is a quick chip on a bus.
func onBus(b i2c.Bus, id uint16, interval time.Duration) Config {
	addr := 0x44 + id
	chip := &fake{sense: func(n int) (float64, error) { return 20 + float64(n%100)/100, b.Tx(addr, []byte{1}, nil) }}
	cfg := chip.config(id, interval)
	cfg.Bus, cfg.Address = b, addr
	return cfg
}

// A transaction that does not end holds its probe. Each tick of each chip on the bus is
// published all the same, soon with the bus as the cause. Chips on another bus are not
// affected, and afterwards all measure again.
func TestBusHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		adapter := &held{from: begin.Add(1050 * time.Millisecond), until: begin.Add(5950 * time.Millisecond)}
		managed := func(name string, transport i2c.BusCloser) *bus.Bus {
			return bus.New(name, func() (i2c.BusCloser, error) { return transport, nil }, slog.New(slog.DiscardHandler))
		}
		b, other := managed("bus 1", adapter), managed("bus 2", &held{})
		defer b.Close()
		defer other.Close()
		var s *Sampler
		asked := make(chan struct{})
		time.AfterFunc(5*time.Second, func() {
			defer close(asked)
			for id := range 3 {
				err := s.Err(id)
				if !errors.Is(err, wire.BusDown) || !strings.Contains(err.Error(), "hanging since") {
					t.Errorf("sensor %d: the cause is %v", id, err)
				}
			}
		})
		const tick = 100 * time.Millisecond
		got, sampler := samplerOf(&s, 10*time.Second+time.Millisecond, onBus(b, 0, tick), onBus(b, 1, tick), onBus(b, 2, 2*time.Second), onBus(other, 3, tick))
		<-asked
		for id, ticks := range []int{100, 100, 5, 100} {
			records := bySensor(got, uint16(id))
			inOrder(t, records)
			if len(records) != ticks {
				t.Errorf("sensor %d: %d records, want %d", id, len(records), ticks)
			}
			for _, r := range records {
				at := time.UnixMilli(r.UnixMilli).Sub(begin)
				hangs := id != 3 && at > 1050*time.Millisecond && at < 5950*time.Millisecond
				known := hangs && at > 1450*time.Millisecond // a tick ends up to 0.1 s after it began
				switch {
				case !hangs && r.Fault != wire.Good, hangs && r.Fault != wire.Timeout && r.Fault != wire.BusDown, known && r.Fault != wire.BusDown:
					t.Errorf("sensor %d, %v: %v", id, at, r.Fault)
				}
			}
		}
		if sampler.Missed() != 0 {
			t.Errorf("%d ticks missed", sampler.Missed())
		}
	})
}

// Whatever chips there are, and however long some take: each tick of each is published once
// and in order, and quick ones are never late, whichever goroutine waits for the deadlines.
func TestRandomChips(t *testing.T) {
	for seed := range uint64(40) {
		synctest.Test(t, func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 7))
			slow, interval := map[uint16]bool{}, map[uint16]time.Duration{}
			var configs []Config
			for id := range uint16(1 + random.IntN(16)) {
				chip := &fake{sense: good(time.Duration(random.IntN(30)) * time.Millisecond)}
				if slow[id] = random.IntN(3) == 0; slow[id] {
					own := rand.New(rand.NewPCG(seed, uint64(id)))
					chip.sense = func(n int) (float64, error) {
						time.Sleep(time.Duration(own.Int64N(int64(time.Second))) >> own.IntN(10))
						return 20 + float64(n%100)/100, nil
					}
				}
				interval[id] = []time.Duration{50, 100, 100, 100, 250, 1000}[random.IntN(6)] * time.Millisecond
				configs = append(configs, chip.config(id, interval[id]))
			}
			const lasts = time.Minute
			got, s := sample(lasts+time.Millisecond, configs...)
			for id := range interval {
				records := bySensor(got, id)
				inOrder(t, records)
				if n := int(lasts / interval[id]); len(records) != n || s.Missed() != 0 {
					t.Errorf("seed %d, sensor %d of %d: %d records, want %d; %d ticks missed", seed, id, len(interval), len(records), n, s.Missed())
				}
				for _, r := range records {
					if !slow[id] && r.Fault != wire.Good {
						t.Errorf("seed %d, sensor %d of %d: seq %d is %v", seed, id, len(interval), r.Seq, r.Fault)
					}
				}
			}
			for _, m := range got {
				for _, r := range m.records {
					deadline := time.Duration(r.Seq+1) * interval[r.Sensor] // the clock begins at a whole second
					if late := m.at - deadline; late < 0 || !slow[r.Sensor] && late > closeAfter || late > closeAfter+maxRead {
						t.Errorf("seed %d, sensor %d: seq %d is published %v after its deadline", seed, r.Sensor, r.Seq, late)
					}
				}
			}
		})
	}
}

// A stop waits for no transaction that does not end.
func TestStopWhileABusHangs(t *testing.T) {
	for _, since := range []time.Duration{100 * time.Millisecond, time.Minute} {
		synctest.Test(t, func(t *testing.T) {
			begin := time.Now()
			stop := begin.Add(2 * time.Minute)
			adapter := &held{from: stop.Add(-since), until: stop.Add(time.Hour)}
			b := bus.New("bus 1", func() (i2c.BusCloser, error) { return adapter, nil }, slog.New(slog.DiscardHandler))
			other := bus.New("bus 2", func() (i2c.BusCloser, error) { return &held{}, nil }, slog.New(slog.DiscardHandler))
			defer other.Close()
			const tick = 100 * time.Millisecond
			_, _ = sample(stop.Sub(begin), onBus(b, 0, tick), onBus(b, 1, tick), onBus(other, 2, tick), onBus(other, 3, tick)) // an error is a panic
			if d := time.Since(stop); d > 500*time.Millisecond || since > time.Second && d > 100*time.Millisecond {
				t.Errorf("it took %v to stop", d)
			}
			if err := b.Close(); err == nil || !strings.Contains(err.Error(), "hanging since") {
				t.Errorf("the bus is closed with %v", err)
			}
			time.Sleep(2 * time.Hour) // what was left behind ends
		})
	}
}
