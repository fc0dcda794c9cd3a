package field

import (
	"encoding/json"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"periph.io/x/conn/v3/i2c"

	"sensorgateway/cmd/gateway/internal/config"
	"sensorgateway/cmd/gateway/internal/field/doctor"
	"sensorgateway/cmd/gateway/internal/machine"
	"sensorgateway/sensors/bus"
	"sensorgateway/wire"
)

// runningGateway answers as a gateway that reads a sensor, and returns where it listens.
func runningGateway(t *testing.T, name string) (listen string) {
	t.Helper()
	info := wire.SensorInfo{Name: name, Values: []wire.Quantity{wire.Temperature, wire.Humidity}}
	mux := http.NewServeMux()
	mux.HandleFunc("/api/v1/sensors", func(w http.ResponseWriter, _ *http.Request) {
		if err := json.NewEncoder(w).Encode(map[string]any{"sensors": []wire.SensorInfo{info}}); err != nil {
			t.Error(err)
		}
	})
	mux.HandleFunc("/sensors/"+name, func(w http.ResponseWriter, _ *http.Request) {
		now := wire.Record{Reading: wire.Reading{Values: [2]float32{-18, 40}, UnixMilli: time.Now().UnixMilli()}}
		if _, err := w.Write(wire.AppendSensorJSON(nil, &info, now)); err != nil {
			t.Error(err)
		}
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server.Listener.Addr().String()
}

// onChannel is a sensor behind a channel of the multiplexer on bus 250, which no machine has.
func onChannel(name string, channel uint8) config.Sensor {
	return config.Sensor{Name: name, Chip: "sht3x", Bus: "250", Mux: config.Mux{Address: 0x70, Channel: channel}, Address: 0x44}
}

const (
	notInTheFile = `the gateway that runs reads "freezer", which is not in the configuration, so it may be on this bus`
	withAMux     = "the gateway that runs uses this bus, which has a multiplexer"
)

// A gateway does not notice that another program switches a multiplexer of its bus. So scan
// and read leave that bus alone, also if the configuration was changed after the start.
func TestBusesOfAGateway(t *testing.T) {
	freezer, fridge, renamed := onChannel("freezer", 0), onChannel("fridge", 1), onChannel("cold_room", 0)
	hall := config.Sensor{Name: "hall", Chip: "sht3x", Bus: "250", Address: 0x44}
	for _, tt := range []struct {
		name  string
		reads string          // the gateway's sensor
		file  []config.Sensor // the configuration now
		args  []string
		want  string // "": the bus is used
	}{
		{"scan, no valid file", "freezer", nil, []string{"scan", "250"}, notInTheFile},
		{"scan, renamed", "freezer", []config.Sensor{renamed}, []string{"scan", "250"}, notInTheFile},
		{"scan, one more", "freezer", []config.Sensor{freezer, fridge}, []string{"scan", "250"}, "the gateway that runs switches the multiplexer at 0x70"},
		{"scan, another bus", "freezer", []config.Sensor{freezer}, []string{"scan", "251"}, ""},
		{"one more", "freezer", []config.Sensor{freezer, fridge}, []string{"read", "fridge"}, withAMux},
		{"renamed", "freezer", []config.Sensor{renamed}, []string{"read", "cold_room"}, notInTheFile},
		{"renamed, without a multiplexer", "freezer", []config.Sensor{hall}, []string{"read", "hall"}, notInTheFile},
		{"a channel", "hall", []config.Sensor{hall}, []string{"read", "sht3x@250:0x70/1:0x44"}, withAMux},
		{"a channel, the bus by its path", "hall", []config.Sensor{hall}, []string{"read", "sht3x@/dev/i2c-250:0x70/1:0x44"}, withAMux},
		{"on the bus of channels", "freezer", []config.Sensor{freezer}, []string{"read", "sht3x@250:0x45"}, withAMux},
		{"the bus by its path", "freezer", []config.Sensor{freezer}, []string{"read", "sht3x@/dev/i2c-250:0x70/0:0x44"}, "from the gateway that runs at http://"},
		{"another chip", "hall", []config.Sensor{hall}, []string{"read", "sht3x@250:0x45"}, ""},
		{"another bus", "freezer", []config.Sensor{freezer}, []string{"read", "sht3x@251:0x70/1:0x44"}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if strings.Contains(tt.args[1], "/dev/") && !filepath.IsAbs("/dev") {
				t.Skip("no such path on Windows")
			}
			cfg := &config.Config{Listen: runningGateway(t, tt.reads), Sensors: tt.file}
			out, _ := runWith(t, cfg, append(tt.args, "--config", "gateway.yaml")...) // there is no such bus
			if !strings.Contains(out, tt.want) || tt.want == "" && (!strings.Contains(out, "FAIL: ") || strings.Contains(out, "the gateway that runs")) {
				t.Errorf("no %q in\n%s", tt.want, out)
			}
		})
	}
}

// doctor does not ask the chip of a sensor that was added to the configuration behind
// another channel of a gateway's multiplexer.
func TestDoctorLeavesTheBusOfAGateway(t *testing.T) {
	root := t.TempDir()
	if err := os.MkdirAll(filepath.Join(root, "dev/i2c-250"), 0o755); err != nil {
		t.Fatal(err)
	}
	cfg := &config.Config{Listen: runningGateway(t, "freezer"), Sensors: []config.Sensor{onChannel("freezer", 0), onChannel("fridge", 1)}}
	p := &patient{Patient: doctor.New(t.Context(), root), gateway: (&source{getenv: os.Getenv}).running(t.Context(), cfg), reads: 1}
	p.Cfg = cfg
	p.buses = machine.Buses{"250": bus.New("bus 250", func() (i2c.BusCloser, error) {
		t.Error("the bus is opened")
		return nil, os.ErrPermission
	}, quiet)}
	defer p.buses.Close()
	var r doctor.Report
	p.checkChips(t.Context(), &r)
	if len(r) != 2 || r[0].Verdict != doctor.Pass || !strings.Contains(r[0].Evidence, " ms ago, says the gateway") ||
		r[1].Verdict != doctor.Skip || !strings.Contains(r[1].Evidence, withAMux) || !strings.Contains(r[1].Fix, "gateway check && sudo systemctl restart gateway") {
		t.Errorf("%+v", r)
	}
}

// A gateway that simulates, as in a first try, has none of the machine's buses.
func TestBusesBesideASimulation(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`{"simulated":true,"sensors":[{"name":"indoor"}]}`))
	}))
	defer server.Close()
	g := (&source{getenv: os.Getenv}).running(t.Context(), &config.Config{Listen: server.Listener.Addr().String()})
	if g == nil || len(g.sensors) != 1 {
		t.Fatalf("%+v", g)
	}
	if why, fix := g.reserves(config.Sensor{Bus: "1"}); why != "" || fix != "" {
		t.Errorf("%s; fix: %s", why, fix)
	}
}

// Without a valid configuration a gateway is looked for where it listens by default.
func TestBaseOf(t *testing.T) {
	for want, cfg := range map[string]config.Config{
		"http://localhost:8765":   {},
		"http://localhost:80":     {Listen: "0.0.0.0:80"},
		"http://[fd00::7]:8765":   {Listen: "[fd00::7]:8765"},
		"https://localhost:8443":  {Listen: ":8443", TLS: &config.TLS{}},
		"https://192.0.2.7:8443":  {Listen: "192.0.2.7:8443", TLS: &config.TLS{}},
		"http://gw.example:65535": {Listen: "gw.example:65535"},
	} {
		if got := baseOf(&cfg); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

// A gateway with TLS whose configuration is not valid now is shown no token, because its
// certificate is not known. Its buses are left alone.
func TestTLSWithoutAValidConfiguration(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "" {
			t.Error("it was shown a token")
		}
		http.Error(w, "a token", http.StatusUnauthorized)
	}))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	defer server.Close()
	cfg := &config.Config{Listen: server.Listener.Addr().String(), TLS: &config.TLS{}}
	g := findGateway(t.Context(), cfg, func(*url.URL) (string, error) { return "gwt_token", nil })
	why, fix := g.reserves(config.Sensor{Bus: "250"})
	if !strings.Contains(why, "the token is not shown: without a valid configuration") || !strings.HasSuffix(why, ", so it is not known what it reads") || !strings.Contains(fix, stopIt) {
		t.Errorf("%s; %s", why, fix)
	}
}
