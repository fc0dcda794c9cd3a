package metrics

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"sensorgateway/gateway/fleet"
	"sensorgateway/gateway/host"
	"sensorgateway/gateway/hub"
	"sensorgateway/gateway/hub/count"
	"sensorgateway/gateway/hub/demand"
	"sensorgateway/gateway/limit"
	"sensorgateway/wire"
)

type fixedAudit struct{}

func (fixedAudit) Written() int64 { return 17 }
func (fixedAudit) Lost() int64    { return 0 }
func (fixedAudit) Err() error     { return nil }

// fixedHub is a hub of two sites, seen at the start of synctest's clock.
func fixedHub() *Hub {
	now := time.Now().UnixMilli()
	var gateways []hub.Overview
	for i := range 100 {
		gateways = append(gateways, hub.Overview{Site: "lab", Name: fmt.Sprintf("pi-%d", i), Presence: hub.Presence{State: hub.Here}, Stored: now - int64(i+1)*1000})
	}
	gateways[7].Presence.State, gateways[7].Stored = hub.Away, now-3_600_000
	gateways[8].Alarms = []wire.Alarm{{Name: "hot", State: wire.AlarmRaised, Severity: wire.SeverityCritical}, {Name: "cold", State: wire.AlarmRaised, Severity: wire.SeverityInfo}}
	gateways = append(gateways, hub.Overview{Site: "roof", Name: "secret", Presence: hub.Presence{State: hub.Never}})
	return NewHub(HubSource{
		Version: "1.2.3", LogLost: func() int64 { return 4321 }, Host: func() host.Stats { return host.Stats{Load1: new(0.42), ProcessMemory: new(uint64(11505664))} },
		Gateways: func() []hub.Overview { return append([]hub.Overview{}, gateways...) },
		Sites: func() []hub.Site {
			return []hub.Site{{Name: "lab", Connected: true, Connections: 3}, {Name: "roof", Connections: 1}}
		},
		Counts: func() count.Counts {
			return count.Counts{
				Messages: []count.Traffic{{Kind: fleet.Up, Messages: 3, Bytes: 4000}, {Kind: fleet.News, Messages: 2, Bytes: 300}}, Refused: 1, Dropped: 2, Unstored: 4, Blocks: 5, Readings: 3000,
				Gaps: 6, GapsLeft: 7, Orders: []count.Sent{{Kind: fleet.Cmd, Sent: 8, Failed: 9}, {Kind: fleet.Ask, Sent: 10}}, Confirmed: 11, Denied: 12, Silent: 13, Watched: 14,
			}
		},
		Wanted: func() demand.Counts { return demand.Counts{Answered: 15, Refused: 16, Silent: 17} },
		Stored: func() int64 { return 12345678 }, Clients: func() int { return 200 }, Served: func() int { return 15 },
		Refused: func() map[string]uint64 { return map[string]uint64{"origin": 2, "host": 0} },
		Limits:  func() []limit.Count { return []limit.Count{{Name: "connections", Current: 3, Maximum: 512}} },
		Audit:   fixedAudit{},
	})
}

// checkGolden compares a text of metrics with that of a file.
func checkGolden(t *testing.T, name, got string) {
	t.Helper()
	parseMetrics(t, got)
	got = strings.Replace(got, runtime.Version(), "go1.0", 1)
	got = regexp.MustCompile(`(?m)^go_goroutines [1-9]\d*$`).ReplaceAllString(got, "go_goroutines 1")
	want, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(got, "\n")); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestMetricsOfAHub(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b strings.Builder
		fixedHub().Expose(&b, func(fleet.Gateway) bool { return true })
		checkGolden(t, "hub.txt", b.String())
	})
}

// Of gateways and sites that a client may not see, nothing is said.
func TestMetricsOfAHubWithinAScope(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b strings.Builder
		fixedHub().Expose(&b, func(g fleet.Gateway) bool { return g.Name == "pi-8" })
		values := parseMetrics(t, b.String())
		if strings.Contains(b.String(), "roof") || values[`gateway_hub_gateways{site="lab",state="here"}`] != "1" || values["gateway_hub_lag_max_seconds"] != "9" {
			t.Error(b.String())
		}
		b.Reset()
		fixedHub().Expose(&b, func(fleet.Gateway) bool { return false })
		if strings.Contains(b.String(), "lab") || strings.Contains(b.String(), "lag_") {
			t.Error(b.String())
		}
	})
}

// known is what a hub has stored of a gateway, at the start of synctest's clock.
const known = `{"version":1,"site":"lab","received":946684800000,"presence":{"state":"here","since":946684700000},"connection":17,
"hello":{"server":"gateway","name":"greenhouse 3","version":"v1.2.3","epoch":"e","time":946684800000,"clock_synced":true,"nonce":"n","connection":17,
"motors":[{"target":"fan","running":true,"speed":0.5,"direction":"forward","reason":"command"},{"target":"pump","running":false,"speed":0,"direction":"forward","reason":"boot","control":{"by":"anna","since":1}}],
"sensors":[{"id":0,"name":"indoor","interval_ms":100,"values":[{"quantity":"temperature","unit":"°C"},{"quantity":"humidity","unit":"%"}]},
{"id":1,"name":"outdoor","interval_ms":100,"values":[{"quantity":"temperature","unit":"°C"},{"quantity":"humidity","unit":"%"}]},
{"id":2,"name":"air","interval_ms":100,"values":[{"quantity":"co2","unit":"ppm"}]}],
"alarms":[{"name":"hot","state":"raised","severity":"critical","sensor":"indoor","since":946684700},{"name":"motor_fault:fan","state":"cleared","severity":"critical","motor":"fan"},{"name":"clock_unsynced","state":"cleared","severity":"warning"}]},
"newest":{"indoor":{"epoch":"e","record":"RECORD","quantities":[{"quantity":"temperature","unit":"°C"},{"quantity":"humidity","unit":"%"}]},
"outdoor":{"epoch":"e","record":"FAILED","quantities":[{"quantity":"temperature","unit":"°C"},{"quantity":"humidity","unit":"%"}]}},"stored":946684740000,"bytes":1204511,"month":"2000-01"}`

// newRemote returns the gateway that is known so, or as it is with a text replaced.
func newRemote(t *testing.T, replaced, by string) *hub.Remote {
	t.Helper()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "pi-7"), 0o700); err != nil {
		t.Fatal(err)
	}
	now := time.Now().UnixMilli()
	good := wire.Record{Seq: 5, Reading: wire.Reading{Values: [2]float32{21.37, 68.3}, UnixMilli: now - 2000}}
	failed := wire.Record{Seq: 5, Fault: wire.NoAck, Reading: wire.Failed(wire.NoAck, now-1000)}
	text := strings.NewReplacer(`"RECORD"`, string(wire.JSON(good.Append(nil))), `"FAILED"`, string(wire.JSON(failed.Append(nil))), replaced, by).Replace(known)
	if err := os.WriteFile(filepath.Join(dir, "pi-7", "gateway.json"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	g, err := hub.NewRegistry(hub.RegistryOptions{
		Hub: "hub-a", Key: ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)), Dir: dir, Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
		Check: func(fleet.Gateway) error { return nil }, Members: func() []fleet.Gateway { return []fleet.Gateway{{Site: "lab", Name: "pi-7"}} },
		Store:   func(context.Context, string, fleet.Blocks) error { return nil },
		Missing: func(string) ([]hub.Gap, error) { return nil, nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	r, some := g.Get("pi-7")
	if !some {
		t.Fatal("the gateway is not known")
	}
	return r
}

func through(g *hub.Remote, sensor, motor func(string) bool) string {
	var b strings.Builder
	ExposeThrough(&b, g, 2, sensor, motor)
	return b.String()
}

func TestMetricsThroughAHub(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRemote(t, "#", "#")
		checkGolden(t, "through.txt", through(r, everything, everything))
		at := time.Now().Add(-12_500 * time.Millisecond)
		for _, tt := range []struct {
			m    Machine
			want string
		}{
			{Machine{}, `"machine_age_seconds":null`},
			{Machine{Why: errors.New("it is away")}, `"machine_age_seconds":null,"machine_reason":"it is away"`},
			{Machine{Numbers: []byte(`{"load1":0.5,"new":1}`), At: at}, `"load1":0.5,"machine_age_seconds":12.5`},
			{Machine{Numbers: []byte(`{"load1":0.5}`), At: at, Why: errors.New("it is away")}, `"load1":0.5,"machine_age_seconds":12.5,"machine_reason":"it is away"`},
			{Machine{Numbers: []byte(`{"load1":0.5,"uptime_seconds":"long"}`), At: at},
				`"machine_age_seconds":null,"machine_reason":"what it has sent is not understood: json: cannot unmarshal string into Go struct field Stats.uptime_seconds of type float64"`},
		} {
			got, err := json.Marshal(PayloadThrough(r, 2, tt.m, everything))
			want := `{"ts":946684800,` + tt.want + `,"clients":2,"clock_synced":true,"sensors":{"air":{"up":false,"readings":0,"errors":0},` +
				`"indoor":{"up":true,"readings":0,"errors":0},"outdoor":{"up":false,"readings":0,"errors":0}}}`
			if err != nil || string(got) != want {
				t.Errorf("%s, %v\nwant %s", got, err, want)
			}
		}
		limited := through(r, func(name string) bool { return name == "outdoor" }, func(string) bool { return false })
		if strings.Contains(limited, "indoor") || strings.Contains(limited, "fan") || strings.Contains(limited, `"hot"`) || !strings.Contains(limited, `{sensor="outdoor"}`) {
			t.Errorf("beyond the scope: %s", limited)
		}
	})
}

// A stale number must never be scraped as live: neither an old one, nor one of a gateway
// that is away.
func TestStaleMetricsThroughAHub(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const temperature = `gateway_temperature_celsius{sensor="indoor"}`
		r := newRemote(t, "#", "#")
		time.Sleep(178 * time.Second) // the reading is 2 s old
		if values := parseMetrics(t, through(r, everything, everything)); values[temperature] != "21.37" {
			t.Errorf("%v", values)
		}
		time.Sleep(time.Second)
		if values := parseMetrics(t, through(r, everything, everything)); values[temperature] != "" || values[`gateway_sensor_up{sensor="indoor"}`] != "0" || values[`gateway_hub_reading_age_seconds{sensor="indoor"}`] != "181" {
			t.Errorf("%v", values)
		}
		away := parseMetrics(t, through(newRemote(t, `"state":"here"`, `"state":"away"`), everything, everything))
		for name, want := range map[string]string{
			temperature: "", "gateway_clock_synced": "", `gateway_motor_running{motor="fan"}`: "", "gateway_hub_connected": "0", `gateway_sensor_up{sensor="indoor"}`: "0",
			`gateway_alarm{name="hot",severity="critical"}`: "1",
		} {
			if away[name] != want {
				t.Errorf("away: %s is %q, want %q", name, away[name], want)
			}
		}
	})
}

// How old a reading is does not depend on a clock of the gateway that nothing has set: by its
// hello, the hub knows what that clock says.
func TestUnsyncedClockThroughAHub(t *testing.T) {
	const clock = `"time":946684800000,"clock_synced":true`
	for _, tt := range []struct {
		hello         string // at 946684800000
		wait          time.Duration
		up, ages, lag string
	}{
		{clock, 200 * time.Second, "0", "202", "260"},
		{`"time":946684600000,"clock_synced":false`, 300 * time.Second, "1", "102", "160"}, // 200 s behind
		{`"time":946684600000,"clock_synced":false`, 400 * time.Second, "0", "202", "260"},
		{`"time":946688400000,"clock_synced":false`, 0, "0", "3602", "3660"}, // an hour ahead: the reading is of an hour before the hello
		{`"time":946688400000,"clock_synced":true`, 0, "1", "2", "60"},       // it is the hub's that is behind
	} {
		synctest.Test(t, func(t *testing.T) {
			r := newRemote(t, clock, tt.hello)
			time.Sleep(tt.wait)
			values := parseMetrics(t, through(r, everything, everything))
			if up, age, lag := values[`gateway_sensor_up{sensor="indoor"}`], values[`gateway_hub_reading_age_seconds{sensor="indoor"}`], values["gateway_hub_lag_seconds"]; up != tt.up || age != tt.ages || lag != tt.lag {
				t.Errorf("%s, after %v: up %s, age %s, lag %s; want %s, %s, %s", tt.hello, tt.wait, up, age, lag, tt.up, tt.ages, tt.lag)
			}
		})
	}
}
