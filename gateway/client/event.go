package client

import (
	"encoding/json"
	"time"

	"sensorgateway/wire"
)

// An Event is what a [Client] delivers: [Connected], [Records], [Message],
// [RoundTrip], [Resumed], [Replayed] or [Disconnected].
type Event interface{ event() }

// Connected says that messages can be sent. It comes with the server's hello;
// where the subprotocol has none, after the handshake and with an empty Hello.
// Each sensor of hello has its quantities, which name the values of a [Record].
type Connected struct {
	Hello       wire.Hello
	Subprotocol string // that the server chose; "" if none, and readings.v1 is what it sends
}

// Records are the readings of one message, in its order, without those that came
// before. Replayed ones, and those that come late, have the flag [wire.Historical].
type Records []Record

// Record is a reading and what the connection knows about it. On readings.v1
// only the reading, its cause and the sensor's name are known.
type Record struct {
	Name string // of the sensor
	// Missed is how many sequence numbers are missing right before this one among
	// the live ones. If this record is conflated, it and others like it stand for
	// them; else they are lost. Zero does not mean that two records are neighbours:
	// numbers go on after a restart, so the time between them, by UnixMilli, must also
	// be about the sensor's interval.
	Missed uint32
	// Late says that this number was reported as missing before, in Missed or in
	// [Replayed]: a hub sends what it gets later than its neighbours.
	Late bool
	wire.Record
}

// Message is a text message that is neither a hello nor a reading, the answers
// to requests included: these come before their [Client.Request] returns.
type Message struct {
	Type    string          // "" if the text is no JSON object that has one
	ID      string          // of the request that it answers
	Payload json.RawMessage // nil if there is none
	Raw     []byte          // the whole text, UTF-8
}

// RoundTrip is how long a ping of the application and its answer took.
type RoundTrip time.Duration

// Resumed is the server's answer to the request for what was missed. The replay
// follows.
type Resumed struct {
	Recovered bool // nothing of what was missed is lost
	// Gone is how many numbers of a sensor may be lost, at most: some of them may
	// come all the same.
	Gone map[string]uint32
	Anew bool // another epoch began: all of it is replayed; how many numbers were lost before it is not known
}

// Replayed says that what was missed has been replayed.
type Replayed struct {
	Recovered map[string]uint32 // how many records that was, by sensor
	Lost      map[string]uint32 // how many numbers were missing among them
}

// Disconnected says that the connection was lost, or could not be made, and how
// long it will be until the next try.
type Disconnected struct {
	Err  error
	Wait time.Duration
}

func (Connected) event()    {}
func (Records) event()      {}
func (Message) event()      {}
func (RoundTrip) event()    {}
func (Resumed) event()      {}
func (Replayed) event()     {}
func (Disconnected) event() {}
