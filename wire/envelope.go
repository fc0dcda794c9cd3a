package wire

import (
	"bytes"
	"encoding/json"
	"strconv"
)

// Subprotocols of the WebSocket connection (Sec-WebSocket-Protocol).
const (
	ReadingsV1   = "readings.v1"   // a 16-byte Reading a message, one sensor; the default
	ReadingsV2   = "readings.v2"   // a tick's 24-byte Records a message, all sensors
	ReadingsJSON = "readings.json" // the same stream as text
)

// Envelope is every JSON message, both ways.
type Envelope struct {
	Type    string          `json:"type"`
	ID      json.RawMessage `json:"id,omitempty"` // that of the request which it answers
	Payload any             `json:"payload"`
}

// Types of an [Envelope] from a client.
const (
	TypeCommand     = "command"
	TypeControl     = "control"
	TypeSubscribe   = "subscribe"
	TypeUnsubscribe = "unsubscribe"
	TypePing        = "ping"
)

// Types of an [Envelope] from the server: answers, then what it sends unasked.
const (
	TypeAck          = "ack"
	TypeSubscribed   = "subscribed"
	TypeUnsubscribed = "unsubscribed"
	TypePong         = "pong"
	TypeError        = "error"

	TypeHello   = "hello"
	TypeSensor  = "sensor" // see [AppendSensorJSON]
	TypeState   = "state"
	TypeEvent   = "event"
	TypeStats   = "stats"
	TypeMetrics = "metrics"
)

// JSON encodes our own payloads, which cannot fail. It writes < as itself: nothing of this
// becomes HTML, and people read it.
func JSON(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic(err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// Hello is the payload of the first message on readings.v2 and readings.json.
type Hello struct {
	Server      string       `json:"server"`
	Name        string       `json:"name,omitempty"` // the gateway's, for people
	Version     string       `json:"version"`
	Epoch       string       `json:"epoch"` // changes only when sequence numbers could not be continued
	Time        int64        `json:"time"`  // Unix milliseconds
	Simulated   bool         `json:"simulated"`
	ClockSynced bool         `json:"clock_synced"`
	Sensors     []SensorInfo `json:"sensors"`
	Motors      []MotorState `json:"motors"`
	Warnings    []string     `json:"warnings,omitempty"` // for people: what the configuration allows to everybody
	Uplink      *Uplink      `json:"uplink,omitempty"`   // of a gateway that is in a fleet
	Hub         string       `json:"hub,omitempty"`      // the name of the hub that shows the gateway; "": the gateway itself has sent this
	You         You          `json:"you"`
}

// Uplink is the state of a gateway's connection to its fleet's hubs.
type Uplink struct {
	Connected bool   `json:"connected"`
	State     string `json:"state"`           // for people: "connected, 3 h behind"
	Unsent    int64  `json:"unsent_readings"` // that no hub has yet
	BehindMS  int64  `json:"behind_ms"`       // the age of the oldest of them
}

// You is what a client learns about itself.
type You struct {
	Name string   `json:"name"` // of its token's holder; "" without a token
	Role string   `json:"role"` // viewer, operator or admin
	May  []string `json:"may"`  // see, stop, estop, chat, command, control, tokens
	// Denied is why it may not command, for people; "" if it may.
	Denied string `json:"denied,omitempty"`
}

// SensorInfo describes one sensor in [Hello].
type SensorInfo struct {
	ID         uint16     `json:"id"`              // the sensor number in a Record
	Name       string     `json:"name"`            // it needs no escaping in JSON and CSV: the configuration ensures that
	Group      string     `json:"group,omitempty"` // of sensors, for people
	Model      string     `json:"model"`
	IntervalMS int64      `json:"interval_ms"`
	NextSeq    uint32     `json:"next_seq"`
	Primary    bool       `json:"primary,omitempty"` // what readings.v1 shows on "/"
	Values     []Quantity `json:"values"`            // what a reading's values are, one or two; see [SensorInfo.Quantities]

	Calibration map[string]Calibration `json:"calibration,omitempty"` // of those that are corrected, by quantity
	Median      int                    `json:"median,omitempty"`      // each value is the median of so many ticks; 0: no median
}

// AppendSensorJSON appends the readings.json message of r, a reading of the
// sensor, to b. It allocates nothing beyond b.
func AppendSensorJSON(b []byte, sensor *SensorInfo, r Record) []byte {
	b = append(b, `{"type":"`+TypeSensor+`","payload":{"sensor":"`...)
	b = append(b, sensor.Name...)
	b = append(b, `",`...)
	if sensor.InV1() {
		b = appendClimate(b, `"temp":`, `,"unit":"C","humidity":`, r)
	} else {
		b = appendValues(b, sensor.Quantities(), r)
		b = append(b, ',')
		b = appendUnits(b, sensor.Quantities())
	}
	if r.Fault != Good {
		b = appendFault(append(b, ','), r.Fault)
	}
	b = append(b, `,"ts":`...)
	b = appendSeconds(b, r.UnixMilli)
	b = append(b, `,"seq":`...)
	b = strconv.AppendUint(b, uint64(r.Seq), 10)
	if r.Flags&Historical != 0 {
		b = append(b, `,"historical":true`...)
	}
	if r.Flags&Conflated != 0 {
		b = append(b, `,"conflated":true`...)
	}
	return append(b, "}}"...)
}

// SensorMessage is the payload of a readings.json message, as it is read.
type SensorMessage struct {
	Sensor     string              `json:"sensor"`
	Temp       *float32            `json:"temp"`
	Humidity   *float32            `json:"humidity"`
	Values     map[string]*float32 `json:"values"` // by quantity, in place of these two
	Fault      string              `json:"fault"`
	TS         *float64            `json:"ts"` // Unix seconds
	Seq        uint32              `json:"seq"`
	Historical bool                `json:"historical"`
	Conflated  bool                `json:"conflated"`
}

// Value returns the value of a quantity, nil if there is none.
func (m *SensorMessage) Value(q Quantity) *float32 {
	switch {
	case m.Values != nil:
		return m.Values[q.Name]
	case q.Name == Temperature.Name:
		return m.Temp
	case q.Name == Humidity.Name:
		return m.Humidity
	}
	return nil
}

// Stats is the payload of a stats message: the account of a client's readings
// since its subscription began. Produced is the sum of the others, exactly.
type Stats struct {
	Produced  uint64 `json:"produced"`  // ticks due
	Delivered uint64 `json:"delivered"` // handed to the socket
	Conflated uint64 `json:"conflated"` // others stand for them
	Missed    uint64 `json:"missed"`    // ticks the sampler did not make
	Queued    uint64 `json:"queued"`    // waiting now
}

// Add returns the sum of two accounts.
func (s Stats) Add(t Stats) Stats {
	return Stats{s.Produced + t.Produced, s.Delivered + t.Delivered, s.Conflated + t.Conflated, s.Missed + t.Missed, s.Queued + t.Queued}
}
