package audit

import (
	"encoding/json"
	"fmt"

	"sensorgateway/wire"
)

// Kinds of records.
const (
	KindCommand = "command" // somebody's, carried out
	KindRefused = "refused" // a command or a client that was refused, or a command that moved nothing
	KindMotor   = "motor"   // a motor changed by itself: the end of a lease, an interlock
	KindLatch   = "latch"   // the e-stop was pressed or reset, by whomever
	KindLogin   = "login"   // a browser has logged in or out, or a login was ended
	KindToken   = "token"   // a token was made, changed or revoked
	KindHubKey  = "hub_key" // a hub may command from then on, or no longer, as another hub ordered
	KindStart   = "start"   // the program started
	KindLost    = "lost"    // records could not be written
	KindMissing = "missing" // records that had been written were no longer there at the start
)

// Record is what happened once, or Count times in a row.
type Record struct {
	N     uint64 `json:"n"`     // its number in its chain, from 1, without a gap
	Chain string `json:"chain"` // [Done] or [Counted]
	At    int64  `json:"at"`    // Unix ms, by the gateway's clock
	// Unsynced says that the clock was not synchronised.
	Unsynced bool   `json:"clock_unsynced,omitempty"`
	Kind     string `json:"kind"`

	ID   string `json:"id,omitempty"`   // of the token that was presented
	Name string `json:"name,omitempty"` // of the client, as others see it
	How  string `json:"how,omitempty"`  // the client was identified: "bearer", "cookie", …; "" for nobody in particular
	From string `json:"from,omitempty"` // the client's address

	What   json.RawMessage `json:"what,omitempty"`    // the command, or what was refused
	Result string          `json:"result"`            // "ok", or why not
	Took   float64         `json:"took_ms,omitempty"` // ms
	Count  int64           `json:"count,omitempty"`   // of such records since the last one, this one included; 0 is 1

	// What the gateway knew at that moment.
	Interlocks []wire.Interlock  `json:"interlocks,omitempty"`
	Epoch      string            `json:"epoch,omitempty"`
	Newest     map[string]uint32 `json:"newest,omitempty"` // the newest number of each sensor in that epoch
}

// maxLine is the largest line of a file, in bytes: 1,000 sensors and 100 interlocks
// fit. What is larger loses its newest numbers and interlocks.
const maxLine = 64 << 10

// encode returns a record's line without its code and end.
func (r Record) encode() ([]byte, error) {
	line, err := json.Marshal(r)
	if err == nil && len(line) > maxLine-macLen {
		r.Newest, r.Interlocks, r.What = nil, nil, json.RawMessage(`"too large for a record"`)
		line, err = json.Marshal(r)
	}
	if err != nil {
		return nil, fmt.Errorf("audit record: %w", err)
	}
	return line, nil
}
