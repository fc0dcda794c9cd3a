// Package scan asks all addresses of an I²C bus who is there.
//
// It refuses to know how what it finds is shown, and how one finds out who uses a chip:
// it is told, and leaves that chip alone.
package scan

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"periph.io/x/conn/v3/i2c"

	"sensorgateway/sensors"
	"sensorgateway/sensors/bus"
	"sensorgateway/sensors/identify"
	"sensorgateway/wire"
)

const (
	// Addresses below and above are reserved (NXP UM10204, section 3.1.12).
	firstAddress, lastAddress = 0x08, 0x77
	// maxStuck is how many addresses may fail in a row, other than by nobody being
	// there, before the bus is taken for one that is held.
	maxStuck = 5
	// hangTime is how long the bus may be down for a transfer that has not ended: an
	// adapter takes up to a second by default until it gives up.
	hangTime = 2 * time.Second
	// manyAnswers is how many addresses answer on no real bus.
	manyAnswers = 64
)

// Result is what was found on one bus.
type Result struct {
	Bus    string   `json:"bus"`
	Name   string   `json:"name,omitempty"`
	Kind   string   `json:"kind,omitempty"`
	Found  []Answer `json:"found"`
	TookMS float64  `json:"took_ms"`
	Error  string   `json:"error,omitempty"` // why the scan ended before the last address
	Fix    string   `json:"fix,omitempty"`
}

// Answer is an address where something is.
type Answer struct {
	Address string  `json:"address"`
	Model   string  `json:"model,omitempty"`
	Chip    string  `json:"chip,omitempty"`   // what to write in the configuration; "": there is no driver
	Driver  string  `json:"driver,omitempty"` // of the kernel, which has it
	Sensor  string  `json:"sensor,omitempty"` // of the gateway that runs, which has it
	Seen    string  `json:"seen,omitempty"`
	TookMS  float64 `json:"took_ms"`
}

// An Owner says who has the chip at an address, and would be disturbed: a driver of the
// kernel, or a sensor of a gateway that runs. Both are "" if nobody has it.
type Owner func(addr uint16) (driver, sensor string)

// Ask asks all addresses of b that nobody owns.
func (r *Result) Ask(b i2c.Bus, owner Owner) {
	r.Found = []Answer{}
	begin := time.Now()
	defer func() { r.TookMS = milliseconds(time.Since(begin)) }()
	var failed []uint16 // to be asked again
	var since time.Time // when the first of them was asked
	stuck, longest := 0, time.Duration(0)
	for addr := uint16(firstAddress); addr <= lastAddress; addr++ {
		a := Answer{Address: fmt.Sprintf("0x%02x", addr)}
		if a.Driver, a.Sensor = owner(addr); a.Driver != "" || a.Sensor != "" {
			r.Found = append(r.Found, a)
			continue
		}
		begin := time.Now()
		err := r.ask(b, addr)
		took := time.Since(begin)
		switch {
		case err == nil || wire.FaultOf(err) == wire.NoAck:
			stuck = 0
			continue
		case bus.CannotOpen(err):
			r.Error = bus.Cause(err).Error()
			return
		}
		if failed = append(failed, addr); len(failed) == 1 {
			since = begin
		}
		if longest = max(longest, took); stuck == 0 {
			r.Error = bus.Cause(err).Error() // those after it may only say that this one has not ended
		}
		if stuck++; stuck == maxStuck || wire.FaultOf(err) == wire.BusDown {
			r.Error = fmt.Sprintf("an address takes up to %.0f ms and fails (%s)", milliseconds(longest), r.Error)
			r.Fix = bus.StuckFix
			return
		}
	}
	r.Error = ""
	if len(r.Found) >= manyAnswers {
		r.Error, r.Found = fmt.Sprintf("%d of %d addresses answer, as on no real bus", len(r.Found), lastAddress-firstAddress+1), []Answer{}
		r.Fix = "SDA is held low, which reads as an answer: take the sensors' power away for a second; if that does not help, take them off one by one"
		return
	}
	r.askAgain(b, failed, since)
}

// askAgain asks the addresses that failed, since a time, up to twice more. The bus leaves
// them alone for as long as they have held it. Those that fail again are answers.
func (r *Result) askAgain(b i2c.Bus, failed []uint16, since time.Time) {
	why := map[uint16]error{}
	for n := 0; n < 2 && len(failed) > 0; n++ {
		time.Sleep(time.Since(since))
		failed = slices.DeleteFunc(failed, func(addr uint16) bool {
			why[addr] = r.ask(b, addr)
			return why[addr] == nil || wire.FaultOf(why[addr]) == wire.NoAck
		})
	}
	for _, addr := range failed {
		r.Found = append(r.Found, Answer{Address: fmt.Sprintf("0x%02x", addr), Seen: "a transfer fails: " + bus.Cause(why[addr]).Error()})
	}
	slices.SortStableFunc(r.Found, func(a, b Answer) int { return strings.Compare(a.Address, b.Address) })
}

// ask asks who is at an address, and adds the answer. A bus that is down because another
// address's transfer has not ended is waited for.
func (r *Result) ask(b i2c.Bus, addr uint16) error {
	begin := time.Now()
	who, err := identify.At(b, addr)
	for wire.FaultOf(err) == wire.BusDown && !bus.CannotOpen(err) && time.Since(begin) < hangTime {
		time.Sleep(hangTime / 100)
		who, err = identify.At(b, addr)
	}
	if err != nil {
		return err
	}
	a := Answer{Address: fmt.Sprintf("0x%02x", addr), Model: who.Model, Seen: who.Seen, TookMS: milliseconds(time.Since(begin))}
	if _, ok := sensors.Chips()[who.Chip]; ok {
		a.Chip = who.Chip
	}
	r.Found = append(r.Found, a)
	return nil
}

func milliseconds(d time.Duration) float64 {
	return float64(d.Round(time.Microsecond)) / float64(time.Millisecond)
}
