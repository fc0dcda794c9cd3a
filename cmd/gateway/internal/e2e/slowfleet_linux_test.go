package e2e

import (
	"fmt"
	"net"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"sensorgateway/gateway/history/codec"
	"sensorgateway/gateway/mqtt/mqtttest"
	"sensorgateway/wire"
)

// The line of a slow member: 64 kbit/s, and a round trip of 600 ms.
const (
	slowRate  = 8000 // bytes/s
	slowDelay = 300 * time.Millisecond
)

// slowMember is a gateway that had no line for an hour, and now has a slow one.
type slowMember struct {
	*member
	line *mqtttest.Line
	past map[string][]wire.Record // records of that hour, by GATEWAY/SENSOR
	size int                      // of its blocks, bytes
}

func newSlowMember(t *testing.T, h *hubProcess, name string, broker *url.URL) *slowMember {
	t.Helper()
	sensors := []string{"indoor", "outdoor"}
	state := storePast(t, 36_000, sensors...)
	s := &slowMember{line: mqtttest.StartLine(t, broker.Host, slowRate, slowDelay), past: map[string][]wire.Record{}}
	_, port, _ := net.SplitHostPort(s.line.Address)
	s.member = newMember(t, h, name, state, fmt.Sprintf(`uplink: {brokers: ["%s://%s:%s"]}
sensors: [{name: indoor, chip: sht3x, bus: 1}, {name: outdoor, chip: sht3x, bus: 2}]
`, broker.Scheme, broker.Hostname(), port))
	var packer codec.Packer
	for _, sensor := range sensors {
		all := recordsIn(t, filepath.Join(state, "log"), sensor)
		s.past[name+"/"+sensor] = all
		for minute := range slices.Chunk(all, 600) {
			var sum codec.Summary
			for _, r := range minute {
				sum.Add(r)
			}
			s.size += len(packer.AppendBlock(nil, codec.Origin{Sensor: sensor, Epoch: "e1", Boot: "b"}, minute[0].Seq-1, sum, minute))
		}
	}
	return s
}

// drain starts the gateway, and ends it when the hub has the hour's records. Meanwhile a
// client of the hub gets live readings: drain returns their age at the 99th percentile.
func (s *slowMember) drain(t *testing.T, token string) time.Duration {
	t.Helper()
	s.start(t)
	path := "/gateways/" + s.name
	s.h.awaitAnswer(path+"/api/v1/sensors", token, `"outdoor"`)
	begin, before := time.Now(), s.line.Sent()
	c := s.h.dial(path+"/", token)
	defer c.Close()
	_ = c.SetReadDeadline(time.Time{})
	ages := make(chan []time.Duration, 1)
	go func() { ages <- agesOf(c, begin) }()
	moving(t, patience, func() (string, bool) {
		missing, answer := 0, ""
		for of, all := range s.past {
			n, _ := s.h.count(token, s.name, strings.TrimPrefix(of, s.name+"/"), all)
			missing += len(all) - n
			answer += fmt.Sprintf("of %s the hub has %d of %d; ", of, n, len(all))
		}
		return answer, missing == 0
	})
	took, sent := time.Since(begin), s.line.Sent()-before
	c.Close()
	live := <-ages
	if err := s.Stop(t); err != nil {
		t.Fatal(err)
	}
	if len(live) < 10 {
		t.Fatalf("%d live readings came while the past did, in %v", len(live), took)
	}
	slices.Sort(live)
	p99 := live[len(live)*99/100]
	t.Logf("%d bytes of an hour in %.1f s, with %d on the line in all, %.0f %% of it; %d live readings meanwhile, %v old at the median, %v at the 99th percentile; this machine was up to %v late",
		s.size, took.Seconds(), sent, 100*float64(sent)/slowRate/took.Seconds(), len(live), live[len(live)/2].Round(time.Millisecond), p99.Round(time.Millisecond), s.line.Late().Round(time.Millisecond))
	// Live readings take a part of the line, and a busy machine adds time.
	if bound := patience + time.Duration(3*float64(s.size)/slowRate*float64(time.Second)); took > bound {
		t.Errorf("it took %v, want %v at most", took, bound)
	}
	return p99
}

// agesOf reads until the connection is closed, and returns the ages of live readings when
// they came. Until the first live one comes, stored readings are sent as if they were live.
func agesOf(c *websocket.Conn, since time.Time) (ages []time.Duration) {
	for {
		kind, b, err := c.ReadMessage()
		if err != nil {
			return ages
		}
		if kind == websocket.TextMessage {
			continue
		}
		records, err := wire.ParseRecords(b)
		if err != nil {
			return nil
		}
		for _, r := range records {
			if at := time.UnixMilli(r.UnixMilli); r.Flags&wire.Historical == 0 && at.After(since) {
				ages = append(ages, time.Since(at))
			}
		}
	}
}

// TestHourOverSlowLine: readings that a gateway could not send for an hour come to the hub
// over 64 kbit/s and a round trip of 600 ms, record for record, and live readings do not
// wait for them.
func TestHourOverSlowLine(t *testing.T) {
	long(t, "it waits for an hour of readings over 64 kbit/s")
	t.Parallel()
	m := startMosquitto(t, "allow_anonymous true", "set_tcp_nodelay true") // as configs/mosquitto.conf
	h := startHub(t, "--broker", "mqtt://"+m.Address, "--site", "lab")
	s := newSlowMember(t, h, "pi-1", &url.URL{Scheme: "mqtt", Host: m.Address})
	p99 := s.drain(t, h.want("gwt_", "token", "add", "root", "--role", "admin", "--state", h.state))
	if late := s.line.Late(); p99 > time.Second && late < 100*time.Millisecond { // else this machine is too busy
		t.Errorf("a live reading is %v old at the 99th percentile, want 1s at most", p99)
	}
	if err := h.Stop(t); err != nil {
		t.Fatal(err)
	}
	h.compare(s.past)
}
