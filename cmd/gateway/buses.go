package main

import (
	"fmt"
	"log/slog"
	"strconv"
	"strings"

	"periph.io/x/conn/v3/i2c"
	"periph.io/x/conn/v3/i2c/i2creg"

	"sensorgateway/cmd/gateway/internal/config"
	"sensorgateway/sensors/bus"
	"sensorgateway/sensors/sim"
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
		_ = one.Close() // the process ends, and with it what is left of the bus
	}
}

func busName(n int) string { return fmt.Sprintf("bus %d", n) }

type opener = func() (i2c.BusCloser, error)

func realBus(n int) (opener, error) {
	if err := bus.Register(n); err != nil {
		return nil, err
	}
	return func() (i2c.BusCloser, error) { return i2creg.Open(strconv.Itoa(n)) }, nil
}

// simulation is what --simulate asks for.
type simulation struct {
	flaky bool
	room  *sim.Room
	seed  uint64
}

// parseSimulation reads steady[:SEED] or flaky[:SEED]; "" is none.
func parseSimulation(s string) (*simulation, error) {
	if s == "" {
		return nil, nil
	}
	mode, seed, given := strings.Cut(s, ":")
	asked := &simulation{flaky: mode == "flaky", seed: 1}
	if mode != "steady" && mode != "flaky" {
		return nil, fmt.Errorf("%s: write --simulate, --simulate=steady or --simulate=flaky, and :SEED behind it for another room", s)
	}
	if given {
		var err error
		if asked.seed, err = strconv.ParseUint(seed, 10, 64); err != nil {
			return nil, fmt.Errorf("%s: the seed is a whole number, such as --simulate=%s:42", s, mode)
		}
	}
	asked.room = sim.NewRoom(asked.seed)
	return asked, nil
}

// bus returns what opens the emulated bus with a number: the chips that the
// configuration puts there, in one room. A sensor whose name begins with "out"
// is outdoors.
func (s *simulation) bus(cfg *config.Config) func(n int) (opener, error) {
	return func(n int) (opener, error) {
		b := sim.NewBus(busName(n), s.room, s.seed+uint64(n))
		for _, chip := range cfg.Sensors {
			if chip.Bus != n {
				continue
			}
			place := sim.Indoor
			if strings.HasPrefix(chip.Name, "out") {
				place = sim.Outdoor
			}
			if err := b.Add(chip.Chip, chip.Address, place); err != nil {
				return nil, err
			}
		}
		if s.flaky {
			b.SetFlaky()
		}
		return b.Open, nil
	}
}
