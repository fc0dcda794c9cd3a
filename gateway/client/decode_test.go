package client

import (
	"encoding/json"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"sensorgateway/wire"
)

func TestText(t *testing.T) {
	l := &link{protocol: wire.ReadingsV2, hasHello: true, begun: true}
	for _, tt := range []struct {
		text string
		want Message
	}{
		{`{"type":"ack","id":"a1","payload":{"x":1}}`, Message{Type: "ack", ID: "a1", Payload: json.RawMessage(`{"x":1}`)}},
		{`{"type":"ack","id":17,"payload":null}`, Message{Type: "ack", ID: "17", Payload: json.RawMessage("null")}},
		{`{"type":"ack","id":null}`, Message{Type: "ack"}},
		{`{"type":"chat","nick":"a","text":"b"}`, Message{Type: "chat"}},
		{`{"type":"hello","payload":{}}`, Message{Type: "hello", Payload: json.RawMessage("{}")}}, // the second
		{`{"type":"sensor","payload":{}}`, Message{Type: "sensor", Payload: json.RawMessage("{}")}},
		{`{"type":5}`, Message{}},
		{`[]`, Message{}},
		{`hello?`, Message{}},
		{``, Message{}},
	} {
		tt.want.Raw = []byte(tt.text)
		got, err := l.text([]byte(tt.text))
		if err != nil {
			t.Errorf("%s: %v", tt.text, err)
		} else if diff := cmp.Diff(Event(tt.want), got); diff != "" {
			t.Errorf("%s:\n%s", tt.text, diff)
		}
	}
}

func TestFaultNamed(t *testing.T) {
	for f := range 256 {
		f := wire.Fault(f)
		if got := faultNamed(f.String()); got != f && f != wire.Good {
			t.Errorf("%v came back as %v", f, got)
		}
	}
	for _, name := range []string{"good", "", "no_such_fault"} {
		if got := faultNamed(name); got != wire.Other {
			t.Errorf("%q is %v, want other", name, got)
		}
	}
}

// The values of a sensor are those that hello names, in its order.
func TestOtherQuantities(t *testing.T) {
	l := &link{protocol: wire.ReadingsJSON, hasHello: true}
	hello := wire.Hello{Sensors: []wire.SensorInfo{
		{ID: 0, Name: "roof", Values: []wire.Quantity{wire.Pressure, wire.Temperature}},
		{ID: 1, Name: "air", Values: []wire.Quantity{wire.CO2}},
		{ID: 2, Name: "pipe", Values: []wire.Quantity{wire.Temperature}},
	}}
	event, err := l.text(wire.JSON(wire.Envelope{Type: "hello", Payload: hello}))
	if err != nil {
		t.Fatal(err)
	}
	l.begun, l.sensors = true, event.(Connected).Hello.Sensors
	if diff := cmp.Diff(hello, event.(Connected).Hello); diff != "" {
		t.Error(diff)
	}
	none := wire.NotMeasured()
	for i, values := range [][2]float32{{1013.25, -3.5}, {612, none}, {55.5, none}} {
		r := wire.Record{Seq: 7, Reading: wire.Reading{Values: values, UnixMilli: 1000}}
		event, err := l.text(wire.AppendSensorJSON(nil, &hello.Sensors[i], r))
		if err != nil {
			t.Errorf("%s: %v", hello.Sensors[i].Name, err)
			continue
		}
		got := event.(Records)[0]
		if got.Name != hello.Sensors[i].Name || string(got.Append(nil)) != string(r.Append(nil)) {
			t.Errorf("got %+v, want %+v", got, r)
		}
	}
	for _, text := range []string{
		`{"type":"sensor","payload":{"sensor":"air","values":{"co2":null}}}`,
		`{"type":"sensor","payload":{"sensor":"air","values":{}}}`,
		`{"type":"sensor","payload":{"sensor":"unknown","values":{"co2":1}}}`,
		`{"type":"sensor","payload":{"sensor":"pipe","temp":null,"humidity":null}}`,
	} {
		if event, err := l.text([]byte(text)); err == nil {
			t.Errorf("%s: %+v", text, event)
		}
	}
}

// Whatever a server says becomes an event or an error, and a reading is never
// called good without numbers.
func FuzzMessages(f *testing.F) {
	good := record(0, 1)
	f.Add(good.Append(nil))
	f.Add(good.Reading.Append(nil))
	f.Add(wire.AppendSensorJSON(nil, &wire.SensorInfo{Name: "indoor"}, good))
	f.Add([]byte(`{"type":"hello","payload":{"sensors":[{"id":1,"name":"x"}]}}`))
	f.Add([]byte(`{"type":"sensor","payload":{"sensor":"a","temp":null,"fault":"no_ack","ts":-1e300}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, l := range []*link{
			{protocol: wire.ReadingsV1}, {protocol: wire.ReadingsV2, hasHello: true}, {protocol: wire.ReadingsJSON, hasHello: true, sensors: []wire.SensorInfo{{Name: "a", Values: []wire.Quantity{wire.CO2}}}},
		} {
			event, err := l.binary(data)
			if (event == nil) == (err == nil) {
				t.Errorf("%s: %v, %v", l.protocol, event, err)
			}
			if !utf8.Valid(data) {
				continue
			}
			event, err = l.text(data)
			if (event == nil) == (err == nil) {
				t.Errorf("%s: %v, %v", l.protocol, event, err)
			}
			if records, ok := event.(Records); ok {
				for _, r := range records {
					if r.Fault == wire.Good && r.Reading.Fault() != wire.Good {
						t.Errorf("%+v is called good", r)
					}
				}
			}
		}
	})
}
