package machine

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"periph.io/x/conn/v3/gpio"

	"sensorgateway/gateway/pins"
)

// lateChip is a chip that appears.
type lateChip struct {
	*pins.Sim
	there bool
	tries int
}

func (l *lateChip) Input(name string, pull gpio.Pull) (pins.Input, error) {
	if l.tries++; !l.there {
		return nil, errors.New("no such chip")
	}
	return l.Sim.Input(name, pull)
}

// An input that cannot be claimed counts as pressed, and is read once its chip is there.
func TestEStopInputThatAppears(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		chip := &lateChip{Sim: pins.NewSim(func(string, float64) {})}
		chip.SetInput("GPIO22", gpio.Low)
		pressed := EStopInput(chip, "GPIO22", slog.New(slog.NewTextHandler(&log, nil)))
		for range 500 { // 10 s
			if is, err := pressed(); !is || err == nil {
				t.Fatalf("%v, %v", is, err)
			}
			time.Sleep(20 * time.Millisecond)
		}
		if chip.tries != 10 {
			t.Errorf("tried %d times in 10 s", chip.tries)
		}
		chip.there = true
		time.Sleep(time.Second)
		if is, err := pressed(); is || err != nil {
			t.Errorf("a closed contact: %v, %v", is, err)
		}
		chip.SetInput("GPIO22", gpio.High)
		if is, err := pressed(); !is || err != nil {
			t.Errorf("an open one: %v, %v", is, err)
		}
		if text := log.String(); strings.Count(text, "\n") != 2 || !strings.Contains(text, "no motor will start") || !strings.Contains(text, "can be read") {
			t.Errorf("log:\n%s", text)
		}
	})
}

// An input whose chip goes away counts as pressed, and is claimed again when the chip is back.
func TestEStopInputThatReturns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		chip := &lateChip{Sim: pins.NewSim(func(string, float64) {}), there: true}
		chip.SetInput("GPIO22", gpio.Low)
		pressed := EStopInput(chip, "GPIO22", slog.New(slog.NewTextHandler(&log, nil)))
		look := func(when string, want bool) {
			t.Helper()
			if is, err := pressed(); is != want || err != nil {
				t.Errorf("%s: %v, %v", when, is, err)
			}
		}
		look("a closed contact", false)
		time.Sleep(time.Minute)
		chip.there = false
		chip.Kill()     // nothing of the old claim works any more
		for range 500 { // 10 s
			if is, err := pressed(); !is || err == nil {
				t.Fatalf("away: %v, %v", is, err)
			}
			time.Sleep(20 * time.Millisecond)
		}
		if chip.tries != 1+10 {
			t.Errorf("claimed %d times, of these 10 s once a second", chip.tries)
		}
		chip.there = true
		time.Sleep(time.Second)
		look("back", false)
		chip.SetInput("GPIO22", gpio.High)
		look("back, open", true)
		if text := log.String(); strings.Count(text, "\n") != 2 || !strings.Contains(text, "no motor will start") || !strings.Contains(text, "can be read") {
			t.Errorf("log:\n%s", text)
		}
	})
}
