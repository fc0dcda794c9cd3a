//go:build unix

package e2e

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"sensorgateway/gateway/mqtt/mqtttest"
)

// By mqtts, the broker has to have a certificate that this machine trusts.
func TestHomeAssistantTLS(t *testing.T) {
	t.Parallel()
	binary, dir := buildGateway(t), t.TempDir()
	if out, err := exec.Command(binary, "cert", "--out", dir, "--host", "localhost").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	m := startMosquitto(t, "certfile "+dir+"/gateway.crt", "keyfile "+dir+"/gateway.key")
	config := strings.Replace(mustRead(t, simulatedAtHome(t, m, "")), "mqtt://127.0.0.1", "mqtts://localhost", 1)
	args := []string{binary, "--simulate", "--config", writeFile(t, "tls.yaml", config), "--listen", "127.0.0.1:0"}
	startGateway(t, args...).await(t, "certificate signed by unknown authority")
	startGateway(t, append([]string{"env", "SSL_CERT_FILE=" + dir + "/gateway.crt"}, args...)...).await(t, "connected to the broker of home assistant")
}

// mosquitto is Debian's MQTT broker, and its clients.
type mosquitto struct {
	*mqtttest.Mosquitto
	t testing.TB
}

// startMosquitto starts a broker with a user "gateway" whose password is "secret",
// and "ha" with "secret" too; lines are for its configuration.
func startMosquitto(t testing.TB, lines ...string) *mosquitto {
	t.Helper()
	passwords := filepath.Join(t.TempDir(), "passwords")
	for i, user := range []string{"gateway", "ha"} {
		args := []string{"-b", passwords, user, "secret"}
		if i == 0 {
			args = slices.Insert(args, 0, "-c")
		}
		if out, err := exec.Command(findTool(t, "mosquitto_passwd", "mosquitto"), args...).CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	if err := os.Chmod(passwords, 0o644); err != nil {
		t.Fatal(err)
	}
	return &mosquitto{mqtttest.StartMosquitto(t, append(lines, "password_file "+passwords)...), t}
}

func (m *mosquitto) args(more ...string) []string {
	host, port, _ := strings.Cut(m.Address, ":")
	return append([]string{"-h", host, "-p", port, "-u", "ha", "-P", "secret"}, more...)
}

func (m *mosquitto) publish(topic, payload string, more ...string) {
	m.t.Helper()
	args := m.args(append([]string{"-V", "mqttv311", "-q", "1", "-t", topic, "-m", payload}, more...)...)
	if out, err := exec.Command(findTool(m.t, "mosquitto_pub", "mosquitto-clients"), args...).CombinedOutput(); err != nil {
		m.t.Fatalf("%v\n%s", err, out)
	}
}

// listener receives what a client of the broker subscribes to.
type listener struct {
	t       testing.TB
	lines   <-chan string // TOPIC PAYLOAD
	waiting []string      // those that came before it was known to listen
	seen    []string
}

// listen returns when the broker has the subscriptions: it then has sent what is retained on
// the last topic.
func (m *mosquitto) listen(topics ...string) *listener {
	m.t.Helper()
	m.publish("tests/subscribed", "yes", "-r")
	args := m.args("-v", "-q", "1")
	for _, topic := range append(topics, "tests/subscribed") {
		args = append(args, "-t", topic)
	}
	cmd := exec.Command(findTool(m.t, "mosquitto_sub", "mosquitto-clients"), args...)
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		m.t.Fatal(err)
	}
	l := &listener{t: m.t, lines: readLines(out)}
	m.t.Cleanup(func() {
		cmd.Process.Kill()
		for range l.lines { // until its output ends
		}
		cmd.Wait()
	})
	l.until("tests/subscribed", has("yes"))
	l.waiting, l.seen = l.seen[:len(l.seen)-1], nil
	return l
}

// next returns the next message.
func (l *listener) next(late <-chan time.Time, what string) string {
	l.t.Helper()
	var line string
	open := true
	if len(l.waiting) > 0 {
		line, l.waiting = l.waiting[0], l.waiting[1:]
	} else {
		select {
		case line, open = <-l.lines:
		case <-late:
			open = false
		}
	}
	if !open {
		l.t.Fatalf("%s has not come; the last messages were %q", what, l.seen[max(0, len(l.seen)-10):])
	}
	l.seen = append(l.seen, line)
	return line
}

// until returns the next payload on a topic that ends with suffix and for which ok
// holds.
func (l *listener) until(suffix string, ok func(payload string) bool) string {
	l.t.Helper()
	for late := time.After(patience); ; {
		topic, payload, _ := strings.Cut(l.next(late, "what is awaited on …"+suffix), " ")
		if strings.HasSuffix(topic, suffix) && ok(payload) {
			return payload
		}
	}
}

// all waits until, for each of the beginnings of TOPIC PAYLOAD, a message has come, in any
// order.
func (l *listener) all(beginnings ...string) {
	l.t.Helper()
	for late := time.After(patience); len(beginnings) > 0; {
		line := l.next(late, strings.Join(beginnings, " and "))
		beginnings = slices.DeleteFunc(beginnings, func(begin string) bool { return strings.HasPrefix(line, begin) })
	}
}

func has(text string) func(string) bool {
	return func(p string) bool { return strings.Contains(p, text) }
}

// simulatedAtHome is a configuration with a fan that may run without conditions.
func simulatedAtHome(t *testing.T, m *mosquitto, more string) string {
	t.Helper()
	password := writeFile(t, "mqtt.password", "secret\n")
	return writeFile(t, "gateway.yaml", `name: greenhouse
sensors: [{name: indoor, chip: sht3x}]
motors:
  - {name: fan, kind: dir_pwm, dir: GPIO23, pwm: GPIO18}
  - {name: pump, kind: on_off, pin: GPIO17, on_operator_loss: keep}
alarms:
  - {name: always, condition: indoor.temperature > -40, severity: info}
home_assistant: {broker: "mqtt://`+m.Address+`", user: gateway, password_file: `+password+more+"}\n")
}

// Home Assistant sees the device, its sensors and motors, and their states. It cannot
// command, because the configuration does not allow it.
func TestHomeAssistantSees(t *testing.T) {
	t.Parallel()
	m := startMosquitto(t)
	l := m.listen("homeassistant/#", "gateway/#")
	p := startGateway(t, buildGateway(t), "--simulate", "--config", simulatedAtHome(t, m, ""), "--listen", "127.0.0.1:0")
	var d struct {
		Dev  struct{ Name string }
		Cmps map[string]map[string]any
	}
	discovery := l.until("/config", has("greenhouse"))
	if err := json.Unmarshal([]byte(discovery), &d); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"indoor_temperature": "sensor", "indoor_humidity": "sensor", "fan_binary_sensor": "binary_sensor", "pump_binary_sensor": "binary_sensor", "estop": "binary_sensor", "alarm_always": "binary_sensor", "alarm_clock_unsynced": "binary_sensor", "alarm_sensor_lost:indoor": "binary_sensor", "alarm_motor_fault:fan": "binary_sensor", "alarm_motor_fault:pump": "binary_sensor"}
	for key, platform := range want {
		if c := d.Cmps[key]; c["p"] != platform || c["command_topic"] != nil {
			t.Errorf("%s is %v, want a %s", key, c, platform)
		}
	}
	if len(d.Cmps) != len(want) || d.Dev.Name != "greenhouse" {
		t.Errorf("the device is %+v", d)
	}
	id := base(t, discovery)
	l.all(id+"/availability online", id+"/sensors/indoor/availability online", id+"/sensors/indoor {", id+`/alarms/always {"state":"ON","severity":"info","condition":"indoor.temperature > -40"`, id+`/alarms/sensor_lost:indoor {"state":"OFF","severity":"warning"`, id+`/alarms/motor_fault:fan {"state":"OFF","severity":"critical"`)

	m.publish(id+"/motors/fan/set", "ON")
	c := newMotorClient(t, p.URL)
	if a := c.ask("command", `{"action":"start","target":"fan","run_ms":500}`); a.Type != "ack" {
		t.Fatalf("%+v", a)
	}
	l.until("/motors/fan", has(`"state":"ON"`))
	if s := l.until("/motors/fan", has(`"state":"OFF"`)); !strings.Contains(s, `"reason":"run_ms"`) || strings.Contains(strings.Join(l.seen, "\n"), "home-assistant") {
		t.Errorf("Home Assistant commanded: %s", s)
	}
	if a := c.ask("command", `{"action":"estop"}`); a.Type != "ack" {
		t.Fatalf("%+v", a)
	}
	l.until("/estop", has("ON"))
	m.publish("homeassistant/status", "online") // it has started, and knows nothing
	l.until("/config", has("greenhouse"))
	l.until("/motors/fan", has(`"state":"OFF"`))
	if err := p.Stop(t); err != nil {
		t.Error(err)
	}
	l.until("simulated/availability", has("offline"))
}

// Home Assistant commands, as an operator with a lease of its own. A retained command is
// never carried out. Motors that it started stop when it, or the broker, is lost. What is
// no longer configured is removed.
func TestHomeAssistantCommands(t *testing.T) {
	t.Parallel()
	m := startMosquitto(t)
	config := simulatedAtHome(t, m, ", max_run: 10m")
	args := []string{buildGateway(t), "--simulate", "--config", config, "--listen", freeAddress(t)}
	l := m.listen("homeassistant/#", "gateway/#")
	p := startGateway(t, args...)
	discovery := l.until("/config", has("greenhouse"))
	base := base(t, discovery)
	set := func(topic, payload string) { t.Helper(); m.publish(base+topic, payload) }
	state := func(motor string, texts ...string) {
		t.Helper()
		l.until("/motors/"+motor, func(payload string) bool {
			return !slices.ContainsFunc(texts, func(text string) bool { return !strings.Contains(payload, text) })
		})
	}
	on, off := `"state":"ON"`, `"state":"OFF"`
	state("fan", off)

	set("/motors/fan/set/direction", "reverse") // nothing moves yet
	state("fan", off, `"direction":"reverse"`)
	set("/motors/fan/set/speed", "40")
	state("fan", on, `"speed":40`, `"direction":"reverse"`, `"holder":"home-assistant"`)
	set("/motors/fan/set/direction", "forward")
	state("fan", on, `"speed":40`, `"direction":"forward"`)
	set("/motors/fan/set/speed", "0")
	state("fan", off, `"reason":"command"`, `"by":"home-assistant"`)
	set("/motors/fan/set", "ON")
	state("fan", on, `"speed":100`)

	// Another operator gets 409, and may stop.
	c := newMotorClient(t, p.URL)
	if a := c.ask("command", `{"action":"start","target":"fan","speed":0.1}`); a.Type != "error" || a.Payload.Code != 409 {
		t.Errorf("a start of another operator: %+v", a)
	}
	if a := c.ask("command", `{"action":"stop","target":"fan"}`); a.Type != "ack" {
		t.Errorf("a stop of another operator: %+v", a)
	}
	state("fan", off)

	set("/motors/fan/set", "ein")
	p.await(t, "neither ON nor OFF")

	// Retained: with the gateway connected, and at its next connection.
	m.publish(base+"/motors/pump/set", "ON", "-r")
	set("/motors/fan/set", "ON")
	state("fan", on)
	if s := pumpState(l); strings.Contains(s, on) {
		t.Errorf("a retained command was obeyed: %s", s)
	}

	// Home Assistant ends, and begins.
	set("/motors/pump/set", "ON")
	state("pump", on)
	m.publish("homeassistant/status", "offline")
	state("fan", off, `"reason":"disconnect"`)
	state("pump", off, `"reason":"lease"`) // although it has on_operator_loss: keep
	set("/motors/fan/set", "ON")           // while Home Assistant is offline
	m.publish("homeassistant/status", "online")
	state("fan", off)
	set("/motors/fan/set", "ON")
	state("fan", on)

	// The broker no longer answers, then comes back.
	m.Signal(syscall.SIGSTOP)
	if a := c.ask("subscribe", `{"topic":"motors"}`); a.Type != "subscribed" {
		t.Fatalf("%+v", a)
	}
	if a := c.state("disconnect"); a.Payload.Running {
		t.Errorf("%+v", a)
	}
	m.Signal(syscall.SIGCONT)
	m.Kill()
	m.Start() // its retained messages and the listener's connection are lost
	l = m.listen("homeassistant/#", "gateway/#")
	state("fan", off)

	// A motor is no longer configured.
	if err := p.Stop(t); err != nil {
		t.Error(err)
	}
	text := strings.Replace(mustRead(t, config), "  - {name: pump, kind: on_off, pin: GPIO17, on_operator_loss: keep}\n", "", 1)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	startGateway(t, args...)
	l.until("/config", has(`"pump_switch":{"p":"switch"}`))
	if last := l.until("/config", has("greenhouse")); strings.Contains(last, "pump") {
		t.Errorf("it is not removed in the end: %s", last)
	}
}

// base returns the beginning of a gateway's topics.
func base(t *testing.T, discovery string) string {
	t.Helper()
	var d struct{ Dev struct{ IDs []string } }
	if err := json.Unmarshal([]byte(discovery), &d); err != nil || len(d.Dev.IDs) != 1 {
		t.Fatalf("%v: %s", err, discovery)
	}
	return "gateway/" + d.Dev.IDs[0]
}

// pumpState returns the last state of the pump so far.
func pumpState(l *listener) (last string) {
	for _, line := range l.seen {
		if topic, payload, _ := strings.Cut(line, " "); strings.HasSuffix(topic, "/motors/pump") {
			last = payload
		}
	}
	return last
}

// A wrong password is reported with what to check; the right one is used without a
// restart.
func TestHomeAssistantPassword(t *testing.T) {
	t.Parallel()
	m := startMosquitto(t)
	config := simulatedAtHome(t, m, "")
	password := regexp.MustCompile(`password_file: ([^,}]+)`).FindStringSubmatch(mustRead(t, config))[1]
	for _, tt := range []struct{ content, says string }{{"wrong", "check home_assistant.user and its password_file"}, {"", "let the user who runs the gateway read it"}} {
		if err := os.Remove(password); err != nil {
			t.Fatal(err)
		}
		if tt.content != "" {
			if err := os.WriteFile(password, []byte(tt.content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		p := startGateway(t, buildGateway(t), "--simulate", "--config", config, "--listen", "127.0.0.1:0")
		p.await(t, tt.says)
		if err := os.WriteFile(password, []byte("secret\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		p.await(t, "connected to the broker of home assistant")
		if err := p.Stop(t); err != nil {
			t.Error(err)
		}
	}
}
