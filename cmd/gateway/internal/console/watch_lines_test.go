package console

import (
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/gorilla/websocket"

	"sensorgateway/gateway/client"
	"sensorgateway/wire"
)

func TestRecordLine(t *testing.T) {
	good := client.Record{Name: "indoor", Record: wire.Record{Seq: 7, Flags: wire.Simulated,
		Reading: wire.Reading{Values: [2]float32{21.35, 45}, UnixMilli: 1712345678901}}}
	for _, tt := range []struct {
		r        client.Record
		numbered bool
		lost     uint32
		want     string
	}{
		{good, true, 0, `{"sensor":"indoor","temp":21.35,"humidity":45,"ts":1712345678.901,"seq":7,"fault":null,"flags":1}`},
		{good, false, 0, `{"sensor":"indoor","temp":21.35,"humidity":45,"ts":1712345678.901,"seq":null,"fault":null,"flags":1}`},
		{client.Record{Name: "a\"b", Record: wire.Record{Fault: wire.NoAck, Reading: wire.Failed(wire.NoAck, 50)}}, true, 0,
			`{"sensor":"a\"b","temp":null,"humidity":null,"ts":0.05,"seq":0,"fault":"no_ack","flags":0}`},
		{changed(good, func(r *client.Record) { r.Values[0], r.Values[1] = float32(math.Inf(1)), float32(math.NaN()) }), true, 0,
			`{"sensor":"indoor","temp":null,"humidity":null,"ts":1712345678.901,"seq":7,"fault":null,"flags":1}`},
		{client.Record{Name: "a\u009b31m\u202e", Record: good.Record}, true, 0, // as a terminal or a log shows it
			`{"sensor":"a\u009b31m\u202e","temp":21.35,"humidity":45,"ts":1712345678.901,"seq":7,"fault":null,"flags":1}`},
		{changed(good, func(r *client.Record) { r.Flags |= wire.Historical }), true, 12,
			`{"sensor":"indoor","temp":21.35,"humidity":45,"ts":1712345678.901,"seq":7,"fault":null,"flags":5,"historical":true,"lost":12}`},
	} {
		if got := string(recordLine(tt.r, nil, tt.numbered, tt.lost)); got != tt.want+"\n" {
			t.Errorf("got  %swant %s", got, tt.want)
		}
	}
}

func TestRecordLineOfOtherQuantities(t *testing.T) {
	at := client.Record{Name: "s", Record: wire.Record{Seq: 7, Reading: wire.Reading{Values: [2]float32{1013.25, -3.5}, UnixMilli: 1000}}}
	none := changed(at, func(r *client.Record) { r.Values[1] = wire.NotMeasured() })
	failed := changed(at, func(r *client.Record) { r.Fault, r.Reading = wire.NoAck, wire.Failed(wire.NoAck, 1000) })
	for _, tt := range []struct {
		r      client.Record
		values []wire.Quantity
		want   string
	}{
		{at, []wire.Quantity{wire.Pressure, wire.Temperature},
			`{"sensor":"s","values":{"pressure":1013.25,"temperature":-3.5},"units":{"pressure":"hPa","temperature":"°C"},"ts":1,"seq":7,"fault":null,"flags":0}`},
		{none, []wire.Quantity{wire.CO2}, `{"sensor":"s","values":{"co2":1013.25},"units":{"co2":"ppm"},"ts":1,"seq":7,"fault":null,"flags":0}`},
		{none, []wire.Quantity{wire.Temperature}, `{"sensor":"s","temp":1013.25,"humidity":null,"ts":1,"seq":7,"fault":null,"flags":0}`},
		{failed, []wire.Quantity{wire.CO2}, `{"sensor":"s","values":{"co2":null},"units":{"co2":"ppm"},"ts":1,"seq":7,"fault":"no_ack","flags":0}`},
	} {
		if got := string(recordLine(tt.r, &wire.SensorInfo{Name: "s", Values: tt.values}, true, 0)); got != tt.want+"\n" {
			t.Errorf("got  %swant %s", got, tt.want)
		}
	}
}

// Piped: a JSON object a line, what happens on stderr, 1000 at the end.
func TestWatchPiped(t *testing.T) {
	code := make(chan int, 1)
	at := func(sensor uint16, seq uint32, flags wire.Flags) wire.Record {
		return wire.Record{Sensor: sensor, Seq: seq, Flags: flags, Reading: wire.Reading{Values: [2]float32{1, 2}, UnixMilli: 1000}}
	}
	s := fakeGateway(t, false, func(p *fakePeer) {
		p.hello()
		if p.n == 0 {
			p.records(at(0, 1, 0), wire.Record{Sensor: 1, Seq: 1, Fault: wire.Checksum, Reading: wire.Failed(wire.Checksum, 1000)})
			p.bye(wire.CloseServiceRestart, "Service restart; retry_ms=1")
			return
		}
		p.say(wire.Envelope{Type: "subscribed", ID: p.envelope().ID, Payload: map[string]any{"recovered": false, "from": map[string]int{"indoor": 4}}})
		p.records(at(0, 6, 0))
		p.records(at(1, 2, 0), at(0, 4, wire.Historical), at(0, 5, wire.Historical))
		p.records(at(0, 9, wire.Conflated), at(0, 11, 0), at(1, 10, 0))
		code <- p.wait()
	})
	c := startClient(t, Watch, nil, strings.TrimPrefix(s.URL, "http://"))
	const lines = `{"sensor":"indoor","temp":1,"humidity":2,"ts":1,"seq":1,"fault":null,"flags":0}
{"sensor":"outdoor","temp":null,"humidity":null,"ts":1,"seq":1,"fault":"checksum","flags":0}
{"sensor":"indoor","temp":1,"humidity":2,"ts":1,"seq":6,"fault":null,"flags":0}
{"sensor":"outdoor","temp":1,"humidity":2,"ts":1,"seq":2,"fault":null,"flags":0}
{"sensor":"indoor","temp":1,"humidity":2,"ts":1,"seq":4,"fault":null,"flags":4,"historical":true}
{"sensor":"indoor","temp":1,"humidity":2,"ts":1,"seq":5,"fault":null,"flags":4,"historical":true}
{"sensor":"indoor","temp":1,"humidity":2,"ts":1,"seq":9,"fault":null,"flags":8,"lost":2}
{"sensor":"indoor","temp":1,"humidity":2,"ts":1,"seq":11,"fault":null,"flags":0,"lost":1}
{"sensor":"outdoor","temp":1,"humidity":2,"ts":1,"seq":10,"fault":null,"flags":0,"lost":7}
`
	c.stdout.await(t, lines)
	c.stderr.await(t, "recovered")
	c.interrupt()
	if err := c.end(); err != nil {
		t.Error(err)
	}
	if got := <-code; got != wire.CloseNormal {
		t.Errorf("close code %d", got)
	}
	url := strings.Replace(s.URL, "http", "ws", 1) + "/"
	connected := "connected to " + url + ": gateway 1.2.3, 2 sensors, SIMULATED\n"
	want := connected + `closed by the server: 1012 "Service restart; retry_ms=1"; reconnecting in 0.1 s` + "\n" + connected +
		"not all that was missed is kept; gone, at most: indoor 2\nrecovered: indoor 2; lost: indoor 2\n"
	if got := c.stderr.String(); got != want {
		t.Errorf("stderr:\n%swant\n%s", got, want)
	}
}

func TestWatchV1(t *testing.T) {
	s := fakeGateway(t, false, func(p *fakePeer) {
		if p.Subprotocol() != wire.ReadingsV1 || p.request.URL.Path != "/sensors/attic" {
			t.Errorf("%q at %s", p.Subprotocol(), p.request.URL)
		}
		_ = p.WriteMessage(websocket.BinaryMessage, wire.Reading{Values: [2]float32{1, 2}, UnixMilli: 1500}.Append(nil))
		p.wait()
	})
	c := startClient(t, Watch, nil, s.URL+"/sensors/attic", "--subprotocol", wire.ReadingsV1)
	c.stdout.await(t, `{"sensor":"attic","temp":1,"humidity":2,"ts":1.5,"seq":null,"fault":null,"flags":0}`+"\n")
}

// A server that knows no subprotocol is read, and a note says so.
func TestWatchWithoutSubprotocols(t *testing.T) {
	url := strangeServer(t, func(ws *websocket.Conn) {
		_ = ws.WriteMessage(websocket.BinaryMessage, wire.Reading{Values: [2]float32{1, 2}, UnixMilli: 1500}.Append(nil))
		_ = ws.WriteMessage(websocket.TextMessage, []byte(`{"type":"sensor","payload":{"temp":42.5,"unit":"C","ts":2}}`))
		_, _, _ = ws.ReadMessage() // until the client leaves
	})
	c := startClient(t, Watch, nil, url)
	c.stdout.await(t, `{"sensor":"primary","temp":1,"humidity":2,"ts":1.5,"seq":null,"fault":null,"flags":0}`+"\n"+
		`{"sensor":"primary","temp":42.5,"humidity":null,"ts":2,"seq":null,"fault":null,"flags":0}`+"\n")
	c.stderr.await(t, "the server does not know the subprotocol readings.v2: what it sends is read as readings.v1\n")
}

func TestWatchEndsForGood(t *testing.T) {
	s := fakeGateway(t, false, func(p *fakePeer) { p.bye(wire.ClosePolicy, "Unknown endpoint") })
	err := startClient(t, Watch, nil, s.URL).end()
	if err == nil || isUsage(err) || !strings.Contains(err.Error(), "Unknown endpoint") {
		t.Errorf("%v", err)
	}
	for _, args := range [][]string{{}, {"a", "b"}, {"ftp://a"}, {"a", "--subprotocol", "x"}} {
		var usage UsageError
		if err := startClient(t, Watch, nil, args...).end(); !errors.As(err, &usage) {
			t.Errorf("%v: %v, want a usage error", args, err)
		}
	}
}

func TestWatchEndsWithItsReader(t *testing.T) {
	s := fakeGateway(t, false, func(p *fakePeer) {
		p.hello()
		p.records(wire.Record{})
		p.wait()
	})
	err := watchLines(t.Context(), client.Options{URL: strings.Replace(s.URL, "http", "ws", 1), Subprotocol: wire.ReadingsV2}, fullDisk{}, newSyncBuffer())
	if err == nil || !strings.Contains(err.Error(), "standard output") {
		t.Errorf("%v", err)
	}
}
