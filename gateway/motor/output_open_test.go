package motor

import (
	"errors"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"sensorgateway/gateway/pins"
)

var bridge = Spec{Kind: HBridge, In1: "GPIO23", In2: "GPIO24", Enable: "GPIO18", Standby: "GPIO25"}

func TestOpen(t *testing.T) {
	for _, tt := range []struct {
		what    string
		spec    Spec
		speed   float64
		carries map[string]float64 // while it is driven with speed
		off     map[string]float64
	}{
		{"relay", Spec{Kind: OnOff, Pin: "17"}, 1, map[string]float64{"GPIO17": 1}, map[string]float64{"GPIO17": 0}},
		{"relay, active low", Spec{Kind: OnOff, Pin: "GPIO17", ActiveLow: true}, 1, map[string]float64{"GPIO17": 0}, map[string]float64{"GPIO17": 1}},
		{"bridge", bridge, 0.5, map[string]float64{"GPIO23": 1, "GPIO24": 0, "GPIO18": 1, "GPIO25": 1},
			map[string]float64{"GPIO23": 0, "GPIO24": 0, "GPIO18": 0, "GPIO25": 0}},
		{"channel", Spec{Kind: DirPWM, Dir: "GPIO23", PWM: "pwmchip0/0"}, -0.25, map[string]float64{"GPIO23": 1, "pwmchip0/0": 0.25},
			map[string]float64{"GPIO23": 0, "pwmchip0/0": 0}},
	} {
		t.Run(tt.what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sim := pins.NewSim(nil)
				out, err := Open(tt.spec, sim)
				if err != nil {
					t.Fatal(err)
				}
				check := func(when string, want map[string]float64) {
					t.Helper()
					for pin, v := range want {
						if got := sim.Value(pin); got != v {
							t.Errorf("%s: %s carries %v, want %v", when, pin, got, v)
						}
					}
				}
				check("opened", tt.off)
				if err := out.Drive(tt.speed); err != nil {
					t.Fatal(err)
				}
				check("driven", tt.carries)
				if got, err := out.State(); got != tt.speed || err != nil {
					t.Errorf("reads %v, %v", got, err)
				}
				if err := out.Close(); err != nil {
					t.Error(err)
				}
				check("closed", tt.off)
				again, err := Open(tt.spec, sim)
				if err != nil {
					t.Fatalf("not released: %v", err)
				}
				again.Close()
			})
		})
	}
}

// If a pin of an output cannot be claimed, none stays claimed or on, and the error
// names each that could not be claimed.
func TestOpenFails(t *testing.T) {
	for _, pin := range bridge.Pins() {
		sim := pins.NewSim(nil)
		sim.Break(pin, syscall.ENODEV)
		sim.Break("GPIO25", syscall.ENODEV)
		out, err := Open(bridge, sim)
		if out != nil || !errors.Is(err, syscall.ENODEV) || !strings.Contains(err.Error(), pin) || !strings.Contains(err.Error(), "standby: claim GPIO25") {
			t.Errorf("%s: %v, %v", pin, out, err)
		}
		sim.Repair(pin)
		sim.Repair("GPIO25")
		if out, err = Open(bridge, sim); err != nil {
			t.Errorf("%s: still claimed: %v", pin, err)
			continue
		}
		out.Close()
	}
	sim := pins.NewSim(nil)
	sim.Break("pwmchip0/0", syscall.ENODEV)
	_, err := Open(Spec{Kind: DirPWM, Dir: "1", PWM: "pwmchip0/0"}, sim)
	if err == nil || !strings.Contains(err.Error(), "pwm: claim pwmchip0/0: no such device") {
		t.Errorf("%v", err)
	}
}

// A motor runs while its process is killed; another process ends it.
func TestAllOffAfterKill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := pins.NewSim(nil)
		specs := []Spec{
			bridge,
			{Kind: OnOff, Pin: "GPIO17", ActiveLow: true},
			{Kind: DirPWM, Dir: "GPIO5", PWM: "pwmchip0/0"},
			{Kind: OnOff, Pin: "GPIO4"},
		}
		var outputs []Output
		for _, s := range specs {
			out, err := Open(s, sim)
			if err != nil {
				t.Fatal(err)
			}
			if err := out.Drive(0.7); err != nil {
				t.Fatal(err)
			}
			outputs = append(outputs, out)
		}
		time.Sleep(25 * time.Millisecond) // a pulse is high
		sim.Kill()
		time.Sleep(time.Second)
		running := map[string]float64{"GPIO23": 1, "GPIO18": 1, "GPIO25": 1, "GPIO17": 0, "pwmchip0/0": 0.7, "GPIO4": 1}
		for pin, v := range running {
			if got := sim.Value(pin); got != v {
				t.Fatalf("after the kill %s carries %v, want %v", pin, got, v)
			}
		}

		sim.Break("GPIO23", syscall.ENODEV)
		busy, err := sim.Line("GPIO4", false)
		if err != nil {
			t.Fatal(err)
		}
		if err := busy.Out(true); err != nil {
			t.Fatal(err)
		}
		before := len(sim.Edges())
		err = AllOff(specs, sim)
		if !errors.Is(err, syscall.ENODEV) || !errors.Is(err, syscall.EBUSY) ||
			!strings.Contains(err.Error(), "in1: claim GPIO23") || !strings.Contains(err.Error(), `pin: claim GPIO4: device or resource busy: held by "gateway"`) {
			t.Errorf("error %v", err)
		}
		for pin, v := range map[string]float64{"GPIO18": 0, "GPIO24": 0, "GPIO25": 0, "GPIO17": 1, "GPIO5": 0, "pwmchip0/0": 0, "GPIO23": 1, "GPIO4": 1} {
			if got := sim.Value(pin); got != v {
				t.Errorf("%s carries %v, want %v", pin, got, v)
			}
		}
		// The speed goes first, the standby last.
		var order []string
		for _, e := range sim.Edges()[before:] {
			order = append(order, e.Pin)
		}
		if want := []string{"GPIO18", "GPIO25", "GPIO17", "pwmchip0/0"}; !slices.Equal(order, want) {
			t.Errorf("changed in the order %v, want %v", order, want)
		}

		sim.Repair("GPIO23")
		if err := busy.Close(); err != nil {
			t.Error(err)
		}
		if err := AllOff(specs, sim); err != nil {
			t.Error(err)
		}
		if sim.Value("GPIO23") != 0 || sim.Value("GPIO4") != 0 {
			t.Error("still on after the second time")
		}
		for _, out := range outputs { // the dead process's goroutine, for this test to end
			if err := out.Drive(0); err == nil {
				t.Error("a dead process drives")
			}
		}
	})
}

// While the speed pin of a dead process's motor cannot be claimed, its direction stays.
func TestAllOffLeavesDirection(t *testing.T) {
	sim := pins.NewSim(nil)
	specs := []Spec{{Kind: DirPWM, Dir: "GPIO5", PWM: "pwmchip0/0", Standby: "GPIO6"}}
	out, err := Open(specs[0], sim)
	if err != nil {
		t.Fatal(err)
	}
	if err := out.Drive(-1); err != nil {
		t.Fatal(err)
	}
	sim.Kill()
	sim.Break("pwmchip0/0", syscall.EACCES)
	if err := AllOff(specs, sim); !errors.Is(err, syscall.EACCES) {
		t.Errorf("%v", err)
	}
	if sim.Value("GPIO5") != 1 || sim.Value("GPIO6") != 0 {
		t.Errorf("dir carries %v, standby %v", sim.Value("GPIO5"), sim.Value("GPIO6"))
	}
}
