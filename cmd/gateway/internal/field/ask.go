package field

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"sensorgateway/cmd/gateway/internal/config"
	"sensorgateway/wire"
)

// askTime is how long a gateway on this machine may take for an answer.
const askTime = 2 * time.Second

// gateway is a running one, which has the buses of its configuration.
type gateway struct {
	base    string // of its URLs
	client  http.Client
	cfg     *config.Config
	sensors []wire.SensorInfo
	refused string // why it does not say what it reads; "" if it does
}

// findGateway returns the gateway that runs on this machine with the configuration,
// nil if there is none.
func findGateway(ctx context.Context, cfg *config.Config) *gateway {
	host, port, err := net.SplitHostPort(cfg.Listen)
	if err != nil {
		return nil
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "localhost"
	}
	g := &gateway{base: "http://" + net.JoinHostPort(host, port), cfg: cfg}
	g.client = http.Client{Timeout: askTime, Transport: &http.Transport{
		// It is asked for readings, by its own machine: nothing secret is sent, and the
		// certificate need not name localhost.
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
	}}
	if cfg.TLS != nil {
		g.base = "https://" + net.JoinHostPort(host, port)
	}
	var answer struct{ Sensors []wire.SensorInfo }
	status, err := g.get(ctx, "/api/v1/sensors", &answer)
	switch {
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		g.refused = err.Error()
		return g
	case err != nil || len(answer.Sensors) == 0: // nobody listens, or not a gateway
		return nil
	}
	g.sensors = answer.Sensors
	return g
}

// get asks for JSON.
func (g *gateway) get(ctx context.Context, path string, into any) (status int, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, g.base+path, nil)
	if err != nil {
		return 0, err
	}
	response, err := g.client.Do(r)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err != nil {
		return 0, err
	}
	if response.StatusCode != http.StatusOK {
		return response.StatusCode, fmt.Errorf("the gateway answers %s", response.Status)
	}
	return response.StatusCode, json.Unmarshal(body, into)
}

// reads returns the name of a sensor, or of the one that is at its place, if the gateway
// reads it.
func (g *gateway) reads(t config.Sensor) (name string, ok bool) {
	if g == nil {
		return "", false
	}
	for _, c := range g.cfg.Sensors {
		if t.Name != "" && c.Name == t.Name && g.has(c.Name) {
			return c.Name, true
		}
	}
	for _, c := range g.cfg.Sensors {
		if c.Bus == t.Bus && c.Address == t.Address && c.Further == t.Further && g.has(c.Name) {
			return c.Name, true
		}
	}
	return "", false
}

// has returns whether the gateway has the sensor, or does not say.
func (g *gateway) has(name string) bool {
	return g.refused != "" || slices.ContainsFunc(g.sensors, func(s wire.SensorInfo) bool { return s.Name == name })
}

// newest asks for the newest reading of a sensor.
func (g *gateway) newest(ctx context.Context, name string) reading {
	r := reading{Sensor: name, Gateway: g.base}
	if g.refused != "" {
		r.Error, r.Fix = g.refused, "it has the bus; stop it to read the chip: sudo systemctl stop gateway"
		return r
	}
	var answer struct{ Payload map[string]any }
	if _, err := g.get(ctx, "/sensors/"+name, &answer); err != nil {
		r.Error = err.Error()
		return r
	}
	i := slices.IndexFunc(g.sensors, func(s wire.SensorInfo) bool { return s.Name == name })
	info, texts := g.sensors[i], []string{}
	r.Values = map[string]float32{}
	for _, q := range info.Quantities() {
		if v, ok := valueOf(answer.Payload, q); ok {
			r.Values[q.Name] = float32(v)
			texts = append(texts, q.Text(float32(v)))
		}
	}
	r.Text = strings.Join(texts, ", ")
	if ts, ok := answer.Payload["ts"].(float64); ok {
		r.AgeMS = time.Since(time.UnixMilli(int64(ts * 1000))).Milliseconds()
	}
	if fault, ok := answer.Payload["fault"].(string); ok {
		r.Fault, r.Error = fault, "the newest reading failed: "+fault
	}
	return r
}

// valueOf finds a quantity in a message (wire/README.md, "readings.json").
func valueOf(payload map[string]any, q wire.Quantity) (float64, bool) {
	key := q.Name
	if values, ok := payload["values"].(map[string]any); ok {
		payload = values
	} else if q.Name == wire.Temperature.Name {
		key = "temp"
	}
	v, ok := payload[key].(float64)
	return v, ok
}
