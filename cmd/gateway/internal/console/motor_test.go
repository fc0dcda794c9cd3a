package console

import (
	"encoding/json"
	"errors"
	"math"
	"strings"
	"testing"

	"sensorgateway/wire"
)

func TestMotorPayload(t *testing.T) {
	for _, tt := range []struct{ args, want string }{
		{"start motor_1", `{"action":"start","target":"motor_1","lease_ms":2000}`},
		{"start motor_1 --lease 500ms", `{"action":"start","target":"motor_1","lease_ms":500}`},
		{"start motor_1 --for 5s", `{"action":"start","target":"motor_1","run_ms":5000}`},
		{"start motor_1 --for 5s --lease 1s --speed 0.5 --direction reverse",
			`{"action":"start","target":"motor_1","speed":0.5,"direction":"reverse","run_ms":5000,"lease_ms":1000}`},
		{"start motor_1 --speed 0", `{"action":"start","target":"motor_1","speed":0,"lease_ms":2000}`},
		{"set motor_1 --speed 1", `{"action":"set","target":"motor_1","speed":1}`},
		{"stop motor_1", `{"action":"stop","target":"motor_1"}`},
		{"stop all", `{"action":"stop","target":"all"}`},
		{"status", `{"action":"status","target":"all"}`},
		{"status motor_1", `{"action":"status","target":"motor_1"}`},
		{"estop", `{"action":"estop"}`},
		{"reset", `{"action":"reset"}`},
	} {
		got, err := parseMotor(t, tt.args)
		if err != nil || got != tt.want {
			t.Errorf("%s: %s, %v, want %s", tt.args, got, err, tt.want)
		}
	}
	for _, tt := range []struct{ args, want string }{
		{"start", "target is missing"},
		{"start all", `target "all"`},
		{"stop", "target is missing"},
		{"start motor_1 --speed 1.5", "speed must be"},
		{"start motor_1 --speed -1", "speed must be"},
		{"start motor_1 --speed NaN", "--speed"},
		{"start motor_1 --direction up", "direction must be"},
		{"start motor_1 --for 0s", "run_ms must be"},
		{"start motor_1 --for 25h", "run_ms must be"},
		{"start motor_1 --lease 50ms", "lease_ms must be"},
		{"set motor_1", "set needs"},
		{"set motor_1 --speed 1 --for 5s", "go with start"},
		{"set motor_1 --lease 5s", "go with start"},
		{"reset motor_1", "for all motors"},
		{"keepalive motor_1", "start does it"},
		{"dance motor_1", `unknown action "dance": write start, set, stop, status, estop, reset or control`},
		{"strat motor_1", `unknown action "strat": did you mean "start"?`},
		{"e-stop", `did you mean "estop"?`},
		{"cotrol request motor_1", `did you mean "control"?`},
		{"grant motor_1", `did you mean "control grant"?`},
		{"statsu", `did you mean "status"?`},
	} {
		if got, err := parseMotor(t, tt.args); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %s, %v, want %q", tt.args, got, err, tt.want)
		}
	}
}

// parseMotor returns the payload of a command line after its URL.
func parseMotor(t *testing.T, line string) (string, error) {
	t.Helper()
	var f motorFlags
	cmd := Motor(Env{})
	cmd.ResetFlags()
	f.flags(cmd)
	if err := cmd.ParseFlags(strings.Fields(line)); err != nil {
		t.Fatal(err)
	}
	f.given = cmd.Flags().Changed
	p, err := f.payload(cmd.Flags().Args())
	text, jsonErr := json.Marshal(p)
	if jsonErr != nil && (p.Speed == nil || !math.IsNaN(*p.Speed)) {
		t.Fatal(jsonErr)
	}
	return string(text), err
}

func TestMotorUsage(t *testing.T) {
	for _, args := range [][]string{{}, {"pi"}, {"pi", "stop", "a", "b"}, {"ftp://pi", "estop"}, {"pi", "dance"}} {
		var usage UsageError
		if err := startClient(t, Motor, nil, args...).end(); !errors.As(err, &usage) {
			t.Errorf("%v: %v, want a usage error", args, err)
		}
	}
}

func TestDescribeMotor(t *testing.T) {
	for _, tt := range []struct {
		s    wire.MotorState
		want string
	}{
		{wire.MotorState{Target: "motor_1", Reason: "boot"}, "motor_1: stopped (boot)"},
		{wire.MotorState{Target: "motor_1"}, "motor_1: stopped"},
		{wire.MotorState{Target: "motor_1", Running: true, Speed: 0.496, Direction: "reverse", Reason: "command", By: "ahmet", Holder: "ahmet"},
			"motor_1: running reverse at 50 % (command by ahmet), held by ahmet"},
		{wire.MotorState{Target: "motor_1", Reason: "fault", Latched: true, Fault: "pin \x1b[31mGPIO17"},
			"motor_1: stopped (fault), latched until reset, fault: pin �[31mGPIO17"},
		{wire.MotorState{Target: "motor_1", By: "ben"}, "motor_1: stopped (ben)"},
		{wire.MotorState{Target: "motor_1", Reason: "boot", Interlocks: []wire.Interlock{{Condition: "indoor.age < 1s", Holds: true}, {Condition: "indoor.temperature < 60"}}},
			"motor_1: stopped (boot), indoor.age < 1s holds, indoor.temperature < 60 does not hold"},
	} {
		if got := describeMotor(tt.s); got != tt.want {
			t.Errorf("%q, want %q", got, tt.want)
		}
	}
}
