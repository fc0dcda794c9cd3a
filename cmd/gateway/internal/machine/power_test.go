package machine

import (
	"errors"
	"fmt"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"sensorgateway/cmd/gateway/internal/config"
	"sensorgateway/gateway/pins"
)

// missingChip has no lines until it is there.
type missingChip struct {
	*pins.Sim
	there bool
}

func (m *missingChip) Line(name string, activeLow bool) (pins.Line, error) {
	if !m.there && name == "GPIO12" {
		return nil, errors.New("no such chip")
	}
	return m.Sim.Line(name, activeLow)
}

// The lines of a bus feed from their claim on, and are low for half a second when the
// power is to be cut.
func TestPowerOfABus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := &config.Config{Sensors: []config.Sensor{
			{Name: "a", Bus: "1", Power: "GPIO11"}, {Name: "b", Bus: "1", Power: "GPIO11"},
			{Name: "c", Bus: "1", Power: "GPIO12"}, {Name: "d", Bus: "3", Power: "GPIO13"}, {Name: "e", Bus: "1"},
		}}
		chip := &missingChip{Sim: pins.NewSim(nil)}
		p := powerOf(cfg, "1", chip)
		if err := p.feed(); err == nil || err.Error() != "power of the chips: no such chip" {
			t.Errorf("without a chip: %v", err)
		}
		chip.there = true
		start := time.Now()
		for _, step := range []func() error{p.feed, p.feed, p.cut, p.feed} {
			if err := step(); err != nil {
				t.Fatal(err)
			}
		}
		var got []string
		for _, e := range chip.Edges() {
			if !e.Time.Before(start) {
				got = append(got, fmt.Sprintf("%s %v %v", e.Pin, e.Value, e.Time.Sub(start)))
			}
		}
		want := "[GPIO11 1 0s GPIO12 1 0s GPIO11 0 100ms GPIO12 0 100ms GPIO11 1 600ms GPIO12 1 600ms]"
		if text := fmt.Sprint(got); text != want || time.Since(start) != 700*time.Millisecond {
			t.Errorf("got %s within %v, want %s", text, time.Since(start), want)
		}
		if none := powerOf(cfg, "2", chip); len(none.names) != 0 {
			t.Errorf("a bus without: %v", none.names)
		}
	})
}

// Lines of a chip that went away and is back are claimed again, so that they feed again.
func TestPowerThatReturns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		chip := pins.NewSim(nil)
		p := powerOf(&config.Config{Sensors: []config.Sensor{{Name: "a", Bus: "1", Power: "GPIO11"}}}, "1", chip)
		if err := p.feed(); err != nil {
			t.Fatal(err)
		}
		chip.Break("GPIO11", syscall.ENODEV)
		if err := p.cut(); !errors.Is(err, syscall.ENODEV) {
			t.Errorf("without the chip: %v", err)
		}
		if err := p.feed(); !errors.Is(err, syscall.ENODEV) {
			t.Errorf("without the chip: %v", err)
		}
		chip.Repair("GPIO11")
		for _, step := range []func() error{p.feed, p.cut, p.feed} {
			if err := step(); err != nil {
				t.Errorf("it is back: %v", err)
			}
		}
	})
}
