package motor

import (
	"fmt"
	"reflect"
	"testing"
	"time"

	"sensorgateway/wire"
)

func TestRepeats(t *testing.T) {
	bubble(t, append(m1(nil), Config{Name: "m2"}), func(r *rig) {
		repeat := func(what, who, id, text string, want bool) {
			t.Helper()
			r.pass(10 * ms)
			drives := len(r.drives())
			ack, err := r.try(who, id, text)
			if err != nil {
				t.Fatalf("%s: %v", what, err)
			}
			if (len(r.drives()) == drives) != want || ack.Repeat != want || !reflect.DeepEqual(*ack.State, r.States()[0]) {
				t.Errorf("%s: driven %v, answered %+v, the state is %+v", what, r.drives()[drives:], ack, r.States()[0])
			}
		}
		const text = `start "speed":0.5`
		repeat("the first with an id", anna, "1", text, false)
		repeat("the same", anna, "1", text, true)
		repeat("other members' order", anna, "1", `start "speed":0.50,"target":"m1"`, true)
		repeat("other content", anna, "1", `start "speed":0.6`, false)
		repeat("that again", anna, "1", `start "speed":0.6`, true)
		repeat("the former", anna, "1", text, false)
		repeat("another client", ben, "1", text, false)
		repeat("after another client", anna, "1", text, true)
		r.do(ben, "stop")
		repeat("after another's stop", anna, "1", text, true)
		r.stopped("command", ben)
		repeat("another id", anna, "2", text, false)
		repeat("no id", anna, "", text, false)
		repeat("no id again", anna, "", text, false)
		repeat("a new one", anna, "3", text, false)
		r.do(anna, "status")
		repeat("after a question", anna, "3", text, true)
		r.try(anna, "4", `start "target":"m2"`)
		repeat("after another target", anna, "3", text, true)
		r.pass(time.Minute)
		repeat("a minute later", anna, "3", text, false)
		r.do(anna, "stop")
		repeat("after one's own stop", anna, "3", text, false)
		r.do(anna, `stop "target":"all"`)
		repeat("after one's own stop of all", anna, "3", text, false)
		r.do(anna, "estop")
		r.do(anna, "reset")
		repeat("after one's own e-stop", anna, "3", text, false)
		r.Lost("ANNA", wire.ReasonDisconnect)
		repeat("on another connection", anna, "3", text, false)
	})
}

// TestRepeatOfRefusal: a command that was refused is decided on again.
func TestRepeatOfRefusal(t *testing.T) {
	bubble(t, m1(nil), func(r *rig) {
		try := func(id, text string, want string) {
			t.Helper()
			r.pass(ms)
			ack, err := r.try(anna, id, text)
			if ack.Repeat || err == nil && want != "" || err != nil && err.Error() != want {
				t.Errorf("%+v, %v, want %q", ack, err, want)
			}
		}
		r.do(ben, `start "lease_ms":1000`)
		try("1", "start", "m1 is held by ben")
		r.do(ben, "estop")
		try("1", "start", "e-stop by ben: reset it first")
		r.do(ben, "reset")
		try("1", "start", "")
		r.runs(1)
		try("1", `set "speed":0.5`, "")
		r.do(ben, `set "lease_ms":1000`)
		try("1", "start", "m1 is held by ben")
		r.pass(time.Second)
		try("1", `set "speed":0.5`, "m1 is not running") // the last command was another
	})
}

// TestRepeatAfterTheEnd: a repeat starts nothing, and its answer says so.
func TestRepeatAfterTheEnd(t *testing.T) {
	bubble(t, m1(nil), func(r *rig) {
		for _, end := range []func(){
			func() { r.pass(300 * ms) }, // of the lease
			func() { r.do(ben, "stop") },
			func() { r.do(ben, "estop") },
		} {
			id := fmt.Sprint(r.States()[0].TS)
			if _, err := r.try(anna, id, `start "lease_ms":300`); err != nil {
				t.Fatal(err)
			}
			end()
			if ack, err := r.try(anna, id, `start "lease_ms":300`); err != nil || !ack.Repeat || ack.State.Running {
				t.Errorf("%+v, %v", ack, err)
			}
			if now := r.out(0).now(); now != 0 {
				t.Errorf("driven with %v", now)
			}
		}
	})
}

// TestRepeatIsSignOfLife: a client that repeats one command keeps its lease, unless
// the command has expired.
func TestRepeatIsSignOfLife(t *testing.T) {
	bubble(t, m1(nil), func(r *rig) {
		for _, text := range []string{`start "lease_ms":300`, `start "lease_ms":300`, "keepalive", "keepalive", `start "lease_ms":300`} {
			if _, err := r.try(anna, "1", text); err != nil {
				t.Fatal(err)
			}
			r.pass(299 * ms)
			r.runs(1)
		}
		late := fmt.Sprintf(`start "lease_ms":300,"expires":%d`, time.Now().UnixMilli())
		if _, err := r.try(anna, "2", late); err != nil {
			t.Fatal(err)
		}
		r.pass(200 * ms)
		if again, err := r.try(anna, "2", late); err != nil || !again.Repeat || !again.State.Running {
			t.Errorf("%+v, %v", again, err)
		}
		r.pass(100 * ms)
		r.stopped("lease", "")
	})
}
