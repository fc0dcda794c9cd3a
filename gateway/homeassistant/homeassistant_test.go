package homeassistant

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"math"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"sensorgateway/wire"
)

var update = flag.Bool("update", false, "write the golden files anew")

// rig is a bridge whose motors only note their commands.
type rig struct {
	*Bridge
	log      bytes.Buffer
	motors   []wire.MotorState
	alarms   []wire.Alarm
	commands []string
	lost     int
	refuse   error
}

func newRig(maxRun time.Duration) *rig {
	r := &rig{motors: []wire.MotorState{
		{Target: "fan", Reversible: true, Proportional: true, Direction: wire.Forward},
		{Target: "gate", Reversible: true, Direction: wire.Forward},
		{Target: "pump", Direction: wire.Forward},
	}, alarms: []wire.Alarm{
		{Name: "hot", Severity: wire.SeverityCritical, State: wire.AlarmAcknowledged, Condition: "indoor.temperature > 35", Sensor: "indoor", Value: new(float32(35.5)), Since: 12, Acknowledged: &wire.Acknowledgement{By: "anna", TS: 13}},
		{Name: "sensor_lost:indoor", Severity: wire.SeverityWarning, State: wire.AlarmRaised, Sensor: "indoor", Reason: "no_ack", Since: 14},
		{Name: "motor_fault:fan", Severity: wire.SeverityCritical, State: wire.AlarmCleared, Motor: "fan"},
		{Name: "storage_failed", Severity: wire.SeverityCritical, State: wire.AlarmCleared},
	}}
	broker, err := url.Parse("mqtt://ha")
	if err != nil {
		panic(err)
	}
	r.Bridge = New(Options{
		Broker: broker, ID: "gateway-0123456789ab", Name: "greenhouse", Version: "v1.2.3", Page: "https://gw.example/",
		Sensors: []wire.SensorInfo{
			{ID: 0, Name: "indoor", Values: []wire.Quantity{wire.Temperature, wire.Humidity}},
			{ID: 1, Name: "air", Values: []wire.Quantity{wire.CO2}},
		},
		Motors: func() []wire.MotorState { return r.motors }, MaxRun: maxRun,
		Alarms: func(f func(wire.Alarm)) {
			for _, a := range r.alarms {
				f(a)
			}
		},
		Command: func(c wire.Command) error {
			text := c.Action + " " + c.Target
			if c.Speed != nil {
				text += fmt.Sprintf(" speed %g", *c.Speed)
			}
			if c.Direction != "" {
				text += " " + c.Direction
			}
			if c.RunMS != nil {
				text += fmt.Sprintf(" run %d lease %d", *c.RunMS, *c.LeaseMS)
			}
			r.commands = append(r.commands, text)
			return r.refuse
		},
		Lost: func() { r.lost++ },
		Log:  slog.New(slog.NewTextHandler(&r.log, nil)),
	})
	return r
}

// The announcements, as they are on the wire: what Home Assistant's documentation
// asks of each platform (https://www.home-assistant.io/integrations/mqtt/).
func TestAnnouncement(t *testing.T) {
	for file, maxRun := range map[string]time.Duration{"testdata/sees.json": 0, "testdata/commands.json": 10 * time.Minute} {
		got, err := json.MarshalIndent(newRig(maxRun).announcement(), "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, '\n')
		if *update {
			if err := os.WriteFile(file, got, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), string(got)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", file, diff)
		}
	}
}

// documented are the keys of each platform that Home Assistant's documentation has
// (https://www.home-assistant.io/integrations/sensor.mqtt/ and so on), with * for those
// that an entity here cannot be without. Home Assistant refuses an entity with others.
var documented = map[string]string{
	"sensor": "availability availability_mode device_class json_attributes_topic name *p state_class *state_topic " +
		"suggested_display_precision *unique_id unit_of_measurement *value_template",
	"binary_sensor": "availability availability_mode device_class json_attributes_topic name *p *state_topic *unique_id *value_template",
	"switch":        "availability availability_mode *command_topic json_attributes_topic name *optimistic *p *state_topic *unique_id *value_template",
	"fan": "availability availability_mode *command_topic direction_command_topic direction_state_topic direction_value_template " +
		"json_attributes_topic name *optimistic *p percentage_command_topic percentage_state_topic percentage_value_template " +
		"*state_topic *state_value_template *unique_id",
}

// classes are device classes with the units that Home Assistant takes for each.
var classes = map[string]string{
	"temperature": "°C", "humidity": "%", "atmospheric_pressure": "hPa", "carbon_dioxide": "ppm", "running": "", "safety": "", "problem": "",
}

func TestComponentsAreComplete(t *testing.T) {
	for _, maxRun := range []time.Duration{0, time.Minute} {
		ids := map[any]bool{}
		for key, c := range newRig(maxRun).announcement().Components {
			var keys map[string]any
			if err := json.Unmarshal([]byte(marshal(c)), &keys); err != nil {
				t.Fatal(err)
			}
			var known []string
			for word := range strings.FieldsSeq(documented[c.Platform]) {
				name, must := strings.CutPrefix(word, "*")
				if known = append(known, name); must && keys[name] == nil {
					t.Errorf("%s, a %s, has no %s", key, c.Platform, name)
				}
			}
			for name := range keys {
				if !slices.Contains(known, name) {
					t.Errorf("%s: a %q has no %s", key, c.Platform, name)
				}
			}
			if unit, ok := classes[c.DeviceClass]; c.DeviceClass != "" && (!ok || unit != c.Unit) {
				t.Errorf("%s: the class %s has no unit %s", key, c.DeviceClass, c.Unit)
			}
			if ids[c.UniqueID] {
				t.Errorf("%s has the ID of another: %s", key, c.UniqueID)
			}
			ids[c.UniqueID] = true
			if commands := strings.Contains(marshal(c), "command_topic"); commands != (maxRun > 0 && c.Platform != "sensor" && key != "estop" && !strings.HasPrefix(key, "alarm_")) {
				t.Errorf("%s takes commands: %t, with max_run %v", key, commands, maxRun)
			}
		}
	}
}

func TestRemovals(t *testing.T) {
	d := newRig(time.Minute).announcement()
	for _, tt := range []struct {
		earlier, removed string
	}{
		{marshal(d), ""},
		{"", ""},
		{"no JSON", ""},
		{`{"cmps":{"old":{"p":"sensor","unique_id":"x"},"pump_switch":{"p":"switch"}}}`, `"old":{"p":"sensor"}`},
		{marshal(newRig(0).announcement()), `"pump_binary_sensor":{"p":"binary_sensor"}`},
		{`{"cmps":{"half":{}}}`, ""},
	} {
		all, some := withRemovals(d, []byte(tt.earlier))
		if some != (tt.removed != "") || !strings.Contains(marshal(all), tt.removed) || len(all.Components) < len(d.Components) {
			t.Errorf("after %s: %t, %s; want %s", tt.earlier, some, marshal(all), tt.removed)
		}
	}
}

func TestCommands(t *testing.T) {
	const base = "gateway/gateway-0123456789ab/motors/"
	for _, tt := range []struct {
		topic, payload string
		running        bool
		want           string // the commands
		why            string // of a refusal
	}{
		{"pump/set", "ON", false, "start pump run 60000 lease 5000", ""},
		{"pump/set", "ON", true, "start pump run 60000 lease 5000", ""},
		{"pump/set", "OFF", true, "stop pump", ""},
		{"pump/set", "OFF", false, "stop pump", ""},
		{"fan/set/speed", "40", false, "start fan speed 0.4 run 60000 lease 5000", ""},
		{"fan/set/speed", "0", true, "stop fan", ""},
		{"fan/set/speed", "100", true, "start fan speed 1 run 60000 lease 5000", ""},
		{"gate/set/direction", "reverse", true, "set gate reverse", ""},
		{"gate/set/direction", "reverse", false, "", ""},
		{"pump/set/direction", "reverse", true, "", "one way only"},
		{"gate/set/direction", "up", true, "", "neither forward nor reverse"},
		{"pump/set", "on", false, "", "neither ON nor OFF"},
		{"pump/set", "", false, "", "neither ON nor OFF"},
		{"fan/set/speed", "101", false, "", "from 0 to 100"},
		{"fan/set/speed", "-1", false, "", "from 0 to 100"},
		{"fan/set/speed", "NaN", false, "", "from 0 to 100"},
		{"nope/set", "ON", false, "", `no motor is named \"nope\"`},
		{"all/set", "OFF", false, "", `no motor is named \"all\"`},
		{"pump/set/else", "ON", false, "", ""},
		{"pump", "ON", false, "", ""},
	} {
		r := newRig(time.Minute)
		for i := range r.motors {
			r.motors[i].Running = tt.running
		}
		r.receive(base+tt.topic, []byte(tt.payload), false)
		if got := strings.Join(r.commands, ", "); got != tt.want {
			t.Errorf("%s %q: %q, want %q", tt.topic, tt.payload, got, tt.want)
		}
		if got := r.log.String(); (tt.why == "") != (got == "") || !strings.Contains(got, tt.why) {
			t.Errorf("%s %q: logged %q, want %q", tt.topic, tt.payload, got, tt.why)
		}
		retained := newRig(time.Minute)
		retained.receive(base+tt.topic, []byte(tt.payload), true)
		if len(retained.commands) > 0 {
			t.Errorf("%s %q, retained: %q", tt.topic, tt.payload, retained.commands)
		}
		off := newRig(0)
		if off.receive(base+tt.topic, []byte(tt.payload), false); len(off.commands) > 0 {
			t.Errorf("%s %q, commands off: %q", tt.topic, tt.payload, off.commands)
		}
	}
}

// The direction that is set for a motor that is off is shown, and used at its next start.
func TestDirectionOfTheNextStart(t *testing.T) {
	r := newRig(time.Minute)
	r.receive(r.topics.command("gate", direction), []byte("reverse"), false)
	if m := r.motorStates()[1]; !strings.Contains(m.payload, `"direction":"reverse"`) {
		t.Errorf("it shows %s", m.payload)
	}
	r.receive(r.topics.command("gate", onOff), []byte("ON"), false)
	if got := strings.Join(r.commands, ", "); got != "start gate reverse run 60000 lease 5000" {
		t.Error(got)
	}
}

// Starts are limited, stops are not; nothing starts while Home Assistant is offline; what it
// has started stops when it ends, and is kept running by a keepalive.
func TestOperator(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(time.Minute)
		on, topic := []byte("ON"), r.topics.command("pump", onOff)
		r.keepalive()
		r.losesNothing(t)
		for range maxCommands + 5 {
			r.receive(topic, on, false)
		}
		if len(r.commands) != maxCommands {
			t.Errorf("%d commands of %d", len(r.commands), maxCommands+5)
		}
		r.receive(topic, []byte("OFF"), false)
		if last := r.commands[len(r.commands)-1]; last != "stop pump" {
			t.Errorf("a stop behind too many starts: %s", last)
		}
		time.Sleep(time.Second)
		r.commands = nil
		r.receive(topic, on, false)
		r.keepalive() // it runs no longer
		r.motors[2].Holder = Operator
		r.keepalive()
		if got := strings.Join(r.commands, ", "); got != "start pump run 60000 lease 5000, keepalive all" {
			t.Error(got)
		}
		r.received(status, []byte(offline), false)
		r.received(status, []byte(offline), false)
		if r.lost != 1 {
			t.Errorf("lost %d times, want once", r.lost)
		}
		r.commands = nil
		r.keepalive() // so that the lease ends
		r.receive(topic, on, false)
		r.receive(topic, []byte("OFF"), false)
		if got := strings.Join(r.commands, ", "); got != "stop pump" {
			t.Errorf("offline: %s", got)
		}
		r.received(status, []byte(online), false)
		r.receive(topic, on, false)
		if got := strings.Join(r.commands, ", "); got != "stop pump, start pump run 60000 lease 5000" {
			t.Errorf("online again: %s", got)
		}
		r.refuse = errors.New("m is held by anna")
		time.Sleep(warnPeriod)
		r.receive(topic, on, false)
		if !strings.Contains(r.log.String(), "held by anna") {
			t.Errorf("a refusal is not logged: %s", r.log.String())
		}
	})
}

func (r *rig) losesNothing(t *testing.T) {
	t.Helper()
	if r.Bridge.lost(); r.lost != 0 || len(r.commands) > 0 {
		t.Errorf("nothing was started: lost %d, %q", r.lost, r.commands)
	}
}

// The e-stop is latched for all motors, a fault for one.
func TestEStopState(t *testing.T) {
	r := newRig(0)
	state := func() string { all := r.motorStates(); return all[len(all)-1].payload }
	for _, tt := range []struct {
		latched []bool
		fault   string // of the first
		want    string
	}{{[]bool{false, false, false}, "", "OFF"}, {[]bool{true, false, false}, "GPIO17 is taken", "OFF"}, {[]bool{true, true, true}, "", "ON"}, {[]bool{true, true, true}, "x", "ON"}} {
		for i, l := range tt.latched {
			r.motors[i].Latched = l
		}
		if r.motors[0].Fault = tt.fault; state() != tt.want {
			t.Errorf("%+v: %s", tt, state())
		}
	}
}

// What is published of alarms, and when: at once, and only if one has changed.
func TestAlarmStates(t *testing.T) {
	r := newRig(0)
	base := "gateway/gateway-0123456789ab/alarms/"
	want := []message{
		{base + "hot", `{"state":"ON","severity":"critical","condition":"indoor.temperature > 35","value":35.5,"since":12,"acknowledged":"anna"}`},
		{base + "sensor_lost:indoor", `{"state":"ON","severity":"warning","reason":"no_ack","since":14}`},
		{base + "motor_fault:fan", `{"state":"OFF","severity":"critical"}`},
		{base + "storage_failed", `{"state":"OFF","severity":"critical"}`},
	}
	if diff := cmp.Diff(want, r.alarmStates(), cmp.AllowUnexported(message{})); diff != "" {
		t.Error(diff)
	}
	r.Event(wire.Event{Kind: wire.EventReset})
	if len(r.wake) != 0 {
		t.Error("another event wakes it")
	}
	r.Event(wire.Event{Kind: wire.EventAlarm})
	if len(r.wake) != 1 {
		t.Error("an alarm does not wake it")
	}
}

// What is published of sensors: rounded values, and whether they measure.
func TestSensorStates(t *testing.T) {
	r := newRig(0)
	if got := r.sensorStates(); len(got) != 0 {
		t.Errorf("before the first tick: %v", got)
	}
	nan := float32(math.NaN())
	r.Tick([]wire.Record{{Sensor: 0, Reading: wire.Reading{Values: [2]float32{21.5678, nan}}}, {Sensor: 1, Fault: wire.NoAck}, {Sensor: 9}}, 0)
	base := "gateway/gateway-0123456789ab/sensors/"
	want := []message{{base + "indoor", `{"humidity":null,"temperature":21.57}`}, {base + "indoor/availability", "online"}, {base + "air/availability", "offline"}}
	if diff := cmp.Diff(want, r.sensorStates(), cmp.AllowUnexported(message{})); diff != "" {
		t.Error(diff)
	}
	r.Tick([]wire.Record{{Sensor: 1, Reading: wire.Reading{Values: [2]float32{612.4, wire.NotMeasured()}}}}, 0)
	if got := r.sensorStates()[2]; got != (message{base + "air", `{"co2":612}`}) {
		t.Error(got)
	}
	if n := testing.AllocsPerRun(100, func() { r.Tick([]wire.Record{{Sensor: 1}}, 0) }); n > 0 {
		t.Errorf("a tick allocates %v times", n)
	}
}

// Whatever a broker sends, only commands that topics and payloads stand for are carried out,
// and none that is retained.
func FuzzReceived(f *testing.F) {
	f.Add("gateway/gateway-0123456789ab/motors/pump/set", "ON", false)
	f.Add("gateway/gateway-0123456789ab/motors/fan/set/speed", "40", true)
	f.Add("homeassistant/device/gateway-0123456789ab/config", `{"cmps":{"x":{"p":"sensor"}}}`, true)
	f.Add(status, offline, true)
	f.Fuzz(func(t *testing.T, topic, payload string, retained bool) {
		r := newRig(time.Minute)
		r.received(topic, []byte(payload), retained)
		for _, c := range r.commands {
			action, _, _ := strings.Cut(c, " ")
			if retained || action != wire.Start && action != wire.Stop && action != wire.Set {
				t.Errorf("%q %q: %s", topic, payload, c)
			}
		}
		if all, _ := withRemovals(r.announcement(), []byte(payload)); len(all.Components) < 6 {
			t.Errorf("an announcement without what there is: %v", all)
		}
	})
}
