package client

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"path"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/gorilla/websocket"

	"sensorgateway/wire"
)

// receive returns the next message as an event. A message that the protocol does
// not have ends the connection, with the close code for it.
func (l *link) receive() (Event, error) {
	kind, data, err := l.ws.ReadMessage()
	if err != nil {
		return nil, err
	}
	code := wire.CloseProtocolError
	var event Event
	switch {
	case kind == websocket.TextMessage && !utf8.Valid(data): // RFC 6455, section 8.1
		code, err = wire.CloseInvalidText, errors.New("the server's text is not UTF-8")
	case kind == websocket.TextMessage:
		event, err = l.text(data)
	case l.protocol == wire.ReadingsJSON:
		code, err = wire.CloseUnsupported, errors.New("the server sent a binary message on "+l.protocol)
	default:
		event, err = l.binary(data)
	}
	if err != nil {
		_ = l.close(code, time.Now().Add(pongTime)) // the error is what matters
		return nil, violation{err}
	}
	return event, nil
}

// violation is the error of a message that the protocol does not have.
type violation struct{ error }

func (v violation) Unwrap() error { return v.error }

// primary stands for the name of the only sensor where a server does not say it.
const primary = "primary"

func (l *link) binary(data []byte) (Event, error) {
	if l.protocol != wire.ReadingsV2 {
		r, err := wire.ParseReading(data)
		if err != nil {
			return nil, err
		}
		return Records{{Name: cmp.Or(l.only, primary), Record: wire.Record{Fault: r.Fault(), Reading: r}}}, nil
	}
	parsed, err := wire.ParseRecords(data)
	if err != nil {
		return nil, err
	}
	records := make(Records, len(parsed))
	for i, r := range parsed {
		name := fmt.Sprintf("sensor_%d", r.Sensor)
		if k := slices.IndexFunc(l.sensors, func(s wire.SensorInfo) bool { return s.ID == r.Sensor }); k >= 0 {
			name = l.sensors[k].Name
		}
		records[i] = Record{Name: name, Record: r}
	}
	return records, nil
}

// text is lenient with what a later server may add, and with a flat message as
// in the operators' room.
func (l *link) text(data []byte) (Event, error) {
	var e struct {
		Type    string          `json:"type"`
		ID      json.RawMessage `json:"id"`
		Payload json.RawMessage `json:"payload"`
	}
	if json.Unmarshal(data, &e) != nil {
		return Message{Raw: data}, nil
	}
	switch {
	case e.Type == wire.TypeHello && l.hasHello && !l.begun:
		var hello wire.Hello
		if err := json.Unmarshal(e.Payload, &hello); err != nil {
			return nil, fmt.Errorf("hello: %w", err)
		}
		return Connected{Hello: hello}, nil
	case e.Type == wire.TypeSensor && l.protocol == wire.ReadingsJSON:
		r, err := l.parseSensor(e.Payload)
		if err != nil {
			return nil, fmt.Errorf("sensor: %w", err)
		}
		return Records{r}, nil
	case e.Type == wire.TypeSensor && l.protocol == "":
		if r, err := l.parseSensor(e.Payload); err == nil {
			return Records{r}, nil
		}
	}
	m := Message{Type: e.Type, Payload: e.Payload, Raw: data}
	if json.Unmarshal(e.ID, &m.ID) != nil {
		m.ID = string(e.ID) // a number, or none
	}
	return m, nil
}

// parseSensor reads the payload of a readings.json message. Without a subprotocol
// it may have no sensor and no time: then it is that of the path, and now.
func (l *link) parseSensor(payload []byte) (Record, error) {
	var s wire.SensorMessage
	if err := json.Unmarshal(payload, &s); err != nil {
		return Record{}, err
	}
	at := time.Now().UnixMilli()
	switch {
	case s.TS != nil:
		at = int64(math.Round(*s.TS * 1000))
	case l.protocol != "":
		return Record{}, errors.New("no ts")
	}
	r := Record{Name: s.Sensor}
	if s.Sensor == "" && l.protocol == "" {
		r.Name = cmp.Or(l.only, primary)
	}
	r.Seq = s.Seq
	if s.Historical {
		r.Flags |= wire.Historical
	}
	if s.Conflated {
		r.Flags |= wire.Conflated
	}
	switch {
	case s.Fault != "":
		r.Fault = faultNamed(s.Fault)
		r.Reading = wire.Failed(r.Fault, at)
	default:
		values := l.inOrder(&s)
		if len(values) == 0 || values[0] == nil {
			return Record{}, errors.New("neither a measurement nor a fault")
		}
		r.Reading = wire.Reading{Values: [2]float32{wire.NotMeasured(), wire.NotMeasured()}, UnixMilli: at}
		for i, v := range values {
			if v != nil {
				r.Values[i] = *v
			}
		}
	}
	return r, nil
}

// inOrder returns the values of a message in the order that hello has them in, none if
// it does not have the sensor and the message names its quantities.
func (l *link) inOrder(m *wire.SensorMessage) (values []*float32) {
	sensor := &wire.SensorInfo{}
	if m.Values != nil {
		i := slices.IndexFunc(l.sensors, func(s wire.SensorInfo) bool { return s.Name == m.Sensor })
		if i < 0 {
			return nil
		}
		sensor = &l.sensors[i]
	}
	for _, q := range sensor.Quantities() {
		values = append(values, m.Value(q))
	}
	return values
}

// faultNamed is the inverse of [wire.Fault.String].
func faultNamed(name string) wire.Fault {
	for f := wire.Good + 1; f != 0; f++ { // all 255
		if f.String() == name {
			return f
		}
	}
	return wire.Other
}

// sensorOf names the sensor that a connection is for, "" if it is for all.
func sensorOf(urlPath string) string {
	if dir, name := path.Split(urlPath); strings.HasSuffix(dir, "/sensors/") {
		return name
	}
	return ""
}
