package machine

import (
	"cmp"
	"fmt"

	"sensorgateway/cmd/gateway/internal/config"
	"sensorgateway/cmd/gateway/internal/machine/lines"
	"sensorgateway/cmd/gateway/internal/rebind"
	"sensorgateway/sensors/bus"
)

// furtherSteps returns the steps that a configuration asks for against a bus on which
// nobody answers.
func furtherSteps(words []string, name string) (steps []bus.Step) {
	for _, word := range words {
		s := bus.Step{Name: word, Does: "SCL of the I²C bus is clocked", Take: func() error { return freeLines("/", name) }}
		if word == config.Rebind {
			s.Does = "adapter of the I²C bus is rebound to its driver"
			s.Take = func() error { return rebind.Ask(rebind.Dir, cmp.Or(bus.Number(name), name)) }
		}
		steps = append(steps, s)
	}
	return steps
}

// freeLines clocks SCL of a bus, if that is the header's.
func freeLines(root, name string) error {
	for _, a := range bus.Adapters(root) {
		if a.Number == bus.Number(name) && a.Kind != bus.Header {
			return fmt.Errorf("%s is %s, not the header's, whose pins are known", bus.Name(name), a.Kind)
		}
	}
	return lines.Free(root)
}
