package sim_test

import (
	"bytes"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"sensorgateway/sensors/sim"
	"sensorgateway/wire"
)

// observe reads a chip ten times a second for a minute, and returns what each
// tick showed. A tick that was missed because the one before took too long is
// late too.
func observe(b *sim.Bus, chip reader) (ticks [600]wire.Fault) {
	const interval, stuckAfter = 100 * ms, time.Second
	start := time.Now()
	var before []byte
	var since time.Time
	for n := range ticks {
		due := start.Add(time.Duration(n) * interval)
		if time.Since(due) > 0 {
			ticks[n] = wire.Timeout
			continue
		}
		time.Sleep(time.Until(due))
		r, err := chip.read(b)
		switch {
		case err != nil:
			ticks[n] = wire.FaultOf(err)
		case time.Since(due) > interval:
			ticks[n] = wire.Timeout
		case !bytes.Equal(r, before):
			before, since = r, time.Now()
		case time.Since(since) >= stuckAfter:
			ticks[n] = wire.Stuck
		}
	}
	return ticks
}

func TestFlakyPromise(t *testing.T) {
	for seed := range uint64(20) {
		synctest.Test(t, func(t *testing.T) {
			b := newBus(t, seed)
			for _, chip := range readers {
				if err := chip.init(b); err != nil {
					t.Fatal(err)
				}
			}
			b.SetFlaky()
			var all sync.WaitGroup
			seen := make([][600]wire.Fault, len(readers))
			for i, chip := range readers {
				all.Go(func() { seen[i] = observe(b, chip) })
			}
			all.Wait()
			for i, chip := range readers {
				checkPromise(t, fmt.Sprintf("seed %d, %s", seed, chip.model), chip, seen[i])
			}
		})
	}
}

func checkPromise(t *testing.T, name string, chip reader, ticks [600]wire.Fault) {
	t.Helper()
	corrupt := wire.Checksum
	if chip.model == "bme280" {
		corrupt = wire.Implausible
	}
	least := map[wire.Fault]int{wire.NoAck: 3, corrupt: 2, wire.Stuck: 5, wire.Timeout: 1}
	for from := 0; from+100 <= len(ticks); from++ {
		count := tally(ticks[from : from+100])
		for fault, n := range least {
			if count[fault] < n {
				t.Fatalf("%s: ten seconds from %.1f s on show %v, want %v at least %d times", name, float64(from)/10, count, fault, n)
			}
		}
	}
	count := tally(ticks[:])
	if count[wire.Good] < 370 { // 62 %
		t.Errorf("%s: only %d of 600 are good: %v", name, count[wire.Good], count)
	}
	if count[wire.Other] != 0 {
		t.Errorf("%s: unexpected: %v", name, count)
	}
}

func tally(ticks []wire.Fault) map[wire.Fault]int {
	count := make(map[wire.Fault]int)
	for _, f := range ticks {
		count[f]++
	}
	return count
}

// Both kinds of stall occur: those that a bus with a limit of 250 ms waits out, and
// those at which it gives up. All chips wait.
func TestFlakyStalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBus(t, 1)
		b.SetFlaky()
		below, above := 0, 0
		for start := time.Now(); time.Since(start) < time.Minute; time.Sleep(10 * ms) {
			began := time.Now()
			_ = b.Tx(sht, nil, nil) // it may have vanished
			switch d := time.Since(began); {
			case d > 150*ms && d < 250*ms:
				below++
			case d > 250*ms && d <= 300*ms:
				above++
			case d != 0:
				t.Errorf("a stall of %v", d)
			}
		}
		if below < 3 || above < 3 {
			t.Errorf("%d short and %d long stalls in a minute", below, above)
		}
	})
}

// However seldom a chip is read, most of its readings are good, and some are not.
func TestFlakySeldomRead(t *testing.T) {
	for _, interval := range []time.Duration{time.Second, 5 * time.Second, 9 * time.Second, 10 * time.Second, time.Minute, 3 * time.Minute, time.Hour} {
		for _, chip := range append(readers, slow) {
			if chip.model == slow.model && interval < 5*time.Second {
				continue
			}
			synctest.Test(t, func(t *testing.T) {
				b := newBus(t, 1)
				if err := chip.init(b); err != nil {
					t.Fatal(err)
				}
				b.SetFlaky()
				const ticks = 600
				good := 0
				for n, start := 1, time.Now(); n <= ticks; n++ {
					time.Sleep(time.Until(start.Add(time.Duration(n) * interval)))
					if _, err := chip.read(b); err == nil {
						good++
					}
				}
				if good < ticks*62/100 || good == ticks {
					t.Errorf("%s, read every %v: %d of %d are good", chip.model, interval, good, ticks)
				}
			})
		}
	}
}

// slow is an SCD4x: the answer that has a measurement comes every 5 s.
var slow = reader{"scd4x", 0x62,
	func(b *sim.Bus) error {
		if err := b.Add("scd4x", 0x62, sim.Indoor); err != nil {
			return err
		}
		return b.Tx(0x62, []byte{0x21, 0xB1}, nil)
	},
	func(b *sim.Bus) ([]byte, error) {
		if err := b.Tx(0x62, []byte{0xEC, 0x05}, nil); err != nil {
			return nil, err
		}
		r := make([]byte, 9)
		if err := b.Tx(0x62, nil, r); err != nil {
			return nil, err
		}
		for i := 0; i < len(r); i += 3 {
			if crc(r[i:i+2]) != r[i+2] {
				return nil, wire.Checksum
			}
		}
		return r, nil
	}}

func TestFlakyComesFromTheSeed(t *testing.T) {
	run := func(seed uint64) (ticks [600]wire.Fault) {
		synctest.Test(t, func(t *testing.T) {
			b := newBus(t, seed)
			b.SetFlaky()
			ticks = observe(b, readers[0])
		})
		return ticks
	}
	first := run(1)
	if first != run(1) {
		t.Error("the same seed failed otherwise")
	}
	if first == run(2) {
		t.Error("another seed failed in the same way")
	}
}
