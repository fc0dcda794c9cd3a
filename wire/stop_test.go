package wire

import (
	"bytes"
	"encoding/json"
	"testing"
)

func TestParseStop(t *testing.T) {
	for _, tt := range []struct{ message, want string }{ // action, target, ID, warning
		{`{"type":"command","id":7,"payload":{"action":"stop","target":"m1"}}`, `stop m1 7 `},
		{`{"type":"command","id":"a","payload":{"action":"estop"}}`, `estop all "a" `},
		{`{"type":"command","payload":{"action":"estop","expires":1712345678901.25}}`, `estop all  expires must be a whole number from 0 to 9007199254740992`},
		{`{"type":"command","payload":{"action":"estop","expires":null}}`, `estop all  expires is null: leave it out instead`},
		{`{"type":"command","payload":{"action":"stop","target":"m1","expires":-1}}`, `stop m1  expires must be a whole number from 0 to 9007199254740992`},
		{`{"type":"command","id":null,"payload":{"action":"stop","target":"m1"}}`, `stop m1  id must be a string or a number`},
		{`{"type":"command","id":1,"ts":1,"payload":{"action":"estop"}}`, `estop all 1 unknown member "ts": an envelope has type, payload and id`},
		{`{"type":"command","id":1,"id":2,"payload":{"action":"estop"}}`, `estop all  "id" appears twice`},
		{`{"type":"command","type":"ping","payload":{"action":"estop"}}`, `estop all  "type" appears twice`},
		{`{"type":"command","payload":{"action":"stop","target":"m1"},"payload":null}`, `stop m1  "payload" appears twice`},
		{`{"type":"command","payload":{"action":"start","action":"stop","target":"m1"}}`, `stop m1  payload: "action" appears twice`},
		{`{"type":"command","payload":{"action":"stop","action":"estop","target":"m1"}}`, `estop all  payload: "action" appears twice`},
		{`{"type":"command","payload":{"\u0061ction":"\u0073top","target":"m1","target":"m1"}}`, `stop all  payload: "target" appears twice`},
		{`{"type":"command","payload":{"action":"stop"}}`, `stop all  target is missing`},
		{`{"type":"command","payload":{"action":"stop","target":null}}`, `stop all  target is null: leave it out instead`},
		{`{"type":"command","payload":{"action":"stop","target":["m1"]}}`, `stop all  target must be a string`},
		{`{"type":"command","payload":{"action":"stop","target":"m1","speed":"fast","why":null}}`, `stop m1  stop takes no speed`},
		{`{"type":"command","payload":{"action":"stop","target":"m1","ts":{"a":[1e999]}}}`, `stop m1  unknown parameter "ts"`},
		{`{"type":"command","payload":{"action":"estop","target":"all"}}`, `estop all  `},
		{`{"type":"command","payload":{"action":"estop","target":"m1"}}`, `estop all  estop is for all motors: leave target out`},
		{`{"type":"command","payload":{"action":"estop","target":7}}`, `estop all  target must be a string`},
		{`{"type":"command","payload":{"action":"stop","target":"m1","by":"M` + "\xfc" + `ller"}}`, `stop m1  not UTF-8`},
		{"\ufeff" + `{"type":"command","payload":{"action":"estop"}}`, `estop all  begins with a byte order mark`},
		{`{"type":"command","payload":{"action":"est` + "\xff" + `op"}}`, ``},
		{`{"type":"command","payload":{"action":"estop"}}` + "\xff", ``},
		{`{"type":"command","payload":{"action":"start","target":"stop"}}`, ``},
		{`{"type":"command","payload":{"action":"start","target":"m1","why":{"action":"stop"}}}`, ``},
		{`{"type":"command","payload":{"action":"start","action":"set","target":"m1"}}`, ``},
		{`{"type":"command","payload":["action","stop"]}`, ``},
		{`{"type":"command","payload":"{\"action\":\"stop\"}"}`, ``},
		{`{"type":"command"}`, ``},
		{`{"type":"ping","payload":{"action":"stop"}}`, ``},
		{`{"payload":{"action":"stop"}}`, ``},
		{`[{"type":"command","payload":{"action":"stop"}}]`, ``},
		{`{"type":"command","payload":{"action":"estop"}} x`, ``},
		{`{"type":"command","payload":{"action":"estop"}`, ``},
		{``, ``},
	} {
		got := ""
		if c, found := ParseStop([]byte(tt.message)); found {
			got = c.Action + " " + c.Target + " " + c.ID + " " + c.Warning
		}
		if got != tt.want {
			t.Errorf("%s:\n %s, want\n %s", tt.message, got, tt.want)
		}
	}
}

// FuzzStop: a stop that encoding/json finds is found, and nothing is found where
// no member is a stop; a valid message does what it asks for.
func FuzzStop(f *testing.F) {
	for _, s := range []string{`{"type":"command","payload":{"action":"stop","target":"m1","expires":null}}`,
		`{"type":"command","id":{},"payload":{"action":"start","action":"estop"},"payload":7}`, `{"type":"ping","payload":{"action":"stop"}}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, message []byte) {
		c, found := ParseStop(message)
		if found && (!c.Stops() || c.Target == "" || !json.Valid(bytes.TrimPrefix(message, []byte("\ufeff")))) {
			t.Fatalf("%q: %+v", message, c)
		}
		r, err := ParseRequest(message)
		if err != nil {
			if found && c.Warning == "" {
				t.Fatalf("%q: %+v without a warning, though %v", message, c, err)
			}
			return
		}
		all, err := r.Object()
		if err != nil || r.Type != "command" {
			if found && r.Type != "command" {
				t.Fatalf("%q: %+v", message, c)
			}
			return
		}
		var action string
		_ = json.Unmarshal(all["action"], &action)
		if stops := action == Stop || action == EStop; stops != found {
			t.Fatalf("%q: found %v: %+v", message, found, c)
		}
		if strict, err := ParseCommand(r.Payload); found && err == nil && (strict.Action != c.Action || strict.Target != c.Target || strict.Warning != c.Warning) {
			t.Fatalf("%q: %+v, but it asks for %+v", message, c, strict)
		}
	})
}
