package pins

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"periph.io/x/conn/v3/gpio"
)

// Line is a claimed output line. Its levels are logical: gpio.High is active,
// which on an active-low line is the low voltage.
type Line interface {
	fmt.Stringer                // "GPIO17 on gpiochip0"
	Out(level gpio.Level) error // as that of periph's gpio.PinOut
	Input
}

// Input is a claimed line whose level can be read. Reading changes nothing,
// even if the line is an output.
type Input interface {
	Level() (gpio.Level, error)
	// Close releases the line. On a Raspberry Pi's kernel an output keeps the
	// level it has.
	Close() error
}

// levelNumber is a level as a number: 0 or 1.
func levelNumber(level gpio.Level) float64 {
	if level {
		return 1
	}
	return 0
}

// consumer is the label of a claimed line: gpioinfo shows it, and so does the
// error of the next program that claims the line.
const consumer = "gateway"

// errHeld is why a line or a channel that has the label is not to be had.
var errHeld = errors.New("held by another gateway, or named twice in the configuration; fix: systemctl status gateway")

// LineState is what the kernel knows of a line.
type LineState struct {
	Chip   string // name and label, such as "gpiochip0 (pinctrl-bcm2711)"
	Header bool   // the chip is that of a Raspberry Pi's header: its line N is called GPION
	Offset int
	Output bool
	Holder string // who has claimed it, "" if nobody has
}

// headerChips are the labels of the chips behind a Raspberry Pi's 40 pins. The
// offset of a line there is the number in its name: line 17 is GPIO17.
var headerChips = map[string]bool{
	"pinctrl-bcm2835": true, // 0 to 3
	"pinctrl-bcm2711": true, // 4
	"pinctrl-rp1":     true, // 5
}

// A lineName names a line of a chip, by its name there or by its offset.
type lineName struct {
	chip   string // "gpiochip2"; "" is the chip behind the header
	name   string // "" is by offset
	offset uint32
}

var (
	chipForm = regexp.MustCompile(`^gpiochip(0|[1-9][0-9]{0,3})$`)
	// The names that the kernel gives to lines: 32 bytes with the zero at the end.
	nameForm = regexp.MustCompile(`^[A-Za-z_\[][-A-Za-z0-9_+.:\[\]()]{0,30}$`)
	// A name that contains the offset on the header's chip.
	headerForm = regexp.MustCompile(`^GPIO(0|[1-9][0-9]{0,4})$`)
)

// parseLine parses the name of a line: GPIO17, 17, gpiochip2/17 or gpiochip2/LED.
func parseLine(s string) (lineName, error) {
	var l lineName
	rest := s
	if chip, line, ok := strings.Cut(s, "/"); ok {
		if !chipForm.MatchString(chip) {
			return l, fmt.Errorf("%q is not a GPIO line: write the chip as gpiochip2", s)
		}
		l.chip, rest = chip, line
	}
	if n, err := parseOffset(rest); err == nil {
		l.offset = n
		return l, nil
	}
	if !nameForm.MatchString(rest) || chipForm.MatchString(rest) {
		return lineName{}, fmt.Errorf("%q is not a GPIO line: write GPIO17, 17 or gpiochip2/17", s)
	}
	l.name = rest
	return l, nil
}

// parseOffset parses a decimal number without a sign and leading zeros.
func parseOffset(s string) (uint32, error) {
	n, err := strconv.ParseUint(s, 10, 16) // more than any chip has
	if err == nil && strconv.FormatUint(n, 10) != s {
		err = strconv.ErrSyntax
	}
	return uint32(n), err
}

// String returns the name in its canonical form, in which two names of the same line
// of one chip are equal: a number without a chip is one of the header, GPIO17.
func (l lineName) String() string {
	switch {
	case l.chip == "" && l.name == "":
		return fmt.Sprintf("GPIO%d", l.offset)
	case l.chip == "":
		return l.name
	case l.name == "":
		return fmt.Sprintf("%s/%d", l.chip, l.offset)
	}
	return l.chip + "/" + l.name
}

// on returns the name, for people, of a line that was found on the chip.
func (l lineName) on(chip string) string {
	if l.chip != "" && l.name == "" {
		return fmt.Sprintf("line %d on %s", l.offset, chip)
	}
	return fmt.Sprintf("%s on %s", lineName{name: l.name, offset: l.offset}, chip)
}
