package motor

import (
	"reflect"
	"testing"
	"testing/synctest"
	"time"

	"sensorgateway/gateway/condition"
	"sensorgateway/wire"
)

const ms = time.Millisecond

// TestStopReasons: each way to stop, at its moment, and with its reason.
func TestStopReasons(t *testing.T) {
	indoor := []condition.Condition{mustParse(t, "indoor.temperature < 60")}
	tests := []struct {
		name   string
		cfg    func(*Config)
		start  string
		then   func(*rig)
		at     time.Duration // when it is off, since the start
		reason string
		by     string
	}{
		{"stop", nil, `start`, func(r *rig) { r.pass(70 * ms); r.do(ben, "stop") }, 70 * ms, "command", ben},
		{"stop all", nil, `start`, func(r *rig) { r.pass(70 * ms); r.do(ben, `stop "target":"all"`) }, 70 * ms, "command", ben},
		{"lease", nil, `start "lease_ms":300`, nil, 300 * ms, "lease", ""},
		{"lease renewed by keepalive", nil, `start "lease_ms":300`, func(r *rig) {
			r.pass(200 * ms)
			r.do(anna, "keepalive")
		}, 500 * ms, "lease", ""},
		{"lease changed by keepalive", nil, `start "lease_ms":300`, func(r *rig) {
			r.pass(200 * ms)
			r.do(anna, `keepalive "lease_ms":1000`)
		}, 1200 * ms, "lease", ""},
		{"lease renewed by any command", nil, `start "lease_ms":300`, func(r *rig) {
			r.pass(200 * ms)
			r.do(anna, "status")
			r.pass(200 * ms)
			r.do(anna, `set "speed":0.5`)
			r.pass(200 * ms)
			r.do(anna, "start")
		}, 900 * ms, "lease", ""},
		{"lease not renewed by others", nil, `start "lease_ms":300`, func(r *rig) {
			r.pass(200 * ms)
			r.do(ben, "status")
		}, 300 * ms, "lease", ""},
		{"run_ms", nil, `start "run_ms":250`, nil, 250 * ms, "run_ms", ""},
		{"run_ms set again", nil, `start "run_ms":250`, func(r *rig) {
			r.pass(200 * ms)
			r.do(anna, `set "run_ms":250`)
		}, 450 * ms, "run_ms", ""},
		{"run_ms stays", nil, `start "run_ms":250`, func(r *rig) {
			r.pass(200 * ms)
			r.do(anna, `start`)
		}, 250 * ms, "run_ms", ""},
		{"max_run", func(c *Config) { c.MaxRun = time.Second }, `start "lease_ms":900`, func(r *rig) {
			for range 3 {
				r.pass(300 * ms)
				r.do(anna, "start")
			}
		}, time.Second, "max_run", ""},
		{"disconnect", nil, `start`, func(r *rig) { r.pass(90 * ms); r.Lost("ANNA", wire.ReasonDisconnect) }, 90 * ms, "disconnect", anna},
		{"disconnect of the holder", nil, `start`, func(r *rig) {
			r.do(ben, `set "lease_ms":1000`)
			r.pass(90 * ms)
			r.Lost("BEN", wire.ReasonDisconnect)
		}, 90 * ms, "disconnect", ben},
		{"lease after a disconnect", func(c *Config) { c.KeepOnLoss = true }, `start "lease_ms":300`,
			func(r *rig) { r.pass(90 * ms); r.Lost("ANNA", wire.ReasonDisconnect) }, 300 * ms, "lease", ""},
		{"interlock", func(c *Config) { c.Interlocks = indoor }, `start`, func(r *rig) {
			r.pass(90 * ms)
			r.reading(0, 60)
		}, 90 * ms, "interlock:indoor.temperature < 60", ""},
		{"stale", func(c *Config) { c.Interlocks = indoor }, `start`, nil, 3 * time.Second, "interlock:indoor.temperature < 60", ""},
		{"estop", nil, `start`, func(r *rig) { r.pass(90 * ms); r.do(ben, "estop") }, 90 * ms, "estop", ben},
		{"estop by others", nil, `start`, func(r *rig) { r.pass(90 * ms); r.EStop("the door") }, 90 * ms, "estop", "the door"},
		{"off", nil, `start`, func(r *rig) { r.pass(90 * ms); r.Off() }, 90 * ms, "shutdown", ""},
	}
	for _, test := range tests {
		for _, ramp := range []time.Duration{0, time.Minute} { // a stop never waits for a ramp
			t.Run(test.name+" ramp "+ramp.String(), func(t *testing.T) {
				bubble(t, m1(func(c *Config) {
					c.Ramp = ramp
					if test.cfg != nil {
						test.cfg(c)
					}
				}), func(r *rig) {
					if r.motors[0].cfg.Interlocks != nil {
						r.reading(0, 20)
					}
					r.do(anna, test.start)
					began := time.Now()
					if test.then != nil {
						test.then(r)
					}
					if wait := test.at - time.Since(began); wait > 0 {
						r.pass(wait - 1)
						if !r.States()[0].Running {
							t.Fatal("off too early")
						}
						r.pass(1)
					}
					r.stopped(test.reason, test.by)
					if got := time.Since(began); got != test.at {
						t.Errorf("off after %v, want %v", got, test.at)
					}
					last := r.drives()[len(r.drives())-1]
					if last.speed != 0 || last.at != test.at {
						t.Errorf("driven off at %v with %v, want at %v", last.at, last.speed, test.at)
					}
					r.pass(time.Hour)
					r.stopped(test.reason, test.by) // for good
				})
			})
		}
	}
}

func TestShutdown(t *testing.T) {
	bubble(t, append(m1(nil), Config{Name: "m2"}), func(r *rig) {
		r.do(anna, "start")
		r.cancel()
		if err := <-r.ended; err != nil {
			t.Error(err)
		}
		r.ended <- nil // for the rig
		s := r.States()
		if s[0].Running || s[0].Reason != "shutdown" || s[1].Reason != "boot" {
			t.Errorf("got %+v", s)
		}
		r.refused(anna, "start", 503, "shutting down: all motors are off")
		r.refused(anna, "status", 503, "shutting down: all motors are off")
		r.Off() // harmless by now, and so are these
		r.EStop(ben)
		r.Lost("ANNA", wire.ReasonDisconnect)
		if after := r.States(); !reflect.DeepEqual(after, s) {
			t.Errorf("changed %+v\n     to %+v", s, after)
		}
		if last := r.notified()[len(r.notified())-1]; !reflect.DeepEqual(last, s[0]) {
			t.Errorf("notified of %+v last, want %+v", last, s[0])
		}
	})
}

// TestOffBeforeRun: after Off, no command is accepted.
func TestOffBeforeRun(t *testing.T) {
	bubbleWith(t, m1(nil), func(c *Controller) { c.Off() }, func(r *rig) {
		r.refused(anna, "start", 503, "shutting down: all motors are off")
	})
}

func TestBoot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &fakeOutput{born: time.Now(), speed: 1} // left on by a former life
		c := New([]Config{{Name: "m1", Output: out}}, nil, nil)
		_, err := c.Command(client(anna), wire.Command{Action: wire.Start, Target: "m1"})
		if err == nil || err.(*wire.Error).Code != 503 {
			t.Errorf("start before Run: %v", err)
		}
		if len(out.drives) != 0 {
			t.Error("driven before Run")
		}
	})
	out := &fakeOutput{speed: 1}
	cfg := m1(func(c *Config) { c.Output = out })
	bubble(t, cfg, func(r *rig) {
		<-r.Ready()
		if out.now() != 0 {
			t.Error("not driven off")
		}
		if s := r.States()[0]; s.Running || s.Speed != 0 || s.Reason != "boot" || s.Target != "m1" || s.Direction != wire.Forward {
			t.Errorf("%+v", s)
		}
	})
}

// TestLoss: whose lost connection stops a motor.
func TestLoss(t *testing.T) {
	bubble(t, m1(nil), func(r *rig) {
		r.do(anna, "start")
		r.do(ben, `set "speed":0.5`) // turns a knob, and is not the one who started it
		if !r.Running("ANNA") || r.Running("BEN") {
			t.Error("anna runs it, ben does not")
		}
		r.Lost("BEN", wire.ReasonDisconnect)
		r.runs(0.5)
		r.do(ben, `start`)
		if r.Running("ANNA") || !r.Running("BEN") {
			t.Error("ben runs it now")
		}
		r.Lost("ANNA", wire.ReasonDisconnect)
		r.runs(0.5)
		r.do(anna, `set "lease_ms":1000`)
		if !r.Running("ANNA") || !r.Running("BEN") {
			t.Error("both count")
		}
		r.Lost("BEN", wire.ReasonDisconnect)
		r.stopped("disconnect", ben)
		if r.Running("ANNA") || r.Running("BEN") {
			t.Error("nobody runs it")
		}
	})
	bubble(t, m1(func(c *Config) { c.KeepOnLoss = true }), func(r *rig) {
		r.do(anna, "start")
		r.Lost("ANNA", wire.ReasonDisconnect)
		r.pass(time.Hour)
		r.runs(1)
	})
}
