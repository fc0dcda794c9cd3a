package sensors_test

import (
	"context"
	"log/slog"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"periph.io/x/conn/v3/i2c"

	"sensorgateway/sensors"
	"sensorgateway/sensors/bus"
	"sensorgateway/sensors/sim"
	"sensorgateway/wire"
)

// neighbour is the address of a chip that holds the bus; no chip of ours has it.
const neighbour = 0x29

// shared is an adapter that others use too: another program, or a neighbour, which holds
// it for a while whenever it is read, and then answers or fails.
type shared struct {
	i2c.BusCloser
	token chan struct{} // who has put one in has the adapter, as in the kernel
	takes time.Duration
	err   error // of the neighbour's reads
	holds int
}

func (s *shared) Tx(addr uint16, w, r []byte) error {
	s.token <- struct{}{}
	defer func() { <-s.token }()
	switch {
	case addr != neighbour:
		return s.BusCloser.Tx(addr, w, r)
	case len(r) == 0:
		return nil
	}
	s.holds++
	time.Sleep(s.takes)
	return s.err
}

// hold is the transfer of another program.
func (s *shared) hold() {
	s.token <- struct{}{}
	s.holds++
	time.Sleep(s.takes)
	<-s.token
}

// What holds the bus for 2 s costs a chip the readings of that time and one more, but none
// after that.
func TestNeighbourThatHoldsTheBus(t *testing.T) {
	read := func(s *shared, b i2c.Bus) {
		_ = b.Tx(neighbour, []byte{1}, nil)
		_ = b.Tx(neighbour, nil, []byte{0})
	}
	for name, n := range map[string]struct {
		every time.Duration
		err   error
		does  func(*shared, i2c.Bus)
	}{
		"another program":                  {10037 * time.Millisecond, nil, func(s *shared, _ i2c.Bus) { s.hold() }},
		"a chip that is slow now and then": {10037 * time.Millisecond, nil, read},
		"a chip that fails now and then":   {10037 * time.Millisecond, syscall.ETIMEDOUT, read},
		"a chip that is always slow":       {100 * time.Millisecond, nil, read},
		"a chip that always fails":         {100 * time.Millisecond, syscall.ETIMEDOUT, read},
	} {
		for kind, chip := range onI2C() {
			t.Run(name+"/"+kind, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					adapter := &shared{token: make(chan struct{}, 1), takes: 2 * time.Second, err: n.err}
					good, made := besideNeighbour(t, kind, chip, adapter, n.every, n.does)
					interval := max(100*time.Millisecond, chip.MinInterval)
					limit := adapter.holds * int((adapter.takes+interval-1)/interval+1)
					t.Logf("%d holds of %v cost %d of %d readings", adapter.holds, adapter.takes, made-good, made)
					if lost := made - good; made < 20 || lost > limit || 4*good < 3*made && interval < time.Second {
						t.Errorf("%d holds of %v cost %d of %d readings, at most %d may be, and a quarter", adapter.holds, adapter.takes, lost, made, limit)
					}
				})
			})
		}
	}
}

// besideNeighbour reads a chip for ten minutes while its neighbour does something, over
// and over, and returns how many readings were good, of how many since the first good one.
func besideNeighbour(t *testing.T, kind string, chip sensors.Chip, adapter *shared, every time.Duration, does func(*shared, i2c.Bus)) (good, made int) {
	const lasts = 10 * time.Minute
	addr := chip.Addresses[0]
	emulated := sim.NewBus("bus 1", sim.NewEnvironment(1), 1)
	if err := emulated.Add(kind, addr, sim.Indoor); err != nil {
		t.Fatal(err)
	}
	adapter.BusCloser = emulated
	b := bus.New("bus 1", func() (i2c.BusCloser, error) { return adapter, nil }, slog.New(slog.DiscardHandler))
	defer b.Close()
	s := sensors.NewSampler(sensors.Options{
		Sensors: []sensors.Config{{Name: "s", Chip: chip, Bus: b, Address: addr, Interval: max(100*time.Millisecond, chip.MinInterval)}},
		Clock:   sensors.NewClock(sensors.ClockOptions{}), Log: slog.New(slog.DiscardHandler),
		Publish: func(records []wire.Record, _ int64) {
			if records[0].Fault == wire.Good {
				good++
			}
			if good > 0 {
				made++
			}
		},
	})
	ctx, cancel := context.WithTimeout(t.Context(), lasts)
	defer cancel()
	done := make(chan error)
	go func() { done <- s.Run(ctx) }()
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			does(adapter, b)
		case err := <-done:
			if err != nil {
				t.Fatal(err)
			}
			time.Sleep(adapter.takes) // a transfer that has not ended outlasts Close
			return good, made
		}
	}
}
