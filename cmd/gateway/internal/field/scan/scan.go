// Package scan asks all addresses of an I²C bus who is there, also behind multiplexers.
//
// It refuses to know how its results are shown, and how to find out who uses a chip: it is
// told, and leaves that chip alone.
package scan

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"periph.io/x/conn/v3/i2c"
)

const (
	// Addresses below and above are reserved (NXP UM10204, section 3.1.12).
	firstAddress, lastAddress = 0x08, 0x77
	// maxStuck is how many addresses may fail in a row before the bus counts as held. An
	// address where nobody answers is no failure.
	maxStuck = 5
	// hangTime is how long the bus may be down because a transfer has not ended: by
	// default, an adapter takes up to a second until it gives up.
	hangTime = 2 * time.Second
	// manyAnswers is how many answers show that the bus does not work: no bus has so many chips.
	manyAnswers = 64
)

// Result is what was found on one bus.
type Result struct {
	Bus    string   `json:"bus"`
	Name   string   `json:"name,omitempty"`
	Kind   string   `json:"kind,omitempty"`
	Found  []Answer `json:"found"` // first on the bus itself, then behind each channel
	TookMS float64  `json:"took_ms"`
	Error  string   `json:"error,omitempty"` // why not everybody was asked
	Fix    string   `json:"fix,omitempty"`
}

// Answer is an address where something is.
type Answer struct {
	Mux      *Mux    `json:"mux,omitempty"` // nil: on the bus itself
	Address  string  `json:"address"`
	Model    string  `json:"model,omitempty"`
	Chip     string  `json:"chip,omitempty"`     // what to write in the configuration; "": there is no driver
	Channels int     `json:"channels,omitempty"` // of a multiplexer
	Driver   string  `json:"driver,omitempty"`   // of the kernel, which has it
	Sensor   string  `json:"sensor,omitempty"`   // of the gateway that runs, which has it
	Seen     string  `json:"seen,omitempty"`
	TookMS   float64 `json:"took_ms"`
}

// Mux is a channel of a multiplexer.
type Mux struct {
	Address uint16 `json:"address"`
	Channel uint8  `json:"channel"`
}

// String is how errors call the wires behind the channel.
func (m Mux) String() string {
	return fmt.Sprintf("channel %d of multiplexer 0x%02x", m.Channel, m.Address)
}

// Place is where a chip is.
type Place struct {
	Mux     Mux // its zero value: on the bus itself
	Address uint16
}

// Others are who else uses a bus, and would be disturbed. Its zero value is nobody.
type Others struct {
	Driver  func(addr uint16) string // the kernel's, of a chip on the bus itself; "" if none has it
	Sensors map[Place]string         // of a gateway that runs, by where their chips are
	// Reserved is why a gateway that runs must have the bus for itself, although it is not
	// known to switch a multiplexer there, and Fix what to do; "": it need not.
	Reserved, Fix string
}

// owner returns who has the chip at a place, as an answer.
func (o *Others) owner(p Place) (a Answer, ok bool) {
	a = answerAt(p)
	if o.Driver != nil && p.Mux == (Mux{}) {
		a.Driver = o.Driver(p.Address)
	}
	if a.Driver == "" {
		a.Sensor = o.Sensors[p]
	}
	return a, a.Driver != "" || a.Sensor != ""
}

// switching returns the address of a multiplexer that a gateway switches, 0 if there is none.
func (o *Others) switching() (mux uint16) {
	for p := range o.Sensors {
		mux = max(mux, p.Mux.Address)
	}
	return mux
}

func answerAt(p Place) Answer {
	a := Answer{Address: fmt.Sprintf("0x%02x", p.Address)}
	if p.Mux != (Mux{}) {
		a.Mux = &p.Mux
	}
	return a
}

// Ask asks all addresses of b, and those behind its multiplexers, except what others use.
// At the end each multiplexer connects what it did before.
func (r *Result) Ask(ctx context.Context, b i2c.Bus, others Others) {
	begin := time.Now()
	defer func() { r.TookMS = milliseconds(time.Since(begin)) }()
	r.Found = []Answer{}
	why, fix := others.Reserved, others.Fix
	if mux := others.switching(); mux != 0 {
		why, fix = fmt.Sprintf("the gateway that runs switches the multiplexer at 0x%02x: who answers now may be behind any channel", mux), "stop it to scan this bus: sudo systemctl stop gateway"
	}
	if why != "" {
		r.Found, r.Error, r.Fix = others.all(), why, fix
		return
	}
	s := scanner{ctx: ctx, bus: patient{b}, others: others, result: r, own: map[uint16]bool{}}
	s.askEverybody()
}

// all returns what a gateway has, in the order of an answer.
func (o *Others) all() (found []Answer) {
	places := slices.SortedStableFunc(maps.Keys(o.Sensors), func(p, q Place) int {
		return cmp.Or(cmp.Compare(p.Mux.Address, q.Mux.Address), cmp.Compare(p.Mux.Channel, q.Mux.Channel), cmp.Compare(p.Address, q.Address))
	})
	for _, p := range places {
		a := answerAt(p)
		a.Sensor = o.Sensors[p]
		found = append(found, a)
	}
	return found
}

func milliseconds(d time.Duration) float64 {
	return float64(d.Round(time.Microsecond)) / float64(time.Millisecond)
}
