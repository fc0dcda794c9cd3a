package machine

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"strconv"
	"strings"

	"periph.io/x/conn/v3/gpio"

	"sensorgateway/cmd/gateway/internal/config"
	"sensorgateway/gateway/pins"
	"sensorgateway/sensors/bus"
	"sensorgateway/sensors/sim"
)

// Simulation is what --simulate asks for.
type Simulation struct {
	flaky       bool
	replayed    bool // what the chips answer is a recording: the buses have none
	environment *sim.Environment
	seed        uint64
}

// ParseSimulation reads steady[:SEED] or flaky[:SEED]; "" is none.
func ParseSimulation(s string) (*Simulation, error) {
	if s == "" {
		return nil, nil
	}
	mode, seed, given := strings.Cut(s, ":")
	asked := &Simulation{flaky: mode == "flaky", seed: 1}
	if mode != "steady" && mode != "flaky" {
		return nil, fmt.Errorf("%s: write --simulate, --simulate=steady or --simulate=flaky, and :SEED behind it for another environment", s)
	}
	if given {
		var err error
		if asked.seed, err = strconv.ParseUint(seed, 10, 64); err != nil {
			return nil, fmt.Errorf("%s: the seed is a whole number, such as --simulate=%s:42", s, mode)
		}
	}
	asked.environment = sim.NewEnvironment(asked.seed)
	return asked, nil
}

// Replayed is the simulation around chips whose answers are a recording.
func Replayed() *Simulation {
	return &Simulation{replayed: true, seed: 1, environment: sim.NewEnvironment(1)}
}

// bus returns what opens the emulated bus with a name: the chips that the
// configuration puts there, in one environment.
func (s *Simulation) bus(cfg *config.Config) func(name string) (opener, error) {
	return func(name string) (opener, error) {
		b := sim.NewBus(bus.Name(name), s.environment, s.seed+busSeed(name))
		for _, chip := range cfg.Sensors {
			if s.replayed || chip.Bus != name || chip.Further != "" {
				continue
			}
			if err := add(b, chip, placeOf(chip.Name)); err != nil {
				return nil, err
			}
		}
		if s.flaky {
			b.SetFlaky()
		}
		return b.Open, nil
	}
}

// add puts a sensor's chip on the bus or behind its multiplexer, which it adds if needed.
func add(b *sim.Bus, s config.Sensor, place sim.Place) error {
	if s.Mux == (config.Mux{}) {
		return b.Add(s.Chip, s.Address, place)
	}
	channel := b.Channel(s.Mux.Address, s.Mux.Channel)
	if channel == nil {
		if err := b.AddMux(s.Mux.Address); err != nil {
			return err
		}
		channel = b.Channel(s.Mux.Address, s.Mux.Channel)
	}
	return channel.Add(s.Chip, s.Address, place)
}

// placeOf returns where a sensor is: outdoors, if its name begins with "out".
func placeOf(sensor string) sim.Place {
	if strings.HasPrefix(sensor, "out") {
		return sim.Outdoor
	}
	return sim.Indoor
}

// busSeed makes emulated buses differ: it is a bus's number, or made of its name.
func busSeed(name string) uint64 {
	if n, err := strconv.ParseUint(name, 10, 8); err == nil {
		return n
	}
	h := fnv.New64a()
	_, _ = h.Write([]byte(name)) // never fails
	return h.Sum64()
}

// Pins returns the machine's pins, or emulated ones if simulate is not nil.
func Pins(cfg *config.Config, simulate *Simulation) pins.Hardware {
	if simulate == nil {
		return pins.System()
	}
	return simulate.pins(cfg)
}

// pins returns emulated pins. The one that sets the first motor's speed drives
// the fan of the emulated environment, and the e-stop's contact is closed.
func (s *Simulation) pins(cfg *config.Config) pins.Hardware {
	fan := ""
	if len(cfg.Motors) > 0 {
		o := cfg.Motors[0].Output
		fan = cmp.Or(o.PWM, o.Enable, o.Pin, o.In1)
	}
	emulated := pins.NewSim(func(pin string, duty float64) {
		if pin == fan {
			s.environment.SetFan(duty)
		}
	})
	if cfg.EStopPin != "" {
		emulated.SetInput(cfg.EStopPin, gpio.Low)
	}
	return emulated
}
