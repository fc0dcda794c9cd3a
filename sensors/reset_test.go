package sensors_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"periph.io/x/conn/v3/i2c"

	"sensorgateway/sensors"
	"sensorgateway/sensors/sim"
	"sensorgateway/wire"
)

// hanging is a bus whose chip, from a moment on, gives no answer but a fault until it is
// reset.
type hanging struct {
	i2c.Bus
	from  time.Time
	fault wire.Fault
	reset bool
}

func (h *hanging) Tx(addr uint16, w, r []byte) error {
	if !h.reset && time.Now().After(h.from) && len(r) > 0 {
		return fmt.Errorf("0x%02x: %w", addr, h.fault)
	}
	return h.Bus.Tx(addr, w, r)
}

// Each chip that can be reset measures again after it; one that does not acknowledge is
// not reset.
func TestResets(t *testing.T) {
	for name, chip := range sensors.Chips() {
		for _, fault := range []wire.Fault{wire.Checksum, wire.Timeout, wire.NoAck} {
			if chip.Reset == nil {
				continue
			}
			t.Run(fmt.Sprint(name, " ", fault), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { testReset(t, name, chip, fault) })
			})
		}
	}
}

// An SCD4x that a program before has left measuring every 30 s is started anew: it gives as many
// readings as any other.
func TestSCD4xOfAnotherPace(t *testing.T) {
	for _, interval := range []time.Duration{5 * time.Second, 20 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			b := sim.NewBus("bus 1", sim.NewEnvironment(1), 1)
			if err := b.Add("scd4x", 0x62, sim.Indoor); err != nil {
				t.Fatal(err)
			}
			if err := b.Tx(0x62, []byte{0x21, 0xAC}, nil); err != nil {
				t.Fatal(err)
			}
			var faults []wire.Fault
			s := sensors.NewSampler(sensors.Options{
				Sensors: []sensors.Config{{Name: "air", Chip: sensors.Chips()["scd4x"], Bus: b, Address: 0x62, Interval: interval}},
				Clock:   sensors.NewClock(sensors.ClockOptions{}),
				Publish: func(records []wire.Record, _ int64) { faults = append(faults, records[0].Fault) },
				Log:     slog.New(slog.DiscardHandler),
			})
			ctx, cancel := context.WithTimeout(t.Context(), 60*interval)
			defer cancel()
			if err := s.Run(ctx); err != nil {
				t.Fatal(err)
			}
			if at := len(faults) / 2; slices.ContainsFunc(faults[at:], func(f wire.Fault) bool { return f != wire.Good }) {
				t.Errorf("every %v: %v", interval, faults)
			}
		})
	}
}

func testReset(t *testing.T, name string, chip sensors.Chip, fault wire.Fault) {
	emulated := sim.NewBus("bus 1", sim.NewEnvironment(1), 1)
	if err := emulated.Add(name, chip.Addresses[0], sim.Indoor); err != nil {
		t.Fatal(err)
	}
	h := &hanging{Bus: emulated, from: time.Now().Add(5 * time.Second), fault: fault}
	reset := chip.Reset
	chip.Reset = func(b i2c.Bus, addr uint16) error {
		err := reset(b, addr)
		h.reset = err == nil
		return err
	}
	var log bytes.Buffer
	var last wire.Record
	s := sensors.NewSampler(sensors.Options{
		Sensors: []sensors.Config{{Name: "indoor", Chip: chip, Bus: h, Address: chip.Addresses[0], Interval: 500 * time.Millisecond}},
		Clock:   sensors.NewClock(sensors.ClockOptions{}),
		Publish: func(records []wire.Record, _ int64) { last = records[0] },
		Log:     slog.New(slog.NewTextHandler(&log, nil)),
	})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := s.Run(ctx); err != nil {
		t.Fatal(err)
	}
	counts := ""
	s.Resets(func(sensor string, taken, helped int64) { counts += fmt.Sprintln(sensor, taken, helped) })
	want, end := "indoor 1 1\n", wire.Good
	if fault == wire.NoAck {
		want, end = "indoor 0 0\n", wire.Absent
	}
	if counts != want || last.Fault != end {
		t.Errorf("%s and the last reading is %v; want %s and %v\n%s", counts, last.Fault, want, end, &log)
	}
	for _, line := range []string{`msg="chip that hangs was reset" sensor=indoor`, `msg="chip measures again since it was reset" sensor=indoor`} {
		if strings.Contains(log.String(), line) != (fault != wire.NoAck) {
			t.Errorf("log, about %s:\n%s", line, &log)
		}
	}
}
