package announce

import (
	"bytes"
	"errors"
	"log/slog"
	"net/netip"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sensorgateway/cmd/gateway/internal/config"
	"sensorgateway/wire"
)

// parse returns a configuration with a sensor, and the lines.
func parse(t *testing.T, lines string) *config.Config {
	t.Helper()
	c, err := config.Parse("gateway.yaml", []byte("sensors: [{name: indoor, chip: sht3x}]\n"+lines),
		map[string]config.Chip{"sht3x": {Addresses: []uint16{0x44}, MinInterval: 20 * time.Millisecond, Values: []wire.Quantity{wire.Temperature, wire.Humidity}}})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// What others can open is named, and nothing that they cannot.
func TestPages(t *testing.T) {
	machine := func() ([]string, []netip.Addr) {
		return []string{"pi", "pi.local", "pi.example"}, []netip.Addr{netip.MustParseAddr("192.0.2.7"), netip.MustParseAddr("fd00::7")}
	}
	const tls = "tls: {cert: /a.crt, key: /a.key}\n"
	for lines, want := range map[string]string{
		"":                                       "http://localhost:1/",
		"insecure: true\n":                       "http://localhost:1/",
		"hosts: [gw.example]\n":                  "http://localhost:1/",
		"url: https://gw.example/x\n":            "http://localhost:1/ https://gw.example/x/",
		"insecure: true\nlisten: :1\n":           "http://localhost:1/ http://pi.local:1/ http://192.0.2.7:1/ http://[fd00::7]:1/",
		"insecure: true\nlisten: '[::]:1'\n":     "http://localhost:1/ http://pi.local:1/ http://192.0.2.7:1/ http://[fd00::7]:1/",
		"insecure: true\nlisten: 0.0.0.0:1\n":    "http://localhost:1/ http://pi.local:1/ http://192.0.2.7:1/",
		"insecure: true\nlisten: 192.0.2.7:1\n":  "http://192.0.2.7:1/",
		tls:                                      "https://localhost:1/ https://pi.local:1/ https://192.0.2.7:1/ https://[fd00::7]:1/",
		tls + "hosts: [gw.example, 192.0.2.7]\n": "https://localhost:1/ https://pi.local:1/ https://192.0.2.7:1/ https://[fd00::7]:1/ https://gw.example:1/",
	} {
		if got := strings.Join(pages(parse(t, lines), "1", machine), " "); got != want {
			t.Errorf("%q: %s\nwant %s", lines, got, want)
		}
	}
	many := func() (_ []string, all []netip.Addr) {
		for i := range 300 {
			all = append(all, netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}))
		}
		return nil, all
	}
	if got := pages(parse(t, "insecure: true\nlisten: :1\n"), "1", many); len(got) != maxAddresses {
		t.Errorf("%d of 300 addresses are named, want %d", len(got), maxAddresses)
	}
}

// Whoever may connect and command is said as it is.
func TestAccess(t *testing.T) {
	for _, tt := range []struct{ lines, open, motors string }{
		{"", "no other machine reaches it", "nobody"},
		{"insecure: true\n", "no other machine reaches it", "nobody"},
		{"commands: local\n", "programs on this machine", "started by programs on this machine"},
		{"insecure: true\nlisten: :1\n", "no password, no encryption", "nobody"},
		{"insecure: true\nlisten: :1\ncommands: unauthenticated\n", "not private", "started by whoever reaches the port"},
		{"tls: {cert: /a.crt, key: /a.key}\n", "encrypted, no password", "nobody"},
		{"home_assistant: {broker: 'mqtt://ha', max_run: 1m}\n", "no other machine", "by home assistant through mqtt://ha,"},
		{"home_assistant: {broker: 'mqtt://ha'}\n", "no other machine", "nobody (see commands: in the configuration), stopped"},
		{"proxies: [{from: 127.0.0.1, header: Forwarded}]\n", "whoever its proxy lets in", "nobody"},
	} {
		s := Start{Config: parse(t, tt.lines), Motors: []wire.MotorState{{Target: "m1"}}}
		all := s.access()
		if len(all) != 2 || !strings.Contains(all[0].who, tt.open) || !strings.Contains(all[1].who, tt.motors) || !strings.Contains(all[1].who, "stopped by whoever may connect") {
			t.Errorf("%q: %q, want %q and %q", tt.lines, all, tt.open, tt.motors)
		}
		if s.Motors = nil; len(s.access()) != 1 {
			t.Errorf("%q: something is said of motors that there are not", tt.lines)
		}
	}
}

// The announcement for people, whole.
func TestPrint(t *testing.T) {
	s := Start{
		Version: "v1", Config: parse(t, "motors: [{name: fan, kind: on_off, pin: GPIO17, needs: [indoor.temperature < 60]}]\n"),
		Port: "8765", Sensors: []wire.SensorInfo{{Name: "indoor", Values: []wire.Quantity{wire.Temperature, wire.Humidity}}}, Firsts: NewFirsts(1),
		Err: func(int) error { return errors.New("read: no answer") },
		Motors: []wire.MotorState{
			{Target: "fan", Interlocks: []wire.Interlock{{Condition: "indoor.temperature < 60"}, {Condition: "indoor.age < 1s"}}},
			{Target: "gate", Reversible: true, Proportional: true, Latched: true},
			{Target: "pump", Latched: true, Fault: "GPIO5 is taken"},
		},
	}
	s.Firsts.Tick([]wire.Record{{Reading: wire.Reading{Values: [2]float32{21.5, 40}}}}, 0)
	var b bytes.Buffer
	s.Print(&b, 7*time.Millisecond)
	got := regexp.MustCompile(` on .* · `).ReplaceAllString(b.String(), " on HERE · ")
	want := `gateway v1 on HERE · 

  indoor       sht3x   bus 1 0x44   21.50 °C  40.0 %   every 100ms
  fan          motor   off, runs only while indoor.temperature < 60 and indoor.age < 1s
  gate         motor   off, the e-stop is latched, both directions, any speed
  pump         motor   off, GPIO5 is taken

  page      http://localhost:8765/
  readings  ws://localhost:8765/
  open to   programs on this machine; no other machine reaches it
  motors    started by nobody (see commands: in the configuration), stopped by whoever may connect

ready in 7 ms · stop with Ctrl-C
`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("printed (-want +got):\n%s", diff)
	}

	s.Config = parse(t, "insecure: true\nlisten: 192.0.2.7:8765\nhosts: [gw.example]\n")
	b.Reset()
	s.Log(slog.New(slog.NewTextHandler(&b, nil)), 7*time.Millisecond)
	for _, line := range []string{"msg=\"motor configured\" motor=gate", "page=http://192.0.2.7:8765/ readings=ws://192.0.2.7:8765/ also=http://gw.example:8765/", "not private"} {
		if !strings.Contains(b.String(), line) {
			t.Errorf("no %q in the log:\n%s", line, b.String())
		}
	}
}

// A chip that opening made late in its first tick is waited for; one that does not answer
// is not.
func TestFirsts(t *testing.T) {
	f := NewFirsts(2)
	announced := func() bool {
		select {
		case <-f.all:
			return true
		default:
			return false
		}
	}
	f.Tick([]wire.Record{{Fault: wire.Timeout}, {Sensor: 1, Fault: wire.NoAck}}, 0)
	if r, ok := f.of(0); announced() || !ok || r.Fault != wire.Timeout {
		t.Errorf("after a tick in which it was late: announced %v, %v %v", announced(), r, ok)
	}
	f.Tick([]wire.Record{{Reading: wire.Reading{Values: [2]float32{21.5, 40}}}, {Sensor: 1}}, 0)
	late, _ := f.of(0)
	lost, _ := f.of(1)
	if !announced() || late.Values[0] != 21.5 || lost.Fault != wire.NoAck {
		t.Errorf("announced %v, %v, %v", announced(), late, lost)
	}
}
