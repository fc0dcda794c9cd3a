package client

import (
	"encoding/json"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"sensorgateway/wire"
)

func TestText(t *testing.T) {
	l := &link{protocol: wire.ReadingsV2, greets: true, begun: true}
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
			{protocol: wire.ReadingsV1}, {protocol: wire.ReadingsV2, greets: true}, {protocol: wire.ReadingsJSON, greets: true},
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
