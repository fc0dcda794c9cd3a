package machine

import (
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
			s.Take = func() error { return rebindAdapter("/", name) }
		}
		steps = append(steps, s)
	}
	return steps
}

// freeLines clocks SCL of a bus, if that is the header's.
func freeLines(root, name string) error {
	a, err := adapterOf(root, name)
	switch {
	case err != nil:
		return err
	case a.Kind != bus.Header:
		return fmt.Errorf("%s is %s, not the header's, whose pins are known", bus.Name(name), a.Kind)
	}
	return lines.Free(root)
}

// rebindAdapter has the helper unit rebind the adapter of a bus.
func rebindAdapter(root, name string) error {
	a, err := adapterOf(root, name)
	if err != nil {
		return err
	}
	return rebind.Ask(rebind.Dir, a.Number)
}

// adapterOf returns the adapter of a bus, an error if there is none: one on USB may have
// been unplugged since, and a step must not be taken on another bus.
func adapterOf(root, name string) (bus.Adapter, error) {
	number := bus.Number(name)
	for _, a := range bus.Adapters(root) {
		if a.Number == number {
			return a, nil
		}
	}
	return bus.Adapter{}, fmt.Errorf("%s has no adapter now; fix: plug it in, or see what there is: ls /sys/class/i2c-dev/*/name", bus.Name(name))
}
