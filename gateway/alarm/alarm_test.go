package alarm

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync/atomic"
	"testing"
	"time"

	"sensorgateway/wire"
)

var nan = float32(math.NaN())

// TestTransitions: what readings do to an alarm, one each second.
func TestTransitions(t *testing.T) {
	const plain, held, both = "indoor.temperature > 35", "indoor.temperature > 35 for 10s", "indoor.temperature > 35 for 10s until indoor.temperature < 33"
	const age = "indoor.age > 5s until indoor.age < 1s"
	type feed struct {
		value float32
		time  time.Duration
	}
	const s = time.Second
	for _, tt := range []struct {
		name, condition string
		feeds           []feed
		want            []string
	}{
		{"never", plain, []feed{{35, 60 * s}}, nil},
		{"at once", plain, []feed{{20, s}, {35.1, s}}, []string{"a raised"}},
		{"and cleared", plain, []feed{{36, s}, {35, s}}, []string{"a raised", "a cleared"}},
		{"again", plain, []feed{{36, 3 * s}, {35, 3 * s}, {36, 3 * s}}, []string{"a raised", "a cleared", "a raised"}},
		{"not long enough", held, []feed{{36, 10 * s}, {35, s}, {36, 10 * s}}, nil},
		{"just long enough", held, []feed{{36, 11 * s}}, []string{"a raised"}},
		{"between the limits it stays", both, []feed{{36, 11 * s}, {33, 60 * s}}, []string{"a raised"}},
		{"below both it is cleared", both, []feed{{36, 11 * s}, {33, s}, {32.9, s}}, []string{"a raised", "a cleared"}},
		{"between the limits it is not raised", both, []feed{{34, 60 * s}}, nil},
		{"between the limits the time begins anew", both, []feed{{36, 9 * s}, {34, s}, {36, 10 * s}}, nil},
		{"NaN does not raise", plain, []feed{{nan, 60 * s}}, nil},
		{"NaN does not clear", plain, []feed{{36, s}, {nan, time.Hour}}, []string{"a raised"}},
		{"the next value does", plain, []feed{{36, s}, {nan, 60 * s}, {20, s}}, []string{"a raised", "a cleared"}},
		{"NaN is no end of the time", held, []feed{{36, 6 * s}, {nan, s}, {36, 6 * s}}, []string{"a raised"}},
		{"and does not count for it", held, []feed{{36, 6 * s}, {nan, 60 * s}, {36, 4 * s}}, nil},
		{"until there is enough of it", held, []feed{{36, 6 * s}, {nan, 60 * s}, {36, 6 * s}}, []string{"a raised"}},
		{"NaN, then it no longer holds", held, []feed{{36, 6 * s}, {nan, 60 * s}, {35, s}, {36, 10 * s}}, nil},
		{"NaN first", held, []feed{{nan, 60 * s}, {36, 10 * s}}, nil},
		{"silence raises an age", age, []feed{{20, s}, {nan, 5 * s}}, nil},
		{"after its time", age, []feed{{20, s}, {nan, 6 * s}}, []string{"a raised"}},
		{"a reading clears it", age, []feed{{20, s}, {nan, 9 * s}, {20, 2 * s}}, []string{"a raised", "a cleared"}},
		{"also one that never came", age, []feed{{nan, 6 * s}}, []string{"a raised"}},
		{"an age for a time", "indoor.age > 5s for 5s", []feed{{20, s}, {nan, 10 * s}}, nil},
		{"an age for that time", "indoor.age > 5s for 5s", []feed{{20, s}, {nan, 11 * s}, {20, s}, {20, s}}, []string{"a raised", "a cleared"}},
		{"humidity", "indoor.humidity <= 10 until indoor.humidity > 12", []feed{{10, s}, {12, s}, {12.1, s}}, []string{"a raised", "a cleared"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				r := newRig(t, Options{}, tt.condition)
				defer r.end()
				for _, f := range tt.feeds {
					r.feed(f.value, f.time)
				}
				r.news(tt.want...)
			})
		})
	}
}

// A NaN has no effect, even if no cause says that the measurement failed.
func TestNaNThatClaimsToBeGood(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, Options{}, "indoor.temperature > 35", "indoor.temperature < 5")
		defer r.end()
		r.reading(0, nan)
		r.news()
		r.reading(0, 36)
		r.reading(0, nan)
		r.news("a raised")
	})
}

// A step of the system clock changes no time that a condition must hold: only the
// records' times step with it.
func TestClockSteps(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, Options{}, "indoor.temperature > 35 for 10s")
		defer r.end()
		at := time.Now().UnixMilli()
		for i := range 11 {
			at += map[bool]int64{true: 1000, false: -3_600_000}[i%2 == 0]
			r.Tick([]wire.Record{{Reading: wire.Reading{Values: [2]float32{36, 36}, UnixMilli: at}}}, 0)
			if i < 10 {
				r.news()
				r.pass(time.Second)
			}
		}
		r.pass(0)
		r.news("a raised")
		if got := r.List(everything).Alarms[0].Since; got != wire.Seconds(at) {
			t.Errorf("raised at %v, the record says %v", got, wire.Seconds(at))
		}
	})
}

func TestAcknowledge(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, Options{}, "indoor.temperature > 35", "outdoor.temperature > 35")
		defer r.end()
		want := func(got, want string) {
			t.Helper()
			if got != want {
				t.Errorf("%s, want %s", got, want)
			}
		}
		want(r.acknowledge("anna", "1", "c"), "404 Unknown target: c")
		want(r.acknowledge("anna", "1", "a"), "409 a is not raised")
		r.reading(0, 36)
		want(r.acknowledge("anna", "1", "a"), "acknowledged by anna")
		want(r.acknowledge("anna", "1", "a"), "acknowledged by anna, repeat")
		want(r.acknowledge("bert", "1", "a"), "acknowledged by anna") // who was first
		r.news("a raised", "a acknowledged by anna")
		r.reading(0, 37)
		r.news()
		r.reading(0, 20)
		r.news("a cleared")
		want(r.acknowledge("bert", "2", "a"), "409 a is not raised")
		r.reading(0, 36)
		want(r.acknowledge("anna", "1", "a"), "raised, repeat") // of the one before: it acknowledges nothing
		want(r.acknowledge("anna", "", "a"), "acknowledged by anna")
		r.news("a raised", "a acknowledged by anna")
		_, err := r.Acknowledge(Client{Name: "bert", May: func(sensor, _ string) bool { return sensor != "indoor" }}, wire.Command{Action: wire.Acknowledge, Target: "a"})
		want(fmt.Sprint(err), "a is not in the scope of bert")
		past := time.Now().UnixMilli() - 5
		_, err = r.Acknowledge(Client{Name: "anna", May: everything}, wire.Command{Action: wire.Acknowledge, Target: "a", Expires: &past})
		want(fmt.Sprint(err), "the command expired 5 ms ago")
		r.pass(time.Minute)
		r.end()
		want(r.acknowledge("anna", "3", "a"), "503 shutting down")
	})
}

// TestExpiresWithoutSyncedClock: while the clock is not synchronised, answers to
// acknowledgements with expires say so.
func TestExpiresWithoutSyncedClock(t *testing.T) {
	bubble(t, func(t *testing.T) {
		synced := false
		r := newRig(t, Options{Synced: func() bool { return synced }}, "indoor.temperature > 35")
		defer r.end()
		r.reading(0, 36)
		now := time.Now().UnixMilli()
		past, future := now-5, now+1000
		for _, tt := range []struct {
			expires *int64
			synced  bool
			code    int
			says    bool // that the clock is not synchronised
		}{
			{&past, false, 408, true},
			{&past, true, 408, false},
			{&future, false, 0, true},
			{&future, true, 0, false},
			{nil, false, 0, false},
		} {
			synced = tt.synced
			ack, err := r.Acknowledge(Client{Name: "anna", May: everything}, wire.Command{Action: wire.Acknowledge, Target: "a", Expires: tt.expires})
			code, said := 0, ack.ClockSynced
			if refused, ok := errors.AsType[*wire.Error](err); ok {
				code, said = refused.Code, refused.ClockSynced
			}
			if code != tt.code || (said != nil) != tt.says || said != nil && *said {
				t.Errorf("%+v: %+v, %v", tt, ack, err)
			}
		}
	})
}

// Built-in alarms: a sensor that is lost, and checks.
func TestBuiltIn(t *testing.T) {
	bubble(t, func(t *testing.T) {
		check := newResult(ErrUnknown)
		r := newRig(t, Options{Checks: []Check{
			{Name: StorageFailed, Severity: wire.SeverityCritical, Failure: check.failure},
			{Name: ClockUnsynced, Severity: wire.SeverityWarning, For: time.Hour, Failure: check.failure},
			{Name: MotorFault + ":fan", Motor: "fan", Severity: wire.SeverityCritical, Failure: check.failure},
		}})
		defer r.end()
		r.pass(time.Minute)
		r.news()
		check.set(errors.New("no space left on device"))
		r.Event(wire.Event{Kind: wire.EventStorageFailed}) // at once, not with the next check
		r.pass(0)
		r.news("storage_failed raised", "motor_fault:fan raised")
		r.pass(time.Hour - 2*time.Second)
		r.news()
		check.set(ErrUnknown)
		r.pass(time.Hour)
		r.news()
		check.set(errors.New("again")) // the time in between does not count
		r.pass(time.Second)
		r.news()
		r.pass(4 * time.Second)
		r.news("clock_unsynced raised")
		list := r.List(func(_, motor string) bool { return motor == "" })
		if len(list.Alarms) != 2 || list.Alarms[0].Name != ClockUnsynced || list.Alarms[1].Reason != "no space left on device" {
			t.Errorf("%+v", list)
		}
		if len(list.Conditions) != 0 {
			t.Errorf("conditions of alarms that are built in: %q", list.Conditions)
		}
		check.set(nil)
		r.MotorChanged(wire.MotorState{})
		r.pass(0)
		r.news("storage_failed cleared", "clock_unsynced cleared", "motor_fault:fan cleared")

		r.Event(wire.Event{Kind: wire.EventSensorLost, Sensor: "outdoor", Fault: "no_ack"})
		r.Event(wire.Event{Kind: wire.EventSensorLost, Sensor: "nobody", Fault: "no_ack"})
		r.failure(1, wire.NoAck)
		r.news("sensor_lost:outdoor raised")
		if got := r.List(everything).Alarms[0]; got.Sensor != "outdoor" || got.Reason != "no_ack" {
			t.Errorf("%+v", got)
		}
		r.reading(1, 20)
		r.pass(Settle + time.Second)
		r.news("sensor_lost:outdoor cleared")
	})
}

// What is lost and back by turns is one alarm until it has worked for a while. A sensor works
// as long as its last reading is good, even if the next one comes much later.
func TestBuiltInAlarmsSettle(t *testing.T) {
	bubble(t, func(t *testing.T) {
		storage := newResult(nil)
		r := newRig(t, Options{Checks: []Check{{Name: StorageFailed, Severity: wire.SeverityCritical, Settle: Settle, Failure: storage.failure}}})
		defer r.end()
		lost := func() {
			r.failure(0, wire.Timeout)
			r.Event(wire.Event{Kind: wire.EventSensorLost, Sensor: "indoor", Fault: "timeout"})
			storage.set(errors.New("no space"))
			r.pass(time.Second)
		}
		back := func() {
			r.reading(0, 20)
			storage.set(nil)
		}
		r.reading(0, 20)
		lost()
		r.news("sensor_lost:indoor raised", "storage_failed raised")
		for range 5 {
			back()
			r.pass(Settle - time.Second)
			lost()
		}
		back()
		r.failure(0, wire.Checksum)
		r.pass(Settle + time.Second)
		r.news("storage_failed cleared") // whether the sensor is back is not known
		r.reading(0, 20)
		r.pass(Settle - time.Second)
		r.news()
		r.pass(2 * time.Second)
		r.news("sensor_lost:indoor cleared")
	})
}

// fifty returns alarms with 50 rules that are not run: they only get ticks.
func fifty(t testing.TB) (*Alarms, []wire.Record) {
	o := Options{Sensors: sensorsOfTests, Notify: func(wire.Event) {}, Log: discard}
	for i := range 50 {
		sensor := sensorsOfTests[i%2].Name
		o.Rules = append(o.Rules, Rule{fmt.Sprint("a", i), DefaultSeverity, mustParse(t, sensor+".temperature > 35 for 30s until "+sensor+".temperature < 33")})
	}
	return New(o), []wire.Record{{Reading: wire.Reading{Values: [2]float32{36, 50}}}, {Sensor: 1, Reading: wire.Reading{Values: [2]float32{20, 50}}}, {Sensor: 2, Fault: wire.NoAck}, {Sensor: 9}}
}

func TestTickAllocatesNothing(t *testing.T) {
	a, records := fifty(t)
	if n := testing.AllocsPerRun(100, func() { a.Tick(records, 0) }); n != 0 {
		t.Errorf("%v allocations a tick", n)
	}
}

func BenchmarkTick(b *testing.B) {
	a, records := fifty(b)
	b.ReportAllocs()
	for b.Loop() {
		a.Tick(records, 0)
	}
}

// The recent ones are bounded, and the newest come first.
func TestRecent(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, Options{}, "indoor.temperature > 35")
		defer r.end()
		for i := range wire.RecentAlarms + 5 {
			r.reading(0, 36+float32(i))
			r.pass(time.Second)
			r.reading(0, 20-float32(i))
		}
		list := r.List(everything)
		if len(list.Recent) != wire.RecentAlarms || *list.Recent[0].Value != 20-float32(wire.RecentAlarms+4) || list.Recent[0].Cleared-list.Recent[0].Since != 1 || len(list.Alarms) != 0 {
			t.Errorf("%d recent, %+v", len(list.Recent), list.Recent[0])
		}
	})
}

// A panic of a check reaches whoever guards the goroutines.
func TestGuard(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var guarded atomic.Int64
		r := newRig(t, Options{Guard: func(run func(context.Context) error) func(context.Context) error { guarded.Add(1); return run }})
		r.end()
		if n := guarded.Load(); n != 2 {
			t.Errorf("%d goroutines are guarded, want that of the file and that of the webhook", n)
		}
	})
}
