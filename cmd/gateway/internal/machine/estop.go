package machine

import (
	"log/slog"
	"time"

	"periph.io/x/conn/v3/gpio"

	"sensorgateway/gateway/pins"
)

// claimEvery is how often an e-stop input that cannot be read is claimed.
const claimEvery = time.Second

// EStopInput returns what reads the e-stop's contact at a pin, for one goroutine. An input that cannot be
// claimed or read counts as pressed. It is claimed again: its chip may appear later, or go away and return,
// and what was claimed of a chip that went away cannot be read any more.
func EStopInput(hw pins.Hardware, pin string, log *slog.Logger) func() (pressed bool, err error) {
	var (
		input   pins.Input // nil: it is to be claimed
		failed  error
		retryAt time.Time
	)
	fail := func(err error) (bool, error) {
		if failed == nil {
			log.Error("the e-stop input cannot be read, so it counts as pressed: no motor will start", "err", err)
		}
		failed = err
		return true, err
	}
	return func() (bool, error) {
		if input == nil {
			now := time.Now()
			if now.Before(retryAt) {
				return true, failed
			}
			retryAt = now.Add(claimEvery)
			claimed, err := hw.Input(pin, gpio.PullUp)
			if err != nil {
				return fail(err)
			}
			input = claimed
		}
		level, err := input.Level()
		if err != nil {
			_ = input.Close() // the failure before it says why
			input = nil
			return fail(err)
		}
		if failed != nil {
			log.Info("the e-stop input can be read: motors can start after a reset")
			failed = nil
		}
		return level == gpio.High, nil // closed to ground is released
	}
}
