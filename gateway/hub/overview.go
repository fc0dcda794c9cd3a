package hub

import (
	"time"

	"sensorgateway/wire"
)

// States of a gateway's [Presence].
const (
	Here  = "here"  // it is connected to the broker
	Away  = "away"  // it was connected before
	Never = "never" // this hub has heard nothing of it
	// Revoked is the state of a gateway that was revoked lately, even if it is still connected.
	Revoked = "revoked"
)

// Presence is whether a gateway is connected to the broker, and since when.
type Presence struct {
	State string `json:"state"`
	Since int64  `json:"since,omitempty"` // Unix ms
}

// Newest is the newest reading of a sensor that came, live or stored.
type Newest struct {
	Sensor     string
	Epoch      string          // of its number
	Quantities []wire.Quantity // what the values are
	Record     wire.Record
}

// Overview is what a list of gateways shows of one.
type Overview struct {
	Site, Name string
	Title      string // of its configuration, for people
	Version    string // of its program
	Presence   Presence
	Readings   []Newest     // by sensor, in the order of hello
	Alarms     []wire.Alarm // that are raised, the newest first
	Stored     int64        // Unix ms of the newest reading that is durable here, 0: none; its age is the lag of the log
	Bytes      int64        // received from it in this month (UTC)
	Uplink     string       // how its way to the hubs is, as the gateway says
	Audit      string       // what is wrong with its audit log; "": nothing is known to be
	Twin       string       // that another device has its identity; "": nothing is known of one
	// Changed grows with each change of any gateway: whoever has an overview asks for those
	// that changed after it.
	Changed uint64
	Behind  time.Duration // see [fleet.Hello.Behind]
}
