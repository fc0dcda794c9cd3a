package main

import (
	"fmt"
	"log/slog"

	"periph.io/x/conn/v3/i2c"

	"sensorgateway/cmd/gateway/internal/config"
	"sensorgateway/sensors/bus"
)

// buses are the I²C buses of a configuration by their numbers, opened when they
// are first used.
type buses map[int]*bus.Bus

// openBuses returns the machine's buses, or emulated ones. Above them nothing
// differs.
func openBuses(cfg *config.Config, simulate *simulation, log *slog.Logger) (buses, error) {
	open := realBus
	if simulate != nil {
		open = simulate.bus(cfg)
	}
	all := buses{}
	for _, s := range cfg.Sensors {
		if all[s.Bus] != nil {
			continue
		}
		opener, err := open(s.Bus)
		if err != nil {
			return nil, err
		}
		all[s.Bus] = bus.New(busName(s.Bus), opener, log)
	}
	return all, nil
}

func (b buses) close() {
	for _, one := range b {
		_ = one.Close() // the process ends, and the bus with it
	}
}

func busName(n int) string { return fmt.Sprintf("bus %d", n) }

type opener = func() (i2c.BusCloser, error)

func realBus(n int) (opener, error) {
	return func() (i2c.BusCloser, error) { return bus.Open(n) }, nil
}
