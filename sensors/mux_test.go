package sensors_test

import (
	"context"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"periph.io/x/conn/v3/i2c"

	"sensorgateway/sensors"
	"sensorgateway/sensors/bus"
	"sensorgateway/sensors/sim"
	"sensorgateway/wire"
)

// muxed is a bus with an SHT3x and a BME280 at the same addresses behind three channels
// of two multiplexers, and another SHT3x on the bus itself.
type muxed struct {
	emulated *sim.Bus
	configs  []sensors.Config
}

func newMuxed(t *testing.T) *muxed {
	t.Helper()
	m := &muxed{emulated: sim.NewBus("bus 1", sim.NewEnvironment(1), 1)}
	b := bus.New("bus 1", m.emulated.Open, slog.New(slog.DiscardHandler))
	t.Cleanup(func() { _ = b.Close() })
	add := func(on interface {
		Add(string, uint16, sim.Place) error
	}, way i2c.Bus, chip string, addr uint16, place sim.Place) {
		if err := on.Add(chip, addr, place); err != nil {
			t.Fatal(err)
		}
		m.configs = append(m.configs, sensors.Config{ID: uint16(len(m.configs)), Name: chip, Chip: sensors.Chips()[chip], Bus: way, Address: addr, Interval: 100 * time.Millisecond})
	}
	for i, at := range []struct {
		mux     uint16
		channel uint8
	}{{0x70, 0}, {0x70, 5}, {0x71, 5}} {
		if i != 1 {
			if err := m.emulated.AddMux(at.mux); err != nil {
				t.Fatal(err)
			}
		}
		place := []sim.Place{sim.Indoor, sim.Outdoor, sim.Indoor}[i]
		add(m.emulated.Channel(at.mux, at.channel), b.Channel(at.mux, at.channel), "sht3x", 0x44, place)
		add(m.emulated.Channel(at.mux, at.channel), b.Channel(at.mux, at.channel), "bme280", 0x76, place)
	}
	add(m.emulated, b, "sht3x", 0x45, sim.Indoor)
	return m
}

// read reads for a time and calls tick after each tick. It returns how many records
// each sensor has, and how many of them are good.
func (m *muxed) read(t *testing.T, long time.Duration, tick func(n int)) (made, good []int) {
	t.Helper()
	made, good = make([]int, len(m.configs)), make([]int, len(m.configs))
	ctx, cancel := context.WithTimeout(context.Background(), long)
	defer cancel()
	ticks := 0
	s := sensors.NewSampler(sensors.Options{
		Sensors: m.configs, Clock: sensors.NewClock(sensors.ClockOptions{}), Log: slog.New(slog.DiscardHandler),
		Publish: func(records []wire.Record, _ int64) {
			for _, r := range records {
				if made[r.Sensor]++; r.Fault == wire.Good {
					good[r.Sensor]++
				}
			}
			ticks++
			tick(ticks)
		},
	})
	if err := s.Run(ctx); err != nil {
		t.Fatal(err)
	}
	return made, good
}

// Chips with one address behind several channels are read side by side: each answers
// for itself, also while the multiplexers are reset again and again.
func TestMultiplexers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMuxed(t)
		made, good := m.read(t, 20*time.Second, func(n int) {
			if n%3 == 0 {
				m.emulated.ResetMux(0x70 + uint16(n%2))
			}
		})
		for i := range made {
			if made[i] < 190 || good[i] != made[i] {
				t.Errorf("sensor %d: %d of %d good", i, good[i], made[i])
			}
		}
	})
}

// A multiplexer that is unplugged takes the chips behind it with it, and of the others
// at most a reading or two; plugged in again, it is found at the next tick.
func TestMultiplexerUnplugged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMuxed(t)
		if err := m.emulated.Inject(0x70, sim.Failure{Kind: sim.Unplug, For: 5 * time.Second}); err != nil {
			t.Fatal(err)
		}
		made, good := m.read(t, 20*time.Second, func(int) {})
		for i := range made {
			least, most := made[i]-2, made[i]
			if i < 4 { // behind it, for 50 ticks
				least, most = made[i]-52, made[i]-48
			}
			if made[i] < 190 || good[i] < least || good[i] > most {
				t.Errorf("sensor %d: %d of %d good, want %d to %d", i, good[i], made[i], least, most)
			}
		}
	})
}

// Bad wiring at a multiplexer costs as little as at a chip: to select is one transaction
// more, which is repeated too.
func TestBadWiringAtMultiplexer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMuxed(t)
		for _, addr := range []uint16{0x70, 0x71} {
			if err := m.emulated.Inject(addr, sim.Failure{Kind: sim.Vanish, Share: 0.1}); err != nil {
				t.Fatal(err)
			}
		}
		made, good := m.read(t, 200*time.Second, func(int) {})
		for i := range made {
			lost := 1 - float64(good[i])/float64(made[i])
			t.Logf("sensor %d: %.2f %% lost", i, 100*lost)
			// At most nine transactions, with up to two to select in front of each.
			if made[i] < 1990 || lost > 27*0.001+0.005 {
				t.Errorf("sensor %d: %d of %d good", i, good[i], made[i])
			}
		}
	})
}
