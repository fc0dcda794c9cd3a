package gateway

import (
	"strings"
	"testing"

	"github.com/gorilla/websocket"

	"sensorgateway/wire"
)

// withAir adds a sensor that measures carbon dioxide and nothing else, and a
// thermometer.
func withAir(o *Options) {
	o.Sensors = append(o.Sensors,
		wire.SensorInfo{ID: 2, Name: "air", Model: "SCD4x", IntervalMS: 100, NextSeq: 7, Values: []wire.Quantity{wire.CO2}},
		wire.SensorInfo{ID: 3, Name: "pipe", Model: "DS18B20", IntervalMS: 100, NextSeq: 7, Values: []wire.Quantity{wire.Temperature}})
}

// airTick publishes a tick of the two.
func (s *testServer) airTick() []wire.Record {
	records := []wire.Record{
		{Sensor: 2, Seq: s.seq, Reading: wire.Reading{Values: [2]float32{612, wire.NotMeasured()}, UnixMilli: 1000}},
		{Sensor: 3, Seq: s.seq, Reading: wire.Reading{Values: [2]float32{55.5, wire.NotMeasured()}, UnixMilli: 1000}},
	}
	s.seq++
	s.Publish(records)
	return records
}

func TestHelloNamesQuantities(t *testing.T) {
	s := start(t, withAir)
	hello := string(s.dial("/", wire.ReadingsV2).read(websocket.TextMessage))
	for _, want := range []string{
		`"name":"indoor","model":"SHT3x","interval_ms":100,"next_seq":7,"values":[{"quantity":"temperature","unit":"°C"},{"quantity":"humidity","unit":"%"}]}`,
		`"name":"air","model":"SCD4x","interval_ms":100,"next_seq":7,"values":[{"quantity":"co2","unit":"ppm"}]}`,
		`"name":"pipe","model":"DS18B20","interval_ms":100,"next_seq":7,"values":[{"quantity":"temperature","unit":"°C"}]}`,
	} {
		if !strings.Contains(hello, want) {
			t.Errorf("hello is %s\nwithout %s", hello, want)
		}
	}
}

func TestOtherQuantitiesInJSON(t *testing.T) {
	s := start(t, withAir)
	c := s.dial("/", wire.ReadingsJSON)
	c.read(websocket.TextMessage) // hello
	s.airTick()
	for _, want := range []string{
		`{"type":"sensor","payload":{"sensor":"air","values":{"co2":612},"units":{"co2":"ppm"},"ts":1.000,"seq":7}}`,
		`{"type":"sensor","payload":{"sensor":"pipe","temp":55.5,"unit":"C","humidity":null,"ts":1.000,"seq":7}}`,
	} {
		if got := string(c.read(websocket.TextMessage)); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}

// readings.v1 says nothing of what its numbers are, so it has those of
// temperature and humidity only.
func TestV1CarriesNoOtherQuantity(t *testing.T) {
	s := start(t, withAir)
	const reason = "readings.v1 carries temperature and humidity only: for air use readings.v2"
	for _, path := range []string{"/sensors/air", "/sensors/air?since=0"} {
		for _, protocols := range [][]string{nil, {wire.ReadingsV1}} {
			s.dial(path, protocols...).wantClose(wire.ClosePolicy, reason)
		}
	}
	s.dial("/sensors/air", wire.ReadingsV2).read(websocket.TextMessage)

	c := s.dial("/sensors/pipe", wire.ReadingsV1)
	if got := c.ask(`{"type":"subscribe","id":1,"payload":{"topic":"sensors/air"}}`); got != `{"type":"error","id":1,"payload":{"code":422,"message":"`+reason+`"}}` {
		t.Errorf("subscribe on v1: %s", got)
	}
	if got := c.ask(`{"type":"subscribe","id":2,"payload":{"topic":"all"}}`); !strings.Contains(got, `"subscribed"`) {
		t.Errorf("subscribe on v1: %s", got)
	}
	want := s.airTick()[1].Reading.Append(nil)
	if got := c.read(websocket.BinaryMessage); string(got) != string(want) {
		t.Errorf("a thermometer on v1: % x, want % x", got, want)
	}
}
