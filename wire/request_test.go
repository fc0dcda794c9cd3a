package wire

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"
)

func codeOf(err error) int {
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return 0
}

func TestParseRequest(t *testing.T) {
	for _, tt := range []struct {
		message string
		code    int
		says    string
	}{
		{`{"type":"ping"}`, 0, ""},
		{` { "type" : "ping" , "id" : "a" , "payload" : { "x" : 1 } } `, 0, ""},
		{`{"type":"ping","id":7}`, 0, ""},
		{`{"type":"ping","payload":null}`, 0, ""},
		{`{"type":"ping","id":-7.5e3}`, 0, ""},
		{``, 400, "Invalid JSON"},
		{`{`, 400, "Invalid JSON"},
		{`{"type":"ping"} x`, 400, "Invalid JSON"},
		{`{"type":"ping"}{}`, 400, "Invalid JSON"},
		{`[]`, 400, "Invalid JSON"},
		{`"ping"`, 400, "Invalid JSON"},
		{`null`, 400, "Invalid JSON"},
		{"{\"type\":\"\xff\"}", 400, "Invalid JSON"},
		{`{"type":"ping","type":"pong"}`, 422, `"type" appears twice`},
		{`{"type":"ping","\u0074ype":"pong"}`, 422, `"type" appears twice`},
		{`{"Type":"ping"}`, 422, `unknown member "Type"`},
		{`{"type":"ping","extra":1}`, 422, `unknown member "extra"`},
		{`{}`, 422, "type is missing"},
		{`{"type":null}`, 422, "type must be a string"},
		{`{"type":1}`, 422, "type must be a string"},
		{`{"type":"ping","id":null}`, 422, "id must be"},
		{`{"type":"ping","id":{}}`, 422, "id must be"},
		{`{"type":"ping","id":true}`, 422, "id must be"},
	} {
		r, err := ParseRequest([]byte(tt.message))
		if codeOf(err) != tt.code || err != nil && !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: %v, want %d %q", tt.message, err, tt.code, tt.says)
		}
		if err == nil && r.Type != "ping" {
			t.Errorf("%s: type %q", tt.message, r.Type)
		}
	}
}

func TestParseCommand(t *testing.T) {
	for _, tt := range []struct {
		payload string
		code    int
		says    string
	}{
		{`{"action":"start","target":"m"}`, 0, ""},
		{`{"action":"start","target":"m","speed":0.5,"direction":"reverse","run_ms":1000,"lease_ms":2000,"expires":1712345678901}`, 0, ""},
		{`{"action":"start","target":"m","speed":1}`, 0, ""},
		{`{"action":"set","target":"m","speed":0}`, 0, ""},
		{`{"action":"stop","target":"all"}`, 0, ""},
		{`{"action":"status","target":"all"}`, 0, ""},
		{`{"action":"estop"}`, 0, ""},
		{`{"action":"reset","target":"all"}`, 0, ""},
		{`{"action":"keepalive","target":"m","lease_ms":500}`, 0, ""},
		{`{"action":"keepalive","target":["m","n"]}`, 0, ""},
		{`{"action":"keepalive","target":"all","lease_ms":500}`, 0, ""},
		{`{"action":"keepalive","target":[]}`, 422, "target must be a string or an array of strings"},
		{`{"action":"keepalive","target":["m",null]}`, 422, "target must be a string or an array of strings"},
		{`{"action":"keepalive","target":["m",7]}`, 422, "target must be a string or an array of strings"},
		{`{"action":"keepalive","target":["m","all"]}`, 422, `target "all" cannot be in an array: write "target":"all"`},
		{`{"action":"keepalive","target":{}}`, 422, "target must be a string or an array of strings"},
		{`{"action":"keepalive"}`, 422, "target is missing"},
		{`{"action":"start","target":["m"]}`, 422, "target must be a string"},
		{`{"action":"fly","target":"m"}`, 404, "Unknown command"},
		{`{"action":"Start","target":"m"}`, 404, "Unknown command"},
		{`{"target":"m"}`, 422, "action is missing"},
		{`{"action":null}`, 422, "action must be a string"},
		{`{"action":"start"}`, 422, "target is missing"},
		{`{"action":"start","target":"all"}`, 422, "stop, status and keepalive"},
		{`{"action":"reset","target":"m"}`, 422, "leave target out"},
		{`{"action":"estop","target":"m","reason":["smoke"]}`, 0, ""},
		{`{"action":"stop","target":"m","speed":7,"why":null}`, 0, ""},
		{`{"action":"stop"}`, 422, "target is missing"},
		{`{"action":"start","target":"m","Speed":1}`, 422, `unknown parameter "Speed"`},
		{`{"action":"start","target":"m","speed":1,"speed":0}`, 422, "appears twice"},
		{`{"action":"start","target":"m","speed":null}`, 422, "speed is null"},
		{`{"action":"start","target":"m","speed":-1}`, 422, "speed must be"},
		{`{"action":"start","target":"m","speed":1.5}`, 422, "speed must be"},
		{`{"action":"start","target":"m","speed":"0.5"}`, 422, "speed must be"},
		{`{"action":"start","target":"m","speed":1e999}`, 422, "speed must be"},
		{`{"action":"start","target":"m","direction":"left"}`, 422, "direction must be"},
		{`{"action":"start","target":"m","run_ms":0}`, 422, "run_ms must be"},
		{`{"action":"start","target":"m","run_ms":1.5}`, 422, "run_ms must be"},
		{`{"action":"start","target":"m","run_ms":1e300}`, 422, "run_ms must be"},
		{`{"action":"start","target":"m","lease_ms":1}`, 422, "lease_ms must be"},
		{`{"action":"status","target":"m","speed":1}`, 422, "status takes no speed"},
		{`{"action":"set","target":"m"}`, 422, "set needs"},
		{`[]`, 422, "not a JSON object"},
		{`null`, 422, "not a JSON object"},
	} {
		if _, err := ParseCommand([]byte(tt.payload)); codeOf(err) != tt.code || err != nil && !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: %v, want %d %q", tt.payload, err, tt.code, tt.says)
		}
	}
	c, err := ParseCommand([]byte(`{"action":"start","target":"m","speed":0.25,"direction":"reverse","run_ms":1000,"lease_ms":2000,"expires":3}`))
	if err != nil || c.Action != Start || c.Target != "m" || *c.Speed != 0.25 || c.Direction != Reverse || *c.RunMS != 1000 || *c.LeaseMS != 2000 || *c.Expires != 3 {
		t.Errorf("%+v %v", c, err)
	}
}

func TestParseControl(t *testing.T) {
	for _, tt := range []struct {
		payload string
		code    int
		says    string
	}{
		{`{"action":"request","target":"motor_1","timeout_ms":10000,"allow_takeover":false}`, 0, ""},
		{`{"action":"grant","target":"motor_1","timeout_ms":10000,"allow_takeover":false}`, 0, ""},
		{`{"action":"request","target":"m"}`, 0, ""},
		{`{"action":"request","target":["m","n"],"timeout_ms":3000}`, 0, ""},
		{`{"action":"request","target":"m","timeout_ms":60000,"allow_takeover":true,"expires":1712345678901}`, 0, ""},
		{`{"action":"deny","target":"m"}`, 0, ""},
		{`{"action":"release","target":"all"}`, 0, ""},
		{`{"action":"request"}`, 422, "target is missing"},
		{`{"action":"request","target":[]}`, 422, "target must be a string or an array of strings"},
		{`{"action":"request","target":["m","all"]}`, 422, `target "all" cannot be in an array: write "target":"all"`},
		{`{"action":"request","target":null}`, 422, "target is null"},
		{`{"action":"request","target":"m","timeout_ms":2999}`, 422, "timeout_ms must be a whole number from 3000 to 60000"},
		{`{"action":"request","target":"m","timeout_ms":60001}`, 422, "timeout_ms must be a whole number from 3000 to 60000"},
		{`{"action":"request","target":"m","timeout_ms":"10000"}`, 422, "timeout_ms must be"},
		{`{"action":"request","target":"m","allow_takeover":1}`, 422, "allow_takeover must be true or false"},
		{`{"action":"request","target":"m","allow_takeover":null}`, 422, "allow_takeover is null"},
		{`{"action":"request","target":"m","speed":1}`, 422, "request takes no speed"},
		{`{"action":"request","target":"m","target":"n"}`, 422, "appears twice"},
		{`{"action":"request","target":"m","why":1}`, 422, `unknown parameter "why"`},
		{`{"action":"start","target":"m"}`, 404, "Unknown command"},
		{`{"action":"take","target":"m"}`, 404, "Unknown command"},
		{`{"target":"m"}`, 422, "action is missing"},
		{`[]`, 422, "not a JSON object"},
	} {
		if c, err := ParseControl([]byte(tt.payload)); codeOf(err) != tt.code || err != nil && !strings.Contains(err.Error(), tt.says) || err == nil && !c.Control() {
			t.Errorf("%s: %v, want %d %q", tt.payload, err, tt.code, tt.says)
		}
	}
	for _, action := range []string{RequestControl, GrantControl, DenyControl, ReleaseControl} {
		if _, err := ParseCommand([]byte(`{"action":"` + action + `","target":"m"}`)); codeOf(err) != 404 {
			t.Errorf("%s as a command: %v", action, err)
		}
	}
	c, err := ParseControl([]byte(`{"action":"request","target":"m","timeout_ms":4000,"allow_takeover":true}`))
	if err != nil || c.Action != RequestControl || c.Target != "m" || *c.TimeoutMS != 4000 || !*c.AllowTakeover || c.Stops() {
		t.Errorf("%+v %v", c, err)
	}
}

func TestParseSubscription(t *testing.T) {
	for _, tt := range []struct {
		payload string
		resume  bool
		want    string
		code    int
	}{
		{``, true, "{all  map[]}", 0},
		{`{}`, true, "{all  map[]}", 0},
		{`{"topic":"motors"}`, false, "{motors  map[]}", 0},
		{`{"topic":"sensors","epoch":"e","since":{"a":7,"b":0}}`, true, "{sensors e map[a:7 b:0]}", 0},
		{`{"topic":"sensors","epoch":"e","since":{"a":7.0,"b":4.294967295e9}}`, true, "{sensors e map[a:7 b:4294967295]}", 0},
		{`{"topic":"sensors","epoch":"e","since":{"a":7.5}}`, true, "", 422},
		{`{"topic":"sensors","since":{"a":7}}`, true, "", 422},
		{`{"topic":"sensors","epoch":"e","since":{"a":7}}`, false, "", 422},
		{`{"topic":"sensors","epoch":"e","since":{"a":-1}}`, true, "", 422},
		{`{"topic":"sensors","epoch":"e","since":{"a":4294967296}}`, true, "", 422},
		{`{"topic":"sensors","epoch":"e","since":{"a":null}}`, true, "", 422},
		{`{"topic":"sensors","epoch":"e","since":{"a":1,"a":2}}`, true, "", 422},
		{`{"topic":null}`, true, "", 422},
		{`{"Topic":"all"}`, true, "", 422},
		{`[]`, true, "", 422},
	} {
		var payload json.RawMessage
		if tt.payload != "" {
			payload = json.RawMessage(tt.payload)
		}
		s, err := ParseSubscription(Request{Payload: payload}, tt.resume)
		if codeOf(err) != tt.code || err == nil && fmt.Sprint(s) != tt.want {
			t.Errorf("%s: %v %v, want %s %d", tt.payload, s, err, tt.want, tt.code)
		}
	}
}

// Whatever a client sends, it gets an error with a code, or what is accepted is
// what encoding/json reads in it too.
func FuzzRequest(f *testing.F) {
	for _, s := range []string{`{"type":"command","id":1,"payload":{"action":"start","target":"m","speed":0.5}}`,
		`{"type":"control","payload":{"action":"request","target":["m"],"timeout_ms":10000,"allow_takeover":false}}`,
		`{"type":"subscribe","payload":{"topic":"sensors","epoch":"e","since":{"a":1}}}`, `{"type":"ping","payload":{"a":[1,{"b":null}]}}`,
		`{"a":{"b":{"c":[[[[]]]]}}}`, "{\"type\":\"\xff\"}", `{"type":"x","type":"y"}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, message []byte) {
		r, err := ParseRequest(message)
		if err != nil {
			if codeOf(err) == 0 {
				t.Fatalf("an error without a code: %v", err)
			}
			return
		}
		var lax struct{ Type string }
		if !utf8.Valid(message) || json.Unmarshal(message, &lax) != nil || lax.Type != r.Type {
			t.Fatalf("%q was taken as %q, encoding/json reads %q", message, r.Type, lax.Type)
		}
		if _, err := ParseSubscription(r, true); err != nil && codeOf(err) == 0 {
			t.Fatalf("an error without a code: %v", err)
		}
		if r.Payload == nil {
			return
		}
		c, err := ParseControl(r.Payload)
		if err != nil && codeOf(err) == 0 {
			t.Fatalf("an error without a code: %v", err)
		}
		if err == nil && (!c.Control() || c.TimeoutMS != nil && (*c.TimeoutMS < MinControlMS || *c.TimeoutMS > MaxControlMS)) {
			t.Fatalf("taken: %+v", c)
		}
		c, err = ParseCommand(r.Payload)
		if err != nil && codeOf(err) == 0 {
			t.Fatalf("an error without a code: %v", err)
		}
		if err == nil && c.Speed != nil && !(*c.Speed >= 0 && *c.Speed <= 1) {
			t.Fatalf("speed %v", *c.Speed)
		}
	})
}
