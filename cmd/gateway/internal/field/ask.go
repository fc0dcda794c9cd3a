package field

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"
	"unicode"

	"sensorgateway/cmd/gateway/internal/address"
	"sensorgateway/cmd/gateway/internal/calibration"
	"sensorgateway/cmd/gateway/internal/config"
	"sensorgateway/cmd/gateway/internal/credential"
	"sensorgateway/cmd/gateway/internal/field/scan"
	"sensorgateway/cmd/gateway/internal/machine"
	"sensorgateway/cmd/gateway/internal/phrase"
	"sensorgateway/wire"
)

// askTime is how long a gateway on this machine may take for an answer.
const askTime = 2 * time.Second

// gateway is a running gateway, which uses the buses of its configuration.
type gateway struct {
	base    string // of its URLs
	client  http.Client
	cfg     *config.Config
	token   string // that it is shown; "" while it asks for none
	sensors []wire.SensorInfo
	beyond  []string // sensors that the token may not see
	sim     bool     // it uses no bus of this machine
	refused string   // why it does not say what it reads; "" if it does
	remedy  string   // what to do about that
}

// What to do to see what a gateway reads, or to use its buses.
const (
	showToken = "give a good token with --token-file FILE, in " + credential.Variable + ", or in ~/.config/gateway/tokens (sudo gateway token add NAME makes one)"
	stopIt    = "stop it, which has the bus: sudo systemctl stop gateway"
	restartIt = "if the configuration was changed since it started: gateway check && sudo systemctl restart gateway; or " + stopIt
)

// findGateway returns the gateway that runs on this machine with the configuration,
// nil if there is none. If it asks for a token, it is shown the one that findToken finds
// for its address.
func findGateway(ctx context.Context, cfg *config.Config, findToken func(*url.URL) (string, error)) *gateway {
	g := &gateway{base: baseOf(cfg), cfg: cfg}
	g.client = http.Client{Timeout: askTime, Transport: &http.Transport{
		// It is asked by its own machine, where the certificate need not name localhost.
		// What matters is that a token is shown to nobody else.
		TLSClientConfig:   &tls.Config{InsecureSkipVerify: true, VerifyConnection: g.verify},
		DisableKeepAlives: true, // a connection from before there was a token was not verified
	}}
	var answer struct {
		Simulated bool
		Sensors   []wire.SensorInfo
	}
	status, err := g.get(ctx, "/api/v1/sensors", &answer)
	if status == http.StatusUnauthorized {
		u, _ := url.Parse(g.base) // it is ours
		if cfg.Listen == "" {
			err = errors.New("the token is not shown: without a valid configuration it is not known who listens there")
		} else {
			g.token, err = findToken(u)
		}
		switch {
		case err != nil:
		case g.token == "":
			err = errors.New("the gateway asks for a token")
		default:
			status, err = g.get(ctx, "/api/v1/sensors", &answer)
		}
		if err != nil {
			status = http.StatusUnauthorized // whatever it is, there is a gateway
		}
	}
	switch {
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		g.refused, g.remedy = err.Error(), showToken
		return g
	case status == 0 && isAhead(cfg.Listen, err):
		g.refused, g.remedy = "the gateway listens on "+cfg.Listen+", which is no address of this machine now", "see the addresses with: ip addr"
		return g
	case err != nil || len(answer.Sensors) == 0: // nobody listens, or not a gateway
		return nil
	}
	g.sensors, g.sim = answer.Sensors, answer.Simulated
	g.findBeyond(ctx)
	return g
}

// baseOf returns the URL of the gateway that has a configuration. Without a valid one it is
// that of a gateway which listens where it does by default.
func baseOf(cfg *config.Config) string {
	host, port, _ := net.SplitHostPort(cmp.Or(cfg.Listen, address.DefaultListen)) // it is checked
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "localhost"
	}
	scheme := "http://"
	if cfg.TLS != nil {
		scheme = "https://"
	}
	return scheme + net.JoinHostPort(host, port)
}

// isAhead reports whether a program listens on an address that this machine does not have, as
// a gateway does before the network is there; failed is why it could not be asked.
func isAhead(listen string, failed error) bool {
	if errors.Is(failed, syscall.ECONNREFUSED) { // nobody listens there
		return false
	}
	sockets, err := machine.Listen(listen)
	if errors.Is(err, syscall.EADDRNOTAVAIL) {
		sockets, err = machine.ListenAhead(listen, quiet)
	} else {
		err = nil // it can be asked, if that is a gateway
	}
	for _, l := range sockets {
		_ = l.Close() // nobody was there yet
	}
	return errors.Is(err, syscall.EADDRINUSE)
}

// findBeyond finds the configured sensors that the gateway reads and does not list,
// because the token may not see them.
func (g *gateway) findBeyond(ctx context.Context) {
	for _, c := range g.cfg.Sensors {
		if g.token == "" || g.has(c.Name) {
			continue
		}
		if status, _ := g.get(ctx, "/sensors/"+c.Name, new(any)); status == http.StatusForbidden {
			g.beyond = append(g.beyond, c.Name)
		}
	}
}

// verify returns an error if a token would be shown to another program at the gateway's
// address: it has not the gateway's certificate.
func (g *gateway) verify(state tls.ConnectionState) error {
	if g.token == "" {
		return nil
	}
	if g.cfg.TLS == nil || g.cfg.TLS.Cert == "" {
		return errors.New("the token is not shown: without a valid configuration it is not known which certificate the gateway has")
	}
	text, err := os.ReadFile(g.cfg.TLS.Cert)
	if err != nil {
		return fmt.Errorf("the token is not shown: %w", err)
	}
	if own, _ := pem.Decode(text); own == nil || !bytes.Equal(own.Bytes, state.PeerCertificates[0].Raw) {
		return fmt.Errorf("the token is not shown: who listens has another certificate than %s; fix: sudo systemctl reload gateway, if that is new", g.cfg.TLS.Cert)
	}
	return nil
}

// get asks for JSON.
func (g *gateway) get(ctx context.Context, path string, into any) (status int, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, g.base+path, nil)
	if err != nil {
		return 0, err
	}
	if g.token != "" {
		r.Header.Set("Authorization", "Bearer "+g.token)
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
		return response.StatusCode, fmt.Errorf("the gateway answers %s%s", response.Status, said(body))
	}
	return response.StatusCode, json.Unmarshal(body, into)
}

// said is what an answer says of a refusal, for people.
func said(body []byte) string {
	var answer struct{ Payload struct{ Message string } }
	text := string(body)
	if json.Unmarshal(body, &answer) == nil {
		text = answer.Payload.Message
	}
	if text, _, _ = strings.Cut(strings.TrimSpace(text), "; fix: "); text == "" { // how clients show a token is no help here
		return ""
	}
	printable := func(r rune) rune {
		if !unicode.IsPrint(r) {
			return -1
		}
		return r
	}
	return ": " + phrase.Brief(errors.New(strings.Map(printable, text)))
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
		if placeOf(c) == placeOf(t) && c.Further == t.Further && g.has(c.Name) {
			return c.Name, true
		}
	}
	return "", false
}

// placeOf returns where a chip is, the same for all names of its bus.
func placeOf(c config.Sensor) string {
	c.Bus = numberOf(c.Bus)
	return c.Place()
}

// reserves returns why a chip must not be asked although the gateway is not known to read it,
// and what to do; why is "" if it may be asked. The gateway would not notice that somebody
// else has connected another channel of a multiplexer, and read another chip.
func (g *gateway) reserves(t config.Sensor) (why, fix string) {
	if g == nil || g.sim || t.Class != "" {
		return "", ""
	}
	if g.refused != "" {
		return g.refused + ", so it is not known what it reads", g.remedy + "; or " + stopIt
	}
	for _, s := range g.sensors {
		if !slices.ContainsFunc(g.cfg.Sensors, func(c config.Sensor) bool { return c.Name == s.Name }) {
			return fmt.Sprintf("the gateway that runs reads %s, which is not in the configuration, so it may be on this bus", phrase.Quote(s.Name)), restartIt
		}
	}
	for place := range g.on(t.Bus) {
		if t.Mux != (config.Mux{}) || place.Mux != (scan.Mux{}) {
			return "the gateway that runs uses this bus, which has a multiplexer: one of the two would read another chip than it should", restartIt
		}
	}
	return "", ""
}

// on returns the sensors that the gateway reads on a bus, by where their chips are.
func (g *gateway) on(name string) map[scan.Place]string {
	if g == nil {
		return nil
	}
	all := map[scan.Place]string{}
	for _, c := range g.cfg.Sensors {
		if c.Class == "" && c.Further == "" && numberOf(c.Bus) == numberOf(name) && g.has(c.Name) {
			all[scan.Place{Mux: scan.Mux(c.Mux), Address: c.Address}] = c.Name
		}
	}
	return all
}

// has returns whether the gateway has the sensor, also if it does not say which it has.
func (g *gateway) has(name string) bool {
	return g.refused != "" || slices.Contains(g.beyond, name) || slices.ContainsFunc(g.sensors, func(s wire.SensorInfo) bool { return s.Name == name })
}

// newest asks for the newest reading of a sensor.
func (g *gateway) newest(ctx context.Context, name string) reading {
	r := reading{Sensor: name, Gateway: g.base}
	switch {
	case g.refused != "":
		r.Error, r.Fix = g.refused, g.remedy+"; or "+stopIt
		return r
	case slices.Contains(g.beyond, name):
		r.Error, r.Fix = name+" is not in the scope of the token", "show another token; or "+stopIt
		return r
	}
	var answer struct{ Payload wire.SensorMessage }
	if _, err := g.get(ctx, "/sensors/"+name, &answer); err != nil {
		r.Error = err.Error()
		return r
	}
	i := slices.IndexFunc(g.sensors, func(s wire.SensorInfo) bool { return s.Name == name })
	var quantities []wire.Quantity
	var values []float32
	for _, q := range g.sensors[i].Quantities() {
		if v := answer.Payload.Value(q); v != nil {
			quantities, values = append(quantities, q), append(values, *v)
		}
	}
	r.show(calibration.ShowAgain(g.sensors[i].Calibration, quantities, values))
	if ts := answer.Payload.TS; ts != nil {
		r.AgeMS = time.Since(time.UnixMilli(int64(*ts * 1000))).Milliseconds()
	}
	if fault := answer.Payload.Fault; fault != "" {
		r.Fault, r.Error = fault, "the newest reading failed: "+fault
	}
	return r
}
