package config

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"

	"sensorgateway/cmd/gateway/internal/phrase"
	"sensorgateway/gateway/motor"
)

// pinUses are all pins in use, with the keys that name them.
type pinUses []pinUse

type pinUse struct {
	pin string // as [motor.Spec.Pins] has it
	s   *section
	key string
	n   *yaml.Node
}

// nearPinForm is what people write who mean GPIO17.
var nearPinForm = regexp.MustCompile(`(?i)^(?:gpio|bcm)[ _-]?([0-9]{1,2})$`)

// pin reads the name of a pin and notes its use. Whether the name can be one is
// for [motor.Spec.Validate] to say.
func (s *section) pin(key string, uses *pinUses, into *string) *yaml.Node {
	var text string
	n := s.text(key, &text)
	switch {
	case n == nil:
		return nil
	case text == "":
		s.fault(n, key, "%s is not a pin (write one, such as GPIO17, or remove the line)", phrase.Quote(text))
		return nil
	}
	// A line may have any name, so these are valid, but no real line has such a name.
	if m := nearPinForm.FindStringSubmatch(text); m != nil {
		number, _ := strconv.Atoi(m[1])
		if plain := fmt.Sprintf("GPIO%d", number); text != plain {
			s.fault(n, key, "%s is not a pin (write %s)", phrase.Quote(text), plain)
			return nil
		}
	}
	for _, pin := range (motor.Spec{Pin: text}).Pins() {
		*uses = append(*uses, pinUse{pin, s, key, n})
	}
	*into = text
	return n
}

// i2cPins are the pins of the header's buses, by the bus.
var i2cPins = map[string][]string{
	"0": {"GPIO0", "GPIO1"},
	"1": {"GPIO2", "GPIO3"},
}

// headerPin returns the header's name of a pin: its lines are those of the first chip,
// on all but rare systems.
func headerPin(pin string) string {
	if n, first := strings.CutPrefix(pin, "gpiochip0/"); first {
		return "GPIO" + n
	}
	return pin
}

// check notes pins that two motors use, or the e-stop and a motor, or a motor and an
// I²C bus. [motor.Spec.Validate] finds two keys of one motor with the same pin.
func (uses pinUses) check(sensors []Sensor) {
	// The first in the file has the pin, whichever was read first.
	slices.SortStableFunc(uses, func(a, b pinUse) int {
		return cmp.Or(cmp.Compare(a.n.Line, b.n.Line), cmp.Compare(a.n.Column, b.n.Column))
	})
	owners := map[string]pinUse{}
	for _, use := range uses {
		pin := headerPin(use.pin)
		if owner, taken := owners[pin]; taken {
			if owner.s != use.s || owner.pin != use.pin {
				use.s.fault(use.n, use.key, "%s is in use by %s on line %d (choose another)", phrase.Quote(use.n.Value), owner.s.at(owner.key), owner.n.Line)
			}
			continue
		}
		owners[pin] = use
		if i := slices.IndexFunc(sensors, func(sensor Sensor) bool { return sensor.Power == pin }); i >= 0 {
			use.s.fault(use.n, use.key, "%s feeds sensor %s (choose another)", phrase.Quote(use.n.Value), sensors[i].Name)
			continue
		}
		use.leaveBuses(sensors)
	}
}

// leaveBuses notes a pin that is a wire of a bus that sensors need.
func (use pinUse) leaveBuses(sensors []Sensor) {
	for _, sensor := range sensors {
		if slices.Contains(i2cPins[sensor.Bus], headerPin(use.pin)) {
			use.s.fault(use.n, use.key, "%s is a wire of I²C bus %s, which sensor %s needs (choose another, best one of GPIO9 to GPIO27)",
				phrase.Quote(use.n.Value), sensor.Bus, sensor.Name)
			return
		}
	}
}
