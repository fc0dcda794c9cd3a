package pins

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"periph.io/x/conn/v3/gpio"
)

func TestSimClaims(t *testing.T) {
	sim := NewSim(nil)
	l, err := sim.Line("17", false)
	if err != nil {
		t.Fatal(err)
	}
	for _, claim := range []func() error{
		func() error { _, err := sim.Line("GPIO17", false); return err },
		func() error { _, err := sim.Input("GPIO17", gpio.PullUp); return err },
	} {
		if err := claim(); !errors.Is(err, syscall.EBUSY) {
			t.Errorf("claimed twice: %v", err)
		}
	}
	if err := l.Out(gpio.High); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if sim.Value("GPIO17") != 1 {
		t.Error("the level did not outlive its owner")
	}
	if err := l.Out(gpio.Low); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("driven after Close: %v", err)
	}
	if _, err := sim.Line("GPIO17", false); err != nil || sim.Value("GPIO17") != 0 {
		t.Errorf("claimed again: %v, carries %v", err, sim.Value("GPIO17"))
	}
	for _, name := range []string{"", "1 2", "pwmchip0/0"} {
		if _, err := sim.Line(name, false); err == nil {
			t.Errorf("%q is a line", name)
		}
		if _, err := sim.Input(name, gpio.Float); err == nil {
			t.Errorf("%q is an input", name)
		}
	}
	if _, err := sim.PWM("GPIO17", 100); err == nil {
		t.Error("a line is a channel")
	}
}

func TestSimInput(t *testing.T) {
	for pull, want := range map[gpio.Pull]gpio.Level{gpio.PullUp: gpio.High, gpio.PullDown: gpio.Low, gpio.Float: gpio.Low} {
		sim := NewSim(nil)
		in, err := sim.Input("GPIO22", pull)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := in.Level(); got != want || err != nil {
			t.Errorf("%v: reads %v, %v; want %v", pull, got, err, want)
		}
		for _, level := range []gpio.Level{gpio.Low, gpio.High} {
			sim.SetInput("GPIO22", level)
			if got, err := in.Level(); got != level || err != nil {
				t.Errorf("%v: reads %v, %v; driven %v from outside", pull, got, err, level)
			}
		}
	}
	sim := NewSim(nil)
	sim.SetInput("GPIO22", gpio.Low)
	if in, err := sim.Input("GPIO22", gpio.PullUp); err != nil {
		t.Error(err)
	} else if level, _ := in.Level(); level != gpio.Low {
		t.Error("the pull is stronger than a closed contact")
	}
}

// onChange gets the changes in order: the share of time for which the pin is active.
func TestSimChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var changes []string
		start := time.Now()
		sim := NewSim(func(pin string, duty float64) {
			changes = append(changes, fmt.Sprint(time.Since(start), " ", pin, " ", duty))
		})
		relay, err := sim.Line("GPIO17", true)
		if err != nil {
			t.Fatal(err)
		}
		fan, err := sim.PWM("pwmchip0/0", 1000)
		if err != nil {
			t.Fatal(err)
		}
		do := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
		}
		do(relay.Out(gpio.High))
		do(relay.Out(gpio.High)) // no change
		do(fan.Set(0.3))
		sim.Stick("pwmchip0/0", 0) // it jams
		do(fan.Set(0.8))
		if duty, err := fan.Get(); duty != 0 || err != nil {
			t.Errorf("stuck, but reads %v, %v", duty, err)
		}
		sim.Repair("pwmchip0/0")
		do(relay.Out(gpio.Low))
		want := []string{
			"0s GPIO17 0", "0s GPIO17 1", "2s pwmchip0/0 0.3",
			"3s pwmchip0/0 0", "4s pwmchip0/0 0.8", "4s GPIO17 0",
		}
		if !slices.Equal(changes, want) {
			t.Errorf("changes %q,\nwant %q", changes, want)
		}
		if edges := sim.Edges(); len(edges) != len(want) || edges[0] != (Edge{start, "GPIO17", 1}) {
			t.Errorf("edges %v", edges)
		}
	})
}

func TestSimKeepsTheLastEdges(t *testing.T) {
	sim := NewSim(nil)
	p, err := sim.PWM("pwmchip0/0", 1000)
	if err != nil {
		t.Fatal(err)
	}
	const n = keptEdges + 100
	for i := range n {
		if err := p.Set(float64(i+1) / n); err != nil {
			t.Fatal(err)
		}
	}
	edges := sim.Edges()
	if len(edges) != keptEdges || edges[0].Value != float64(101)/n || edges[keptEdges-1].Value != 1 {
		t.Errorf("%d edges, from %v to %v", len(edges), edges[0].Value, edges[len(edges)-1].Value)
	}
}

func TestSimBreaks(t *testing.T) {
	sim := NewSim(nil)
	l, err := sim.Line("GPIO17", false)
	if err != nil {
		t.Fatal(err)
	}
	sim.Break("17", syscall.ENODEV)
	_, readErr := l.Level()
	for _, err := range []error{l.Out(gpio.High), readErr} {
		if !errors.Is(err, syscall.ENODEV) {
			t.Errorf("%v", err)
		}
	}
	sim.Repair("GPIO17")
	if err := l.Out(gpio.High); err != nil || sim.Value("17") != 1 {
		t.Errorf("%v, carries %v", err, sim.Value("17"))
	}
}
