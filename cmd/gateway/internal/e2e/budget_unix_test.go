//go:build unix

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sensorgateway/gateway/checksum"
	"sensorgateway/gateway/history/codec"
	"sensorgateway/gateway/history/collect"
	"sensorgateway/gateway/mqtt/mqtttest"
	"sensorgateway/wire"
)

// minutesInLog writes a log with minutes of a sensor into the state directory of a gateway
// that does not run, as a restored one has it, and returns their records.
func minutesInLog(t *testing.T, state, sensor string, from time.Time, minutes int) (records []wire.Record) {
	t.Helper()
	c, err := collect.Open(collect.Options{Dir: filepath.Dir(state), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	var packer codec.Packer
	var blocks [][]byte
	for len(blocks) < minutes {
		var sum codec.Summary
		var block []wire.Record
		for range 600 {
			n := len(records)
			r := wire.Record{Seq: uint32(n + 1), Reading: wire.Reading{UnixMilli: from.UnixMilli() + int64(n)*100, Values: [2]float32{20 + float32(n%32)/8, 50 + float32(n%64)/4}}}
			sum.Add(r)
			block, records = append(block, r), append(records, r)
		}
		blocks = append(blocks, packer.AppendBlock(nil, codec.Origin{Sensor: sensor, Epoch: "before", Boot: "b"}, block[0].Seq-1, sum, block))
	}
	err = c.Append(ctx, filepath.Base(state), blocks, []collect.Values{{Sensor: wire.SensorInfo{Values: wire.Quantities()[:2]}}})
	cancel()
	if ended := <-done; err != nil || ended != nil {
		t.Fatal(err, ended)
	}
	return records
}

// useBytes makes a gateway, which does not run, believe that it has used so many bytes of
// this month.
func useBytes(t *testing.T, state string, bytes int) {
	t.Helper()
	file := filepath.Join(state, "uplink.json")
	known := map[string]any{"version": 1}
	if data, err := os.ReadFile(file); err == nil {
		line, err := checksum.Cut(data)
		if err == nil {
			err = json.Unmarshal(line, &known)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	known["month"], known["used"] = time.Now().UTC().Format("2006-01"), bytes
	if err := os.WriteFile(file, checksum.Append(wire.JSON(known)), 0o600); err != nil {
		t.Fatal(err)
	}
}

// readings asks a hub for the readings of a time, and returns them, and what it says is lacking.
func (h *hubProcess) readings(token string, from, to int64) (records []wire.Record, lacking string) {
	h.t.Helper()
	answer, body := h.request(fmt.Sprintf("/gateways/pi-1/api/v1/readings?sensor=indoor&format=binary&from=%d&to=%d", from, to), token)
	if answer.StatusCode != http.StatusOK {
		h.t.Fatalf("%s: %s", answer.Status, body)
	}
	if len(body) > 0 {
		var err error
		if records, err = wire.ParseRecords(body); err != nil {
			h.t.Fatal(err)
		}
	}
	return records, answer.Header.Get("Readings-Lacking")
}

// awaitReadings asks until nothing is lacking, and holds that the readings are these.
func (h *hubProcess) awaitReadings(token string, want []wire.Record) {
	h.t.Helper()
	var got []wire.Record
	eventually(h.t, patience, func() (string, bool) {
		var lacking string
		got, lacking = h.readings(token, want[0].UnixMilli, want[len(want)-1].UnixMilli+1)
		return fmt.Sprintf("%d readings, lacking %q", len(got), lacking), len(got) == len(want) && lacking == ""
	})
	for i, r := range got {
		if r.Reading != want[i].Reading || r.Seq != want[i].Seq || r.Fault != wire.Good {
			h.t.Fatalf("reading %d is %+v, want %+v", i, r, want[i])
		}
	}
}

// TestNearlyUsedBudget: when a gateway has nearly used its bytes of the month, the hub has
// the summary of each minute, and says why. Only readings that a client asks for come, as
// long as there are bytes for them; if not, the client is told. All readings come when
// there are bytes again.
func TestNearlyUsedBudget(t *testing.T) {
	t.Parallel()
	broker := mqtttest.Start(t, mqtttest.Options{})
	h := startHub(t, "--broker", "mqtt://"+broker.Address, "--site", "lab")
	h.await(t, "connected to the broker")
	state := filepath.Join(t.TempDir(), "device")
	if err := os.Mkdir(state, 0o700); err != nil {
		t.Fatal(err)
	}
	h.want("pi-1", h.enroll(state, "pi-1", h.code("--site", "lab"))...)
	root := h.want("gwt_", "token", "add", "root", "--role", "admin", "--state", h.state)
	const minutes = 12
	records := minutesInLog(t, state, "indoor", time.Now().Add(-2*time.Hour), 2*minutes)
	wanted, others := records[:minutes*600], records[minutes*600:]
	start := func(budget string, used int) *gatewayProcess {
		t.Helper()
		useBytes(t, state, used)
		config := writeFile(t, "gateway.yaml", "sensors: [{name: indoor, chip: sht3x}]\nuplink: {budget: "+budget+"}\n")
		return startGateway(t, h.program, "--simulate", "--config", config, "--state", state, "--listen", "127.0.0.1:0")
	}
	p := start("2MB/month", 1_810_000)
	h.awaitAnswer("/api/v1/gateways", root, "so only the range and mean of each minute go up")
	h.awaitAnswer("/gateways/pi-1/readyz", root, "so only the range and mean of each minute go up")
	sums := fmt.Sprintf("/gateways/pi-1/api/v1/readings?sensor=indoor&from=%d&to=%d&step=%d", records[0].UnixMilli, others[len(others)-1].UnixMilli, int64(1)<<42)
	h.awaitAnswer(sums, root, fmt.Sprintf(`"count":%d,"failed":0`, len(records)))
	h.awaitAnswer("/metrics", root, "\ngateway_hub_readings_total 0\n")
	h.awaitAnswer("/metrics", root, `gateway_hub_wanted_minutes_total{outcome="answered"} 0`)

	got, lacking := h.readings(root, wanted[0].UnixMilli, wanted[len(wanted)-1].UnixMilli+1)
	if len(got) > 0 || lacking != "minutes=12, asked=12, gone=0" {
		t.Errorf("%d readings, lacking %q", len(got), lacking)
	}
	h.awaitReadings(root, wanted)
	h.awaitAnswer("/metrics", root, `gateway_hub_wanted_minutes_total{outcome="answered"} 12`)
	h.awaitAnswer("/metrics", root, fmt.Sprintf("\ngateway_hub_readings_total %d\n", len(wanted)))
	h.awaitAnswer(sums, root, fmt.Sprintf(`"count":%d,"failed":0`, len(records)))

	refused := func(why string) {
		t.Helper()
		eventually(t, patience, func() (string, bool) {
			got, lacking := h.readings(root, others[0].UnixMilli, others[len(others)-1].UnixMilli+1)
			return fmt.Sprintf("%d readings, lacking %q", len(got), lacking), len(got) == 0 && strings.HasPrefix(lacking, "minutes=12, asked=0, gone=0") && strings.Contains(lacking, why)
		})
	}
	if err := p.Stop(t); err != nil {
		t.Fatal(err)
	}
	refused("pi-1 is away since")
	p = start("2MB/month", 1_950_000)
	refused("the bytes of this month are nearly used")
	h.awaitAnswer("/metrics", root, `gateway_hub_wanted_minutes_total{outcome="refused"} 12`)
	if err := p.Stop(t); err != nil {
		t.Fatal(err)
	}
	start("1GB/month", 1_950_000)
	h.awaitReadings(root, others)
	h.awaitReadings(root, wanted)
	eventually(t, patience, func() (string, bool) {
		_, body := h.get("/api/v1/gateways", root)
		return "with bytes left: " + body, !strings.Contains(body, "go up")
	})
	h.awaitAnswer("/metrics", root, `gateway_hub_wanted_minutes_total{outcome="answered"} 12`) // the others came by themselves
}
