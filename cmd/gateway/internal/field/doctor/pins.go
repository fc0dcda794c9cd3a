package doctor

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"sensorgateway/cmd/gateway/internal/config"
	"sensorgateway/gateway/motor"
	"sensorgateway/gateway/pins"
)

// checkPins looks at each motor's lines and PWM channels without claiming them.
func (p *Patient) checkPins(r *Report) {
	for _, m := range p.Cfg.Motors {
		p.checkMotor(r, m)
	}
}

func (p *Patient) checkMotor(r *Report, m config.Motor) {
	var trouble, fixes, seen, early []string
	for _, pin := range m.Output.Pins() {
		if pins.IsChannel(pin) {
			if why, fix := p.channel(pin); why != "" {
				trouble, fixes = append(trouble, why), append(fixes, fix)
			}
			seen = append(seen, pin)
			continue
		}
		line, err := p.Line(pin)
		switch {
		case err != nil:
			trouble = append(trouble, err.Error())
		case line.Holder != "" && !(line.Holder == "gateway" && p.Gateway != ""):
			trouble = append(trouble, fmt.Sprintf("%s is held by %q", pin, line.Holder))
			fixes = append(fixes, "stop that program, or use another line (gpioinfo lists them)")
		}
		seen = append(seen, pin+" "+describe(line))
		on, drives := drivesAt(m.Output, pin)
		if high, known := p.atBoot(line); err == nil && drives && known && high == on {
			early = append(early, fmt.Sprintf("%s is %s from power-up until the gateway starts, which turns %s on", pin, level(on), m.Name))
			fixes = append(fixes, bootFix(line.Offset, on))
		}
	}
	fix := strings.Join(slices.Compact(fixes), "; ")
	switch {
	case len(trouble) > 0:
		r.Add(m.Name, Fail, fix, "%s", strings.Join(trouble, "\n"))
	case len(early) > 0:
		r.Add(m.Name, Warn, fix, "%s", strings.Join(early, "\n"))
	default:
		r.Add(m.Name, Pass, "", "%s%s", strings.Join(seen, ", "), p.strict())
	}
}

// describe says what a line is and who has it.
func describe(l pins.LineState) string {
	direction, holder := "an input", "nobody has it"
	if l.Output {
		direction = "an output"
	}
	if l.Holder != "" {
		holder = l.Holder + " has it"
	}
	return fmt.Sprintf("of %s, %s, %s", l.Chip, direction, holder)
}

// strict says what becomes of outputs whose program ends, on a Raspberry Pi.
func (p *Patient) strict() string {
	if p.text("sys/module/pinctrl_bcm2835/parameters/persist_gpio_outputs") == "N" {
		return "; an output becomes an input when its program ends (strict_gpiod)"
	}
	return ""
}

// drivesAt returns the level of a line at which the motor runs, or may run; ok is false for
// a line that does not decide that alone.
func drivesAt(o motor.Spec, pin string) (high, ok bool) {
	is := func(name string) bool {
		canonical, err := pins.Canonical(name)
		return name != "" && err == nil && canonical == pin
	}
	switch {
	case o.Kind == motor.OnOff:
		return !o.ActiveLow, is(o.Pin)
	case o.Enable != "" || o.PWM != "":
		return true, is(o.Enable) || is(o.PWM)
	}
	return true, is(o.In1) || is(o.In2)
}

// lastUp is the last of the header's lines that a Raspberry Pi draws up from power-up
// on; it draws the others down (BCM2835 ARM Peripherals, table 6-31, column Pull).
const lastUp = 8

// atBoot returns the level of a line from power-up until somebody drives it; ok is false
// if it is not known.
func (p *Patient) atBoot(l pins.LineState) (high, ok bool) {
	if !l.Header {
		return false, false
	}
	high = l.Offset <= lastUp
	for _, path := range []string{"boot/firmware/config.txt", "boot/config.txt"} {
		for _, m := range firmwareGPIO.FindAllStringSubmatch(p.text(path), -1) {
			if !covers(m[1], l.Offset) {
				continue
			}
			for word := range strings.SplitSeq(m[2], ",") {
				switch word {
				case "dh", "pu":
					high = true
				case "dl", "pd":
					high = false
				}
			}
		}
	}
	return high, true
}

// firmwareGPIO is a line of config.txt by which the firmware sets lines up, such as
// gpio=4,9-12=op,dl.
var firmwareGPIO = regexp.MustCompile(`(?m)^gpio=([0-9,-]+)=([a-z0-9,]+)\s*$`)

// covers reports whether a list such as 4,9-12 has a number in it.
func covers(list string, n int) bool {
	for part := range strings.SplitSeq(list, ",") {
		first, last, isRange := strings.Cut(part, "-")
		if !isRange {
			last = first
		}
		from, err := strconv.Atoi(first)
		to, errTo := strconv.Atoi(last)
		if err == nil && errTo == nil && n >= from && n <= to {
			return true
		}
	}
	return false
}

// bootFix says how to change the level at boot of a line that turns a motor on.
func bootFix(offset int, high bool) string {
	others, word := "9 to 27", "dl"
	if !high {
		others, word = "0 to 8", "dh"
	}
	return fmt.Sprintf("use one of GPIO%s, or write gpio=%d=op,%s into /boot/firmware/config.txt and reboot", others, offset, word)
}

func level(high bool) string {
	if high {
		return "high"
	}
	return "low"
}
