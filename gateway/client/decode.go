package client

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"path"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/gorilla/websocket"

	"sensorgateway/wire"
)

// receive returns the next message as an event. A message that the protocol does
// not have ends the connection, and the server is told with which code.
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
		return nil, err
	}
	return event, nil
}

func (l *link) binary(data []byte) (Event, error) {
	if l.protocol != wire.ReadingsV2 {
		r, err := wire.ParseReading(data)
		if err != nil {
			return nil, err
		}
		return Records{{Name: cmp.Or(l.only, "primary"), Record: wire.Record{Fault: r.Fault(), Reading: r}}}, nil
	}
	parsed, err := wire.ParseRecords(data)
	if err != nil {
		return nil, err
	}
	records := make(Records, len(parsed))
	for i, r := range parsed {
		name, ok := l.sensors[r.Sensor]
		if !ok {
			name = fmt.Sprintf("sensor_%d", r.Sensor)
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
	case e.Type == "hello" && l.greets && !l.begun:
		var hello wire.Hello
		if err := json.Unmarshal(e.Payload, &hello); err != nil {
			return nil, fmt.Errorf("hello: %w", err)
		}
		return Connected{hello}, nil
	case e.Type == "sensor" && l.protocol == wire.ReadingsJSON:
		r, err := parseSensor(e.Payload)
		if err != nil {
			return nil, fmt.Errorf("sensor: %w", err)
		}
		return Records{r}, nil
	}
	m := Message{Type: e.Type, Payload: e.Payload, Raw: data}
	if json.Unmarshal(e.ID, &m.ID) != nil {
		m.ID = string(e.ID) // a number, or none
	}
	return m, nil
}

// parseSensor reads the payload of a readings.json message.
func parseSensor(payload []byte) (Record, error) {
	var s struct {
		Sensor     string   `json:"sensor"`
		Temp       *float32 `json:"temp"`
		Humidity   *float32 `json:"humidity"`
		Fault      string   `json:"fault"`
		TS         float64  `json:"ts"`
		Seq        uint32   `json:"seq"`
		Historical bool     `json:"historical"`
		Conflated  bool     `json:"conflated"`
	}
	if err := json.Unmarshal(payload, &s); err != nil {
		return Record{}, err
	}
	r := Record{Name: s.Sensor}
	r.Seq = s.Seq
	if s.Historical {
		r.Flags |= wire.Historical
	}
	if s.Conflated {
		r.Flags |= wire.Conflated
	}
	at := int64(math.Round(s.TS * 1000))
	switch {
	case s.Fault != "":
		r.Fault = faultNamed(s.Fault)
		r.Reading = wire.Failed(r.Fault, at)
	case s.Temp == nil || s.Humidity == nil:
		return Record{}, errors.New("neither a measurement nor a fault")
	default:
		r.Reading = wire.Reading{Values: [2]float32{*s.Temp, *s.Humidity}, UnixMilli: at}
	}
	return r, nil
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
