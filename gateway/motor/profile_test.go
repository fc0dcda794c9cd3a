package motor

import (
	"math"
	"testing"
	"time"
)

func TestRamp(t *testing.T) {
	bubble(t, m1(func(c *Config) { c.Ramp = 100 * ms }), func(r *rig) {
		r.pass(100 * ms) // which do not count
		if s := r.do(anna, "start"); !s.Running || s.Speed != 0 {
			t.Errorf("at the start: %+v", s)
		}
		r.pass(50 * ms)
		if got := r.out(0).now(); math.Abs(got-0.4) > 1e-9 { // the step at 40 ms
			t.Errorf("after 50 ms: %v", got)
		}
		if s := r.do(anna, `status`); math.Abs(s.Speed-0.5) > 1e-9 { // as of now, not of the last step
			t.Errorf("status after 50 ms: %+v", s)
		}
		r.pass(50 * ms)
		r.runs(1)
		r.do(anna, `set "speed":0.75`)
		r.pass(24 * ms)
		if got := r.out(0).now(); math.Abs(got-0.8) > 1e-9 {
			t.Errorf("ramping down: %v", got)
		}
		r.pass(1 * ms)
		r.runs(0.75)
		r.pass(time.Second)
		n := len(r.drives())
		r.pass(time.Hour)
		if len(r.drives()) != n {
			t.Error("driven after it reached its goal")
		}
		r.do(anna, "stop")
		if got := r.out(0).now(); got != 0 {
			t.Errorf("a stop ramped: %v", got)
		}
	})
	bubble(t, []Config{{Name: "m1", Ramp: time.Second}}, func(r *rig) { // a relay has no ramp
		r.do(anna, "start")
		r.runs(1)
	})
}

// TestRampChangesGoal: a new goal before the end of a ramp starts from the present speed.
func TestRampChangesGoal(t *testing.T) {
	bubble(t, m1(func(c *Config) { c.Ramp = time.Second }), func(r *rig) {
		r.do(anna, "start")
		r.pass(507 * ms)
		r.do(anna, `set "speed":0`)
		at := r.out(0).now()
		if math.Abs(at-0.507) > 1e-9 {
			t.Errorf("at 507 ms: %v", at)
		}
		r.pass(507 * ms)
		r.runs(0)
		r.pass(time.Hour)
		r.runs(0) // it runs, at speed 0, until somebody stops it
	})
}

func TestReversing(t *testing.T) {
	tests := []struct {
		name string
		cfg  func(*Config)
		want []driven
	}{
		{"at once, but through zero", nil, []driven{{0, 1}, {50 * ms, 0}, {50 * ms, -1}}},
		{"dwell", func(c *Config) { c.Dwell = 70 * ms }, []driven{{0, 1}, {50 * ms, 0}, {120 * ms, -1}}},
		{"ramp and dwell", func(c *Config) { c.Ramp, c.Dwell = 40*ms, 70*ms }, []driven{
			{0, 0}, {20 * ms, 0.5}, {40 * ms, 1}, // up
			{50 * ms, 1}, {70 * ms, 0.5}, {90 * ms, 0}, // down
			{180 * ms, -0.5}, {200 * ms, -1}, // after 70 ms
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			bubble(t, m1(test.cfg), func(r *rig) {
				r.do(anna, "start")
				r.pass(50 * ms)
				r.do(anna, `set "direction":"reverse"`)
				r.pass(time.Second)
				r.runs(-1)
				r.wantDrives(test.want...)
				if s := r.States()[0]; s.Direction != "reverse" || s.Speed != 1 {
					t.Errorf("%+v", s)
				}
			})
		})
	}
}

// TestDwellAfterStop: the dwell holds for a start too, and counts from when
// the motor was off; the same direction needs no dwell.
func TestDwellAfterStop(t *testing.T) {
	bubble(t, m1(func(c *Config) { c.Dwell = 100 * ms }), func(r *rig) {
		r.do(anna, "start")
		r.pass(time.Second)
		r.do(anna, "stop")
		r.pass(30 * ms)
		r.do(anna, "stop") // changes nothing
		r.do(anna, `start`)
		r.runs(1)
		r.do(anna, "stop")
		r.pass(30 * ms)
		if s := r.do(anna, `start "direction":"reverse"`); !s.Running || s.Speed != 0 || s.Direction != "reverse" {
			t.Errorf("%+v", s)
		}
		r.pass(70*ms - 1)
		r.runs(0)
		r.pass(1)
		r.runs(-1)
		r.do(anna, `set "direction":"forward"`)
		r.pass(50 * ms)
		r.do(anna, `set "direction":"reverse"`) // during the dwell
		r.runs(-1)
	})
}

func TestMinPause(t *testing.T) {
	bubble(t, m1(func(c *Config) { c.MinPause = time.Second }), func(r *rig) {
		r.pass(time.Second)
		r.do(anna, "start")
		r.pass(time.Hour)
		r.do(anna, "stop")
		r.pass(time.Second - 1)
		r.refused(anna, "start", 409, "m1 pauses between runs: 1ms more")
		r.pass(1)
		r.do(anna, "start")
		r.runs(1)
		r.do(anna, `set "speed":0`) // speed 0 counts as off
		r.pass(500 * ms)
		r.do(anna, `set "speed":1`)
		r.pass(500*ms - 1)
		r.runs(0)
		r.pass(1)
		r.runs(1)
		r.do(anna, `set "direction":"reverse"`)
		r.pass(time.Second - 1)
		r.runs(0)
		r.pass(1)
		r.runs(-1)
	})
}

// TestProfileAdvances: however small the rest, the next change is due later than now.
func TestProfileAdvances(t *testing.T) {
	now := time.Now()
	for _, goal := range []float64{1.1e-9, -1.4e-9, 1e-6, 1} {
		p := profile{ramp: ms, goal: goal}
		p.set(0, now)
		for at, steps := now, 0; p.speed != goal; steps++ {
			speed, next := p.at(at)
			p.set(speed, at)
			if steps > 10 || p.speed != goal && !next.After(at) {
				t.Fatalf("goal %v: speed %v, next change at %v, now it is %v", goal, speed, next, at)
			}
			at = next
		}
	}
}
