package machine

import (
	"log/slog"
	"time"

	"periph.io/x/conn/v3/gpio"

	"sensorgateway/gateway/pins"
)

// claimEvery is how often an e-stop input that could not be claimed is tried again.
const claimEvery = time.Second

// EStopInput returns what reads the e-stop's contact at a pin, for one goroutine. An input that cannot be
// claimed counts as pressed: its chip may appear later.
func EStopInput(hw pins.Hardware, pin string, log *slog.Logger) func() (pressed bool, err error) {
	var (
		input   pins.Input
		failed  error
		retryAt time.Time
	)
	return func() (bool, error) {
		if now := time.Now(); (input == nil || failed != nil) && !now.Before(retryAt) {
			before := failed
			retryAt = now.Add(claimEvery)
			switch input, failed = hw.Input(pin, gpio.PullUp); {
			case failed != nil && before == nil:
				log.Error("the e-stop input cannot be read, so it counts as pressed: no motor will start", "err", failed)
			case failed == nil && before != nil:
				log.Info("the e-stop input can be read: motors can start after a reset")
			}
		}
		if failed != nil {
			return true, failed
		}
		level, err := input.Level()
		return level == gpio.High, err // closed to ground is released
	}
}
