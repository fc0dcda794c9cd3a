package motor

import (
	"errors"
	"math"
	"sync/atomic"
	"testing"
	"time"

	"sensorgateway/wire"
)

var errPin = errors.New("input/output error")

func TestFaults(t *testing.T) {
	tests := []struct {
		name  string
		spoil func(*fakeOutput)
		fault string
	}{
		{"write fails", func(f *fakeOutput) {
			f.failing = func(speed float64) error {
				if speed != 0 {
					return errPin
				}
				return nil
			}
		}, "m1: drive with speed 0.5: input/output error"},
		{"reads back off", func(f *fakeOutput) { f.reads = func(float64) float64 { return 0 } },
			"m1: driven with speed 0.5, but reads back 0"},
		{"reads back another speed", func(f *fakeOutput) { f.reads = func(s float64) float64 { return s * 0.9 } },
			"m1: driven with speed 0.5, but reads back 0.45"},
		{"reads back nonsense", func(f *fakeOutput) {
			f.reads = func(s float64) float64 {
				if s == 0 {
					return 0
				}
				return math.NaN()
			}
		}, "m1: driven with speed 0.5, but reads back NaN"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			bubble(t, append(m1(nil), Config{Name: "m2"}), func(r *rig) {
				r.out(0).alter(test.spoil)
				r.refused(anna, `start "speed":0.5`, 503, test.fault)
				r.stopped("fault", "")
				if s := r.States()[0]; !s.Latched || s.Fault != test.fault {
					t.Errorf("%+v", s)
				}
				r.out(0).alter(func(f *fakeOutput) { f.failing, f.reads = nil, nil })
				r.refused(anna, "start", 503, "fault, reset it first: "+test.fault)
				if s := r.do(anna, "stop"); s.Running || !s.Latched {
					t.Errorf("%+v", s)
				}
				if _, err := r.try(anna, "", `start "target":"m2"`); err != nil {
					t.Errorf("the other motor: %v", err)
				}
				if s := r.do(anna, "reset"); s.Running || s.Latched || s.Fault != "" {
					t.Errorf("%+v", s)
				}
				r.do(anna, "start")
				r.runs(1)
				if !r.States()[1].Running {
					t.Error("the reset stopped the other motor")
				}
			})
		})
	}
}

// TestLostWhileRunning: a pin that is lost between two commands is found.
func TestLostWhileRunning(t *testing.T) {
	bubble(t, m1(nil), func(r *rig) {
		r.do(anna, "start")
		r.runs(1)
		r.out(0).alter(func(f *fakeOutput) {
			f.reads = func(s float64) float64 { return 0 }
		})
		time.Sleep(checkEvery)
		r.stopped("fault", "")
		if s := r.States()[0]; !s.Latched || s.Fault != "m1: driven with speed 1, but reads back 0" {
			t.Errorf("%+v", s)
		}
	})
}

// TestTolerance: PWM has steps, off has not.
func TestTolerance(t *testing.T) {
	bubble(t, m1(nil), func(r *rig) {
		r.out(0).alter(func(f *fakeOutput) { f.reads = func(s float64) float64 { return math.Round(s*100) / 100 } })
		if s := r.do(anna, `start "speed":0.333`); s.Speed != 0.33 {
			t.Errorf("%+v", s)
		}
		r.out(0).alter(func(f *fakeOutput) { f.reads = func(s float64) float64 { return 0.01 } })
		r.refused(anna, "stop", 503, "m1: driven with speed 0, but reads back 0.01")
	})
}

// TestTwoFaults: an answer about several motors is one line.
func TestTwoFaults(t *testing.T) {
	bubble(t, []Config{{Name: "m1"}, {Name: "m2"}}, func(r *rig) {
		for i := range 2 {
			r.out(i).alter(func(f *fakeOutput) { f.failing = func(float64) error { return errPin } })
		}
		r.refused(anna, `stop "target":"all"`, 503,
			"m1: drive with speed 0: input/output error; m2: drive with speed 0: input/output error")
	})
}

// TestCannotBeDrivenOff: the state says so, and it is tried until it succeeds.
func TestCannotBeDrivenOff(t *testing.T) {
	bubble(t, m1(nil), func(r *rig) {
		r.do(anna, `start "run_ms":1000`)
		var attempts atomic.Int32
		r.out(0).alter(func(f *fakeOutput) { f.failing = func(float64) error { attempts.Add(1); return errPin } })
		r.pass(time.Second)
		const fault = "m1: drive with speed 0: input/output error"
		want := func(s wire.MotorState, speed float64, fault string) {
			t.Helper()
			if s.Running || s.Speed != speed || !s.Latched || s.Fault != fault || s.Reason != "fault" {
				t.Errorf("%+v", s)
			}
		}
		want(r.States()[0], 1, fault+"; it cannot be driven off")
		for _, text := range []string{"stop", `stop "target":"all"`, "estop", "reset"} {
			r.refused(ben, text, 503, fault)
		}
		r.refused(ben, "start", 503, "fault, reset it first: "+fault)
		changes := len(r.notified())
		attempts.Store(0)
		for range 1000 {
			r.pass(10 * ms)
			r.poke()
		}
		if n, most := attempts.Load(), int32(2*10*time.Second/retryOff); n < most/2 || n > most+2 {
			t.Errorf("%d attempts in 10 s", n)
		}
		if len(r.notified()) != changes {
			t.Errorf("notified of each attempt: %+v", r.notified()[changes:])
		}
		want(r.do(ben, "status"), 1, fault+"; it cannot be driven off")
		r.out(0).alter(func(f *fakeOutput) { f.failing = nil })
		r.pass(retryOff)
		want(r.States()[0], 0, fault)
		r.pass(time.Second)
		want(r.notified()[len(r.notified())-1], 0, fault)
		r.do(ben, "reset")
		r.do(ben, "start")
		r.runs(1)
	})
}

// TestFaultAtBoot: a motor whose output fails from the start does not stop the others.
func TestFaultAtBoot(t *testing.T) {
	out := &fakeOutput{failing: func(float64) error { return errPin }}
	bubble(t, append(m1(func(c *Config) { c.Output = out }), Config{Name: "m2"}), func(r *rig) {
		if s := r.States()[0]; !s.Latched || s.Reason != "fault" {
			t.Errorf("%+v", s)
		}
		if _, err := r.try(anna, "", `start "target":"m2"`); err != nil {
			t.Error(err)
		}
	})
}

// TestFaultOnTheWay: a fault on a ramp, and one that a status finds.
func TestFaultOnTheWay(t *testing.T) {
	bubble(t, m1(func(c *Config) { c.Ramp = time.Second }), func(r *rig) {
		r.do(anna, "start")
		r.pass(500 * ms)
		r.out(0).alter(func(f *fakeOutput) {
			f.failing = func(s float64) error {
				if s != 0 {
					return errPin
				}
				return nil
			}
		})
		r.pass(rampStep)
		r.stopped("fault", "")
	})
	bubble(t, m1(nil), func(r *rig) {
		r.do(anna, "start")
		r.out(0).alter(func(f *fakeOutput) { f.speed = 0 }) // somebody pulled it down
		if s := r.do(ben, "status"); s.Running || s.Fault != "m1: driven with speed 1, but reads back 0" {
			t.Errorf("%+v", s)
		}
		r.stopped("fault", "")
	})
	bubble(t, m1(nil), func(r *rig) {
		r.do(anna, "start")
		r.out(0).alter(func(f *fakeOutput) { f.mute = errPin })
		if s := r.do(ben, "status"); s.Running || s.Fault != "m1: read back: input/output error; it cannot be driven off" {
			t.Errorf("%+v", s)
		}
	})
}

// TestPanic: a panic of an output is its failure, and does not affect other motors.
func TestPanic(t *testing.T) {
	const fault = "m1: drive with speed 0: panic: bug"
	bubble(t, append(m1(nil), Config{Name: "m2"}), func(r *rig) {
		r.do(anna, "start")
		r.try(anna, "", `start "target":"m2"`)
		r.out(0).alter(func(f *fakeOutput) { f.failing = func(float64) error { panic("bug") } })
		r.refused(anna, "stop", 503, fault)
		if !r.States()[1].Running {
			t.Error("m2 was stopped")
		}
		r.Off()
		if r.out(1).now() != 0 {
			t.Error("m2 is still on")
		}
		r.cancel()
		if err := <-r.ended; err == nil || err.Error() != fault {
			t.Error(err)
		}
		r.ended <- nil // for the rig
	})
}

// TestNaN: the state has a number, whatever an output reads back.
func TestNaN(t *testing.T) {
	out := &fakeOutput{reads: func(float64) float64 { return math.NaN() }}
	bubble(t, m1(func(c *Config) { c.Output = out }), func(r *rig) {
		if s := r.States()[0]; s.Speed != 0 || s.Fault != "m1: driven with speed 0, but reads back NaN; it cannot be driven off" {
			t.Errorf("%+v", s)
		}
	})
}

func TestBeats(t *testing.T) {
	bubble(t, m1(nil), func(r *rig) {
		for range 10 {
			before := r.Beats()
			r.pass(time.Second)
			if r.Beats() == before {
				t.Fatal("no beat for a second")
			}
		}
	})
}
