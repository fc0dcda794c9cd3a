package pins

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// PWM is a pulse-width modulated output. One goroutine at a time uses it.
type PWM interface {
	fmt.Stringer
	// Set sets the fraction of the time for which the output is active, 0…1.
	// 0 and 1 are levels without pulses; 0 takes effect before Set returns.
	Set(duty float64) error
	// Get reads back what the output is driven with, without disturbing it.
	Get() (duty float64, err error)
	// Close releases the output, after a Set(0).
	Close() error
}

// Frequencies of PWM, in Hz.
const (
	DefaultSoftHz = 100
	MinSoftHz     = 10  // below, a motor jerks
	MaxSoftHz     = 200 // above, the scheduler's jitter is too large a part of a pulse

	DefaultHardHz = 1000
	MinHardHz     = 10
	MaxHardHz     = 100_000 // no H-bridge switches faster
)

// channelName is a channel of a PWM chip, such as pwmchip0/1.
type channelName struct{ chip, channel uint32 }

var channelForm = regexp.MustCompile(`^pwmchip([0-9]{1,4})/([0-9]{1,4})$`)

// IsChannel returns whether a name is meant for a channel of a PWM chip, not for a line.
func IsChannel(s string) bool { return strings.HasPrefix(s, "pwmchip") }

func parseChannel(s string) (channelName, error) {
	if parts := channelForm.FindStringSubmatch(s); parts != nil {
		chip, chipErr := parseOffset(parts[1])
		channel, err := parseOffset(parts[2])
		if chipErr == nil && err == nil {
			return channelName{chip, channel}, nil
		}
	}
	return channelName{}, fmt.Errorf("%q is not a PWM channel: write pwmchip0/0", s)
}

func (c channelName) String() string {
	return "pwmchip" + strconv.Itoa(int(c.chip)) + "/" + strconv.Itoa(int(c.channel))
}

// checkDuty returns an error for a duty that is not from 0 to 1, NaN included.
func checkDuty(duty float64) error {
	if !(duty >= 0 && duty <= 1) {
		return fmt.Errorf("duty %v is not from 0 to 1", duty)
	}
	return nil
}
