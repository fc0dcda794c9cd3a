package motor

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"sensorgateway/gateway/condition"
	"sensorgateway/wire"
)

// relay is on or off, one way.
var relay = Config{Name: "m1"}

func TestRefusals(t *testing.T) {
	nothing := func(*rig) {}
	tests := []struct {
		name    string
		cfg     Config
		before  func(*rig)
		command string
		code    int
		message string
	}{
		{"unknown target", relay, nothing, `start "target":"m9"`, 404, "Unknown target: m9"},
		{"unknown target of a stop", relay, nothing, `stop "target":"m9"`, 404, "Unknown target: m9"},
		{"reverse", relay, nothing, `start "direction":"reverse"`, 422, "m1 turns one way only"},
		{"half", relay, nothing, `start "speed":0.5`, 422, "m1 is either on or off: speed must be 0 or 1"},
		{"late", relay, nothing, fmt.Sprintf(`start "expires":%d`, bubbleStart-5), 408, "the command expired 5 ms ago"},
		{"late status", relay, nothing, `status "expires":0`, 408, fmt.Sprintf("the command expired %d ms ago", bubbleStart)},
		{"set of one that is off", relay, nothing, `set "speed":1`, 409, "m1 is not running"},
		{"keepalive of one that is off", relay, nothing, `keepalive`, 409, "m1 is not running"},
		{"keepalive without a lease", relay, func(r *rig) { r.do(anna, "start") }, `keepalive`, 409,
			"m1 has no lease to keep alive: start or set it with lease_ms"},
		{"keepalive after the lease", relay, func(r *rig) { r.do(anna, `start "lease_ms":100`); r.pass(100 * ms) },
			`keepalive`, 409, "m1 is not running"},
		{"start of what another holds", relay, func(r *rig) { r.do(ben, `start "lease_ms":100`) }, `start`, 409, "m1 is held by ben"},
		{"set of what another holds", relay, func(r *rig) { r.do(ben, `start "lease_ms":100`) }, `set "speed":0`, 409, "m1 is held by ben"},
		{"keepalive of what another holds", relay, func(r *rig) { r.do(ben, `start "lease_ms":100`) }, `keepalive`, 409, "m1 is held by ben"},
		{"e-stop", relay, func(r *rig) { r.do(ben, "estop") }, `start`, 409, "e-stop by ben: reset it first"},
		{"e-stop again", relay, func(r *rig) { r.do(ben, "estop"); r.do(anna, "estop") }, `set "speed":1`, 409, "e-stop by ben: reset it first"},
		{"interlock, never seen", Config{Name: "m1", Interlocks: []condition.Condition{mustParse(t, "indoor.temperature < 60")}}, nothing,
			`start`, 409, "interlock: indoor.temperature < 60 (no reading yet)"},
		{"interlock", Config{Name: "m1", Interlocks: []condition.Condition{mustParse(t, "indoor.temperature < 60")}},
			func(r *rig) { r.reading(0, 61.2) }, `start`, 409, "interlock: indoor.temperature < 60 (is 61.2)"},
		{"pause", Config{Name: "m1", MinPause: time.Second}, func(r *rig) {
			r.pass(time.Second)
			r.do(anna, "start")
			r.pass(time.Hour)
			r.do(anna, "stop")
			r.pass(300 * ms)
		}, `start`, 409, "m1 pauses between runs: 700ms more"},
		{"pause from the start of the program", Config{Name: "m1", MinPause: time.Second},
			nothing, `start`, 409, "m1 pauses between runs: 1s more"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			bubble(t, []Config{test.cfg}, func(r *rig) {
				test.before(r)
				before, drives := r.States()[0], len(r.drives())
				r.refused(anna, test.command, test.code, test.message)
				if after := r.States()[0]; !reflect.DeepEqual(after, before) || len(r.drives()) != drives {
					t.Errorf("changed %+v\n     to %+v", before, after)
				}
			})
		})
	}
}

// bubbleStart is when a bubble's time begins, Unix milliseconds.
var bubbleStart = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC).UnixMilli()

// TestStopIsAlwaysObeyed: late, by anybody, held, latched, again.
func TestStopIsAlwaysObeyed(t *testing.T) {
	bubble(t, m1(nil), func(r *rig) {
		for _, text := range []string{`stop "expires":0`, `estop "expires":0`, `stop "target":"all","expires":0`} {
			r.do(anna, `start "lease_ms":10000`)
			for i := range 3 {
				ack, err := r.try(ben, "7", text)
				if err != nil {
					t.Fatalf("%s: %v", text, err)
				}
				s := ack.State
				if s == nil {
					s = &ack.Motors[0]
				}
				if s.Running || s.Speed != 0 || s.By != ben {
					t.Errorf("%s the %d. time: %+v", text, i, s)
				}
				drives := r.drives()
				if got := drives[len(drives)-1-i:]; got[i].speed != 0 {
					t.Errorf("%s the %d. time was not driven: %v", text, i, got)
				}
			}
			r.do(anna, "reset")
		}
	})
}

// TestStopKeepsTheReason: a stop of a motor that is off changes nothing.
func TestStopKeepsTheReason(t *testing.T) {
	bubble(t, m1(nil), func(r *rig) {
		r.do(anna, `start "run_ms":100`)
		r.pass(100 * ms)
		changes := len(r.notified())
		if s := r.do(ben, "stop"); s.Reason != "run_ms" {
			t.Errorf("got %+v", s)
		}
		r.pass(1)
		if len(r.notified()) != changes {
			t.Errorf("notified of %+v", r.notified()[changes:])
		}
	})
}

func TestAcks(t *testing.T) {
	bubble(t, append(m1(nil), Config{Name: "m2"}), func(r *rig) {
		steps := []struct {
			text   string
			target string
			state  wire.MotorState
			others int // motors in the answer
		}{
			{`start "speed":0.25,"lease_ms":5000`, "m1", wire.MotorState{Running: true, Speed: 0.25, Direction: "forward", Reason: "command", By: anna, Holder: anna}, 0},
			{`set "direction":"reverse"`, "m1", wire.MotorState{Running: true, Speed: 0.25, Direction: "reverse", Reason: "command", By: anna, Holder: anna}, 0},
			{`start "speed":1`, "m1", wire.MotorState{Running: true, Speed: 1, Direction: "reverse", Reason: "command", By: anna, Holder: anna}, 0},
			{`keepalive`, "m1", wire.MotorState{Running: true, Speed: 1, Direction: "reverse", Reason: "command", By: anna, Holder: anna}, 0},
			{`set "speed":0`, "m1", wire.MotorState{Running: true, Direction: "reverse", Reason: "command", By: anna, Holder: anna}, 0},
			{`set "speed":0.5`, "m1", wire.MotorState{Running: true, Speed: 0.5, Direction: "reverse", Reason: "command", By: anna, Holder: anna}, 0},
			{`status`, "m1", wire.MotorState{Running: true, Speed: 0.5, Direction: "reverse", Reason: "command", By: anna, Holder: anna}, 0},
			{`status "target":"all"`, "all", wire.MotorState{Running: true, Speed: 0.5, Direction: "reverse", Reason: "command", By: anna, Holder: anna}, 2},
			{`stop`, "m1", wire.MotorState{Direction: "reverse", Reason: "command", By: anna}, 0},
			{`start`, "m1", wire.MotorState{Running: true, Speed: 1, Direction: "forward", Reason: "command", By: anna}, 0},
			{`stop "target":"all"`, "all", wire.MotorState{Direction: "forward", Reason: "command", By: anna}, 2},
			{`estop`, "all", wire.MotorState{Direction: "forward", Reason: "estop", By: anna, Latched: true}, 2},
			{`reset`, "all", wire.MotorState{Direction: "forward", Reason: "command", By: anna}, 2},
		}
		for _, step := range steps {
			r.pass(10 * ms)
			ack, err := r.try(anna, "", step.text)
			if err != nil {
				t.Fatalf("%s: %v", step.text, err)
			}
			if ack.Target != step.target || ack.Status != "ok" || len(ack.Motors) != step.others {
				t.Errorf("%s: %+v", step.text, ack)
			}
			got := ack.State
			if step.others > 0 {
				got = &ack.Motors[0]
			}
			want := step.state
			want.Target, want.TS = "m1", got.TS
			want.Reversible, want.Proportional = true, true
			if !reflect.DeepEqual(*got, want) {
				t.Errorf("%s:\n got %+v\nwant %+v", step.text, *got, want)
			}
			if !reflect.DeepEqual(r.States()[0], *got) {
				t.Errorf("%s: state is %+v,\n acknowledged %+v", step.text, r.States()[0], *got)
			}
		}
	})
}

// TestAcksWithoutMotors: a command for all motors is answered with a list of them, even if there are none.
func TestAcksWithoutMotors(t *testing.T) {
	bubble(t, nil, func(r *rig) {
		for _, action := range []string{wire.Status, wire.Stop, wire.EStop, wire.Reset} {
			ack, err := r.Command(client(anna), wire.Command{Action: action, Target: wire.All})
			if text := string(wire.JSON(ack)); err != nil || !strings.Contains(text, `"motors":[]`) {
				t.Errorf("%s: %s, %v", action, text, err)
			}
		}
	})
}

// TestWarning: a stop that was carried out although its message was odd says so.
func TestWarning(t *testing.T) {
	bubble(t, m1(nil), func(r *rig) {
		r.do(anna, "start")
		cmd, _ := wire.ParseStop([]byte(`{"type":"command","id":null,"payload":{"action":"stop"}}`))
		ack, err := r.Command(client(ben), cmd)
		if err != nil || ack.Warning != "id must be a string or a number" || len(ack.Motors) != 1 || ack.Motors[0].Running {
			t.Errorf("%+v, %v", ack, err)
		}
		r.stopped("command", ben)
	})
}

// TestOvertaken: what starts a motor, or permits that, is refused if a stop came while it waited; a
// repeat is one whether or not the first waited.
func TestOvertaken(t *testing.T) {
	bubble(t, m1(nil), func(r *rig) {
		do := func(action, target string, overtaken bool) (wire.Ack, error) {
			return r.Command(client(anna), wire.Command{ID: "1", Action: action, Target: target, Overtaken: func() bool { return overtaken }})
		}
		for action, target := range map[string]string{wire.Start: "m1", wire.Set: "m1", wire.Reset: wire.All} {
			if _, err := do(action, target, true); err == nil || *wire.AsError(err) != *wire.Overtaken() {
				t.Errorf("%s: %v", action, err)
			}
		}
		if r.States()[0].Running {
			t.Error("it runs")
		}
		for _, repeat := range []bool{false, true} {
			if ack, err := do(wire.Start, "m1", false); err != nil || ack.Repeat != repeat || !ack.State.Running {
				t.Errorf("repeat %t: %+v, %v", repeat, ack, err)
			}
		}
		for _, action := range []string{wire.Status, wire.Stop} {
			if _, err := do(action, "m1", true); err != nil {
				t.Errorf("%s: %v", action, err)
			}
		}
	})
}

// TestChanges: the listener is notified of each change once, in order, with its time.
func TestChanges(t *testing.T) {
	bubble(t, m1(func(c *Config) { c.Ramp = 100 * ms }), func(r *rig) {
		r.do(anna, `start "speed":0.5,"lease_ms":400`)
		r.pass(200 * ms) // the ramp ends at 50 ms
		r.do(anna, "keepalive")
		r.do(anna, "status")
		r.pass(100 * ms)
		r.do(anna, "stop")
		r.do(anna, "stop")
		r.pass(1)
		want := []wire.MotorState{
			{Running: true, Speed: 0, Reason: "command", By: anna, Holder: anna, TS: 0},
			{Running: true, Speed: 0.5, Reason: "command", By: anna, Holder: anna, TS: 0.05},
			{Running: false, Speed: 0, Reason: "command", By: anna, TS: 0.3},
		}
		for i := range want {
			want[i].Target, want[i].Direction = "m1", wire.Forward
			want[i].Reversible, want[i].Proportional = true, true
			want[i].TS = float64(bubbleStart+int64(want[i].TS*1000)) / 1000
		}
		if fmt.Sprint(r.notified()) != fmt.Sprint(want) {
			t.Errorf("notified of %+v\nwant %+v", r.notified(), want)
		}
	})
}

// TestExpiresWithoutSyncedClock: while the clock is not synchronised, answers to
// commands with expires say so, and a command that would move a motor has to
// agree with the clock within a minute.
func TestExpiresWithoutSyncedClock(t *testing.T) {
	synced := false
	bubbleWith(t, m1(nil), func(c *Controller) { c.SetClockSynced(func() bool { return synced }) }, func(r *rig) {
		now := time.Now() // 2000-01-01, as in every bubble
		try := func(action string, from time.Duration, code int, message string) {
			t.Helper()
			ack, err := r.try(anna, "", fmt.Sprintf(`%s "expires":%d`, action, now.Add(from).UnixMilli()))
			said := ack.ClockSynced
			if e, ok := errors.AsType[*wire.Error](err); ok {
				said = e.ClockSynced
				if e.Code != code || e.Message != message {
					t.Errorf("%s, %v: %v, want %d %s", action, from, e, code, message)
				}
			} else if code != 0 {
				t.Errorf("%s, %v: taken", action, from)
			}
			if (said != nil) == synced || said != nil && *said {
				t.Errorf("%s, %v: clock_synced is %v", action, from, said)
			}
		}
		const clock = ", but it is 2000-01-01T00:00:00.000Z by the gateway's clock, which is not synchronised: leave expires out, or set the clock"
		try("start", time.Minute, 0, "")
		try("start", time.Minute+ms, 408, "expires is 2000-01-01T00:01:00.001Z"+clock)
		try("set \"speed\":1,", 26*365*24*time.Hour, 408, "expires is 2025-12-25T00:00:00.000Z"+clock)
		try("start", -time.Minute, 408, "the command expired 60000 ms ago")
		try("start", -time.Hour, 408, "expires is 1999-12-31T23:00:00.000Z"+clock)
		try("keepalive \"lease_ms\":500,", time.Hour, 409, "m1 has no lease to keep alive: start or set it with lease_ms")
		try("status", time.Hour, 0, "")
		try("stop", time.Hour, 0, "")
		if ack, err := r.try(anna, "", "start"); err != nil || ack.ClockSynced != nil {
			t.Errorf("without expires: %+v, %v", ack, err)
		}
		synced = true
		try("start", time.Hour, 0, "")
	})
}

// TestTableOfActions: what each action does to a motor that is off, runs, is
// held by another, or is latched.
func TestTableOfActions(t *testing.T) {
	states := []struct {
		name string
		make func(*rig)
	}{
		{"off", func(*rig) {}},
		{"runs", func(r *rig) { r.do(anna, "start") }},
		{"mine", func(r *rig) { r.do(anna, `start "lease_ms":5000`) }},
		{"ben's", func(r *rig) { r.do(ben, `start "lease_ms":5000`) }},
		{"e-stop", func(r *rig) { r.do(ben, `estop`) }},
	}
	tests := []struct {
		command string
		codes   [5]int // 0: done
	}{
		{`start`, [5]int{0, 0, 0, 409, 409}},
		{`set "speed":0.5`, [5]int{409, 0, 0, 409, 409}},
		{`keepalive`, [5]int{409, 409, 0, 409, 409}},
		{`status`, [5]int{}},
		{`stop`, [5]int{}},
		{`stop "target":"all"`, [5]int{}},
		{`estop`, [5]int{}},
		{`reset`, [5]int{}},
	}
	for _, test := range tests {
		for i, state := range states {
			bubble(t, m1(nil), func(r *rig) {
				state.make(r)
				_, err := r.try(anna, "", test.command)
				code := 0
				if err != nil {
					code = err.(*wire.Error).Code
				}
				if code != test.codes[i] {
					t.Errorf("%s when %s: %v, want %d", test.command, state.name, err, test.codes[i])
				}
			})
		}
	}
	bubble(t, m1(nil), func(r *rig) {
		_, err := r.Command(client(anna), wire.Command{Action: "dance", Target: "m1"})
		if err == nil || err.(*wire.Error).Code != 404 {
			t.Error(err)
		}
	})
}
