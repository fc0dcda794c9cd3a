// Package machine is what the gateway runs on: I²C buses, the kernel's sensors, pins and clocks, the real
// ones or emulated ones, and sockets. Above it nothing differs between the two.
//
// It refuses to know what is read from the buses and who drives the pins.
package machine

import (
	"fmt"
	"log/slog"
	"maps"
	"slices"

	"periph.io/x/conn/v3/i2c"

	"sensorgateway/cmd/gateway/internal/config"
	"sensorgateway/sensors/bus"
	"sensorgateway/sensors/timer"
)

// Buses are the I²C buses of a configuration by their names, opened when they
// are first used.
type Buses map[string]*bus.Bus

// OpenBuses returns the machine's buses, or emulated ones if simulate is not nil.
func OpenBuses(cfg *config.Config, simulate *Simulation, log *slog.Logger) (Buses, error) {
	open := realBus
	if simulate != nil {
		open = simulate.bus(cfg)
	}
	hw, all := Pins(cfg, simulate), Buses{}
	for _, s := range cfg.Sensors {
		if all[s.Bus] != nil || s.Class != "" {
			continue
		}
		opener, err := open(s.Bus)
		if err != nil {
			return nil, err
		}
		all[s.Bus] = bus.New(bus.Name(s.Bus), opener, log)
		all[s.Bus].SetTimers(timer.Kernel)
		prepare, steps := (func() error)(nil), []bus.Step(nil)
		if simulate == nil {
			steps = furtherSteps(cfg.BusRecovery, s.Bus)
		}
		if p := powerOf(cfg, s.Bus, hw); len(p.names) > 0 {
			prepare = p.feed
			steps = append(steps, bus.Step{Name: "power", Does: "power of the I²C bus's chips is cut for a while", Take: p.cut})
		}
		all[s.Bus].SetRecovery(prepare, steps...)
	}
	return all, nil
}

// Of returns what the chip of a sensor is on: one of the buses, or a channel on it.
func (b Buses) Of(s config.Sensor) bus.Managed {
	if s.Mux == (config.Mux{}) {
		return b[s.Bus]
	}
	return b[s.Bus].Channel(s.Mux.Address, s.Mux.Channel)
}

// Bounded is [Buses.Of] for callers that cannot be left behind in a transaction.
func (b Buses) Bounded(s config.Sensor) bus.Bounded { return bus.Bounded{Managed: b.Of(s)} }

// WarnClaimed warns of a kernel's driver that has a sensor's chip, or the multiplexer
// that the chip is behind.
func WarnClaimed(s config.Sensor, log *slog.Logger) {
	what, address := "chip", s.Address
	if s.Mux != (config.Mux{}) {
		what, address = "chip's multiplexer", s.Mux.Address
	}
	driver, device, ok := bus.Claimed(s.Bus, address)
	if !ok {
		return
	}
	fix := fmt.Sprintf("echo %s | sudo tee /sys/bus/i2c/drivers/%s/unbind", device, driver)
	if s.Mux != (config.Mux{}) {
		fix = fmt.Sprintf("instead of mux write bus: i2c-%s-mux (chan_id %d), which is the kernel's for the channel", bus.Number(s.Bus), s.Mux.Channel)
	}
	log.Warn("the kernel's own driver holds this "+what+", and both will disturb each other", "sensor", s.Name, "driver", driver, "fix", fix)
}

// Repeats calls f for each bus with how many transactions were made again.
func (b Buses) Repeats(f func(bus string, n int64)) {
	for _, name := range slices.Sorted(maps.Keys(b)) {
		f(name, b[name].Repeats())
	}
}

// Recoveries calls f for each bus and step that it takes when nobody answers.
func (b Buses) Recoveries(f func(bus, step string, taken, helped int64)) {
	for _, name := range slices.Sorted(maps.Keys(b)) {
		b[name].Recoveries(func(step string, r *bus.Recovery) { f(name, step, r.Taken.Load(), r.Helped.Load()) })
	}
}

// Close closes all buses.
func (b Buses) Close() {
	for _, one := range b {
		_ = one.Close() // the process ends, and the bus with it
	}
}

type opener = func() (i2c.BusCloser, error)

func realBus(name string) (opener, error) {
	return func() (i2c.BusCloser, error) { return bus.Open(name) }, nil
}
