package motor

import (
	"math"
	"reflect"
	"testing"
	"time"

	"sensorgateway/gateway/condition"
	"sensorgateway/wire"
)

// sensors of the tests.
func findSensor(name string) (*wire.SensorInfo, bool) {
	for i, s := range []string{"indoor", "outdoor", "a.b", "air"} {
		if s == name {
			info := &wire.SensorInfo{ID: uint16(i), Name: s}
			if s == "air" {
				info.Values = []wire.Quantity{wire.CO2}
			}
			return info, true
		}
	}
	return nil, false
}

func mustParse(t testing.TB, text string) condition.Condition {
	t.Helper()
	c, err := ParseInterlock(text, findSensor)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// reading has a sensor measure celsius, and as many percent.
func (r *rig) reading(sensor uint16, celsius float32) {
	r.Observe([]wire.Record{{Sensor: sensor, Reading: wire.Reading{Values: [2]float32{celsius, celsius}}}})
}

func (r *rig) failure(sensor uint16, f wire.Fault) {
	r.Observe([]wire.Record{{Sensor: sensor, Fault: f, Reading: wire.Failed(f, 0)}})
}

// A condition on age needs a young reading: an old one does not let a motor run.
func TestParseInterlock(t *testing.T) {
	for text, want := range map[string]string{
		"indoor.age > 1s":        `interlock "indoor.age > 1s": an age takes < or <=`,
		"indoor.age >= 1s":       `interlock "indoor.age >= 1s": an age takes < or <=`,
		"attic.temperature < 60": `interlock "attic.temperature < 60": unknown sensor "attic"`,
	} {
		if _, err := ParseInterlock(text, findSensor); err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
	for _, text := range []string{"indoor.temperature < 60", "indoor.humidity >= 1", "indoor.age < 500ms"} {
		for _, n := range interlocksOf([]condition.Condition{mustParse(t, text)}) {
			if n.holds(sensorState{}, time.Now()) || n.why(sensorState{}, time.Now()) != "no reading yet" {
				t.Errorf("%q holds without a reading", text)
			}
		}
	}
}

func TestInterlocks(t *testing.T) {
	const value, youth = "indoor.temperature < 60", "indoor.age < 500ms"
	feed := func(r *rig, d time.Duration) { // at 10 Hz
		for range d / (100 * ms) {
			r.pass(100 * ms)
			r.reading(0, 20)
		}
	}
	tests := []struct {
		name       string
		conditions []string
		then       func(*rig)
		at         time.Duration
		reason     string // which condition; "" if it goes on
	}{
		{"good all the time", []string{value, youth}, func(r *rig) { feed(r, time.Minute) }, time.Minute, ""},
		{"just below", []string{value}, func(r *rig) { r.reading(0, 59.99) }, 0, ""},
		{"at the limit", []string{value}, func(r *rig) { r.reading(0, 60) }, 0, value},
		{"a float32 is what was written", []string{"indoor.temperature <= 20.1"}, func(r *rig) { r.reading(0, 20.1) }, 0, ""},
		{"humidity", []string{"indoor.humidity >= 10"}, func(r *rig) { r.reading(0, 9.9) }, 0, "indoor.humidity >= 10"},
		{"above", []string{"indoor.humidity > 10"}, func(r *rig) { r.reading(0, 10) }, 0, "indoor.humidity > 10"},
		{"another sensor", []string{value}, func(r *rig) { r.reading(1, 99); r.reading(7, 99) }, 0, ""},
		{"failed", []string{value}, func(r *rig) { r.failure(0, wire.NoAck) }, 0, value},
		{"NaN that claims to be good", []string{value}, func(r *rig) { r.reading(0, float32(math.NaN())) }, 0, value},
		{"failed, but only its age counts", []string{youth}, func(r *rig) { r.failure(0, wire.NoAck) }, 0, ""},
		{"failed until it is old", []string{youth}, func(r *rig) {
			for range 4 {
				r.pass(100 * ms)
				r.failure(0, wire.NoAck)
			}
			r.runs(1)
			r.pass(100 * ms)
		}, 500 * ms, youth},
		{"silent", []string{value, youth}, func(r *rig) { r.pass(500*ms - 1); r.runs(1); r.pass(1) }, 500 * ms, youth},
		{"at most so old", []string{"indoor.age <= 500ms"}, func(r *rig) { r.pass(500 * ms); r.runs(1); r.pass(1) },
			500*ms + 1, "indoor.age <= 500ms"},
		{"silent without a bound", []string{value}, func(r *rig) { r.pass(StaleAfter - 1); r.runs(1); r.pass(1) }, StaleAfter, value},
		{"a generous bound", []string{value, "indoor.age < 10s"}, func(r *rig) { r.pass(10*time.Second - 1); r.runs(1); r.pass(1) },
			10 * time.Second, "indoor.age < 10s"},
		{"bad for one tick", []string{value}, func(r *rig) { r.reading(0, 99); r.reading(0, 20) }, 0, value},
		{"the first of two", []string{youth, value}, func(r *rig) { r.reading(0, 99) }, 0, value},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			bubble(t, m1(func(c *Config) {
				for _, text := range test.conditions {
					c.Interlocks = append(c.Interlocks, mustParse(t, text))
				}
			}), func(r *rig) {
				r.reading(0, 20)
				r.do(anna, "start")
				began := time.Now()
				test.then(r)
				r.pass(0)
				if got := time.Since(began); got != test.at {
					t.Errorf("at %v, want %v", got, test.at)
				}
				if test.reason == "" {
					r.runs(1)
					return
				}
				r.stopped("interlock:"+test.reason, "")
				r.reading(0, 20)
				r.pass(time.Second)
				r.stopped("interlock:"+test.reason, "") // nothing starts by itself
				r.reading(0, 20)
				r.do(anna, "start") // but it may
				r.pass(ms)
				r.runs(1)
			})
		})
	}
}

func TestInterlockRefusals(t *testing.T) {
	bubble(t, m1(func(c *Config) {
		c.Interlocks = []condition.Condition{mustParse(t, "indoor.temperature < 60"), mustParse(t, "outdoor.age < 500ms")}
	}), func(r *rig) {
		const inner, outer = "interlock: indoor.temperature < 60 ", "interlock: outdoor.age < 500ms "
		r.refused(anna, "start", 409, inner+"(no reading yet)")
		r.failure(0, wire.Absent)
		r.refused(anna, "start", 409, inner+"(failed: absent)")
		r.reading(0, 61.2)
		r.refused(anna, "start", 409, inner+"(is 61.2)")
		r.reading(0, 20)
		r.failure(0, wire.Checksum)
		r.refused(anna, "start", 409, inner+"(failed: checksum)")
		r.reading(0, 20)
		r.refused(anna, "start", 409, outer+"(no reading yet)")
		r.failure(1, wire.Checksum)
		r.refused(anna, "start", 409, outer+"(failed: checksum)")
		r.reading(1, 99)
		r.pass(612 * ms)
		r.refused(anna, "start", 409, outer+"(age is 612ms)")
		r.pass(3 * time.Second)
		r.refused(anna, "start", 409, inner+"(age is 3.612s)")
		r.reading(0, 20)
		r.reading(1, 99)
		r.do(anna, "start")
		r.failure(0, wire.NoAck)
		r.refused(anna, `set "speed":1`, 409, "m1 is not running") // the loop need not be there first
	})
}

func TestObserveAllocatesNothing(t *testing.T) {
	bubble(t, m1(func(c *Config) {
		c.Interlocks = []condition.Condition{mustParse(t, "indoor.temperature < 60"), mustParse(t, "indoor.age < 500ms")}
	}), func(r *rig) {
		records := []wire.Record{{Reading: wire.Reading{Values: [2]float32{20}}}, {Sensor: 9}}
		hot := []wire.Record{{Reading: wire.Reading{Values: [2]float32{90}}}}
		if n := testing.AllocsPerRun(100, func() { r.Observe(records); r.Observe(hot) }); n != 0 {
			t.Errorf("%v allocations", n)
		}
	})
}

// TestInterlockStates: a motor's state has its interlocks as they are at that
// moment; their changes are notified of only when the motor changes.
func TestInterlockStates(t *testing.T) {
	const value, youth, other = "indoor.temperature < 60", "outdoor.age < 500ms", "indoor.humidity > 1"
	motors := append(m1(func(c *Config) {
		c.Interlocks = []condition.Condition{mustParse(t, value), mustParse(t, youth)}
	}), Config{Name: "m2", Interlocks: []condition.Condition{mustParse(t, other)}}, Config{Name: "m3"})
	bubble(t, motors, func(r *rig) {
		want := func(when string, first, second, third bool) {
			t.Helper()
			all := [][]wire.Interlock{{{Condition: value, Holds: first}, {Condition: youth, Holds: second}}, {{Condition: other, Holds: third}}, nil}
			ack, err := r.try(anna, "", `status "target":"all"`)
			if err != nil {
				t.Fatal(err)
			}
			for i, states := range [][]wire.MotorState{r.States(), ack.Motors} {
				for j, s := range states {
					if !reflect.DeepEqual(s.Interlocks, all[j]) {
						t.Errorf("%s: %s, way %d: %+v, want %+v", when, s.Target, i, s.Interlocks, all[j])
					}
				}
			}
		}
		want("nothing heard", false, false, false)
		r.reading(0, 20)
		r.reading(1, 20)
		want("all is well", true, true, true)
		r.reading(0, 60)
		want("hot", false, true, true)
		r.failure(0, wire.Checksum)
		want("failed", false, true, false)
		r.reading(0, 20)
		r.pass(500 * ms)
		want("an old one", true, false, true)
		r.pass(StaleAfter)
		want("all old", false, false, false)
		if changes := r.notified(); len(changes) != 0 {
			t.Errorf("notified of %+v", changes)
		}

		r.reading(0, 20)
		r.reading(1, 20)
		if s := r.do(anna, "start"); !s.Interlocks[0].Holds || !s.Interlocks[1].Holds {
			t.Errorf("acknowledged %+v", s)
		}
		r.reading(0, 61)
		r.pass(0)
		changes := r.notified()
		if s := changes[len(changes)-1]; s.Running || s.Interlocks[0].Holds || !s.Interlocks[1].Holds {
			t.Errorf("notified of %+v", s)
		}
	})
}
