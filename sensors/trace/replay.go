package trace

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"periph.io/x/conn/v3/i2c"
	"periph.io/x/conn/v3/physic"

	"sensorgateway/sensors"
	"sensorgateway/sensors/bus"
	"sensorgateway/wire"
)

// A Player answers drivers as the chips of a trace did. Several goroutines may call
// its chips, one for each.
type Player struct {
	header  Header
	atSpeed bool // transfers take as long as when they were recorded

	tapes []*tape // by chip

	mu     sync.Mutex
	rest   [][]Call // by chip: those that were not called yet
	result Result
}

// Result is how a replay went so far.
type Result struct {
	Calls       int      // that were made
	Failed      int      // of them, as recorded
	Differences []string // the first calls that did not end as they were recorded
	Different   int      // how many
	Skipped     int      // recorded calls that nobody made
}

// maxDifferences is how many differences are described.
const maxDifferences = 10

// NewPlayer replays a trace: at speed, or as fast as the drivers go.
func NewPlayer(h Header, calls []Call, atSpeed bool) *Player {
	p := &Player{header: h, atSpeed: atSpeed, rest: make([][]Call, len(h.Chips))}
	for _, c := range h.Chips {
		p.tapes = append(p.tapes, &tape{name: c.Wires(), atSpeed: atSpeed, begun: time.Now()})
	}
	for _, c := range calls {
		p.rest[c.Chip] = append(p.rest[c.Chip], c)
	}
	return p
}

// Result returns how it went so far.
func (p *Player) Result() Result {
	p.mu.Lock()
	defer p.mu.Unlock()
	r := p.result
	r.Differences = slices.Clone(r.Differences)
	return r
}

// next returns a chip's next recorded call of a kind. It skips others before it: when a chip
// is tried again depends on time, which is not that of the recording.
func (p *Player) next(chip int, do string) (c Call, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	i := slices.IndexFunc(p.rest[chip], func(c Call) bool { return c.Do == do })
	if i < 0 {
		return Call{}, false
	}
	c = p.rest[chip][i]
	p.result.Skipped += i
	p.rest[chip] = p.rest[chip][i+1:]
	return c, true
}

// note compares how a call ended with what was recorded.
func (p *Player) note(c Call, values []float32, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.result.Calls++
	if c.Fault != 0 {
		p.result.Failed++
	}
	fault := wire.FaultOf(err)
	if uint8(fault) == c.Fault && (err != nil || equal(values, c.Values)) {
		return
	}
	if p.result.Different++; len(p.result.Differences) == maxDifferences {
		return
	}
	p.result.Differences = append(p.result.Differences, fmt.Sprintf("%s, %s at %v: recorded %s, now %s",
		p.header.Chips[c.Chip].Name, c.Do, time.Duration(c.At)*time.Microsecond, describe(c.Values, wire.Fault(c.Fault), c.Error), describe(values, fault, text(err))))
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func describe(values []float32, fault wire.Fault, text string) string {
	if fault != wire.Good {
		return fmt.Sprintf("%v (%s)", fault, text)
	}
	return fmt.Sprint(values)
}

// equal compares every bit.
func equal(a, b []float32) bool {
	return slices.EqualFunc(a, b, func(x, y float32) bool { return math.Float32bits(x) == math.Float32bits(y) })
}

// ErrEnd is the error of a chip whose recording has ended.
var ErrEnd = fmt.Errorf("the recording has ended: %w", wire.Absent)

// Bus returns what the chip with number i of the header is on: what the recording has of it.
func (p *Player) Bus(i int) bus.Managed { return p.tapes[i] }

// Chip returns the chip with number i of the header: the shipped driver, whose bus is
// the recording, whatever it is opened on.
func (p *Player) Chip(i int, chip sensors.Chip) sensors.Chip {
	open := chip.Open
	chip.Reset = nil // its effect is in the recording
	chip.Open = func(_ i2c.Bus, addr uint16) (sensors.Sensor, error) {
		c, ok := p.next(i, Open)
		if !ok {
			return nil, fmt.Errorf("%s 0x%02x: %w", chip.Model, addr, ErrEnd)
		}
		b := p.tapes[i]
		b.rest = c.Transfers
		device, err := open(b, addr)
		p.note(c, nil, err)
		if err != nil {
			return nil, err
		}
		return &played{Sensor: device, player: p, chip: i, tape: b}, nil
	}
	return chip
}

// played is a driver on a recording. One goroutine calls it.
type played struct {
	sensors.Sensor
	player *Player
	chip   int
	tape   *tape
}

// Sense measures once, on the transfers of the next measurement.
func (d *played) Sense(values []float32) error {
	c, ok := d.player.next(d.chip, Sense)
	if !ok {
		return fmt.Errorf("%v: %w", d, ErrEnd)
	}
	d.tape.rest = c.Transfers
	err := d.Sensor.Sense(values)
	d.player.note(c, values, err)
	return err
}

// tape is a bus with the transfers of a chip. One goroutine uses it.
type tape struct {
	name    string
	atSpeed bool
	rest    []Transfer // of the present call of the driver

	begun time.Time
	since atomic.Int64 // nanoseconds after begun: when the transfer under way began; 0: there is none
}

func (t *tape) String() string { return t.name }

// SetSpeed refuses: a recording has none.
func (t *tape) SetSpeed(physic.Frequency) error {
	return fmt.Errorf("%s: a recording: %w", t.name, errors.ErrUnsupported)
}

// Tx answers the next transfer, which must be the one that was recorded.
func (t *tape) Tx(addr uint16, w, r []byte) error {
	fail := func(fault wire.Fault, cause error) error {
		op := "write-read"
		if len(r) == 0 {
			op = "write"
		} else if len(w) == 0 {
			op = "read"
		}
		return &bus.Error{Bus: t.name, Addr: addr, Op: op, Fault: fault, Err: cause}
	}
	if len(t.rest) == 0 {
		return fail(wire.Other, fmt.Errorf("the driver writes %x and reads %d bytes, where the recording has nothing more", w, len(r)))
	}
	x := t.rest[0]
	t.rest = t.rest[1:]
	if !bytes.Equal(w, x.Write) || len(r) != len(x.Read) {
		return fail(wire.Other, fmt.Errorf("the driver writes %x and reads %d bytes, where the recording writes %x and reads %d", w, len(r), []byte(x.Write), len(x.Read)))
	}
	if t.atSpeed {
		t.since.Store(int64(time.Since(t.begun)) + 1)
		time.Sleep(time.Duration(x.Took) * time.Microsecond)
		t.since.Store(0)
	}
	if x.Fault != 0 {
		return fail(wire.Fault(x.Fault), &recordedError{x.Failure})
	}
	copy(r, x.Read)
	return nil
}

// Wait waits as a driver does for its chip.
func (t *tape) Wait(d time.Duration) { time.Sleep(d) }

// Hangs is [bus.Bus.Hangs]. Any goroutine may call it: a transfer that took too long held up
// the recorded sampler's ticks too. It does not know of the transfers of other chips.
func (t *tape) Hangs(addr uint16) error {
	since := t.since.Load()
	if since == 0 || time.Since(t.begun)-time.Duration(since) < bus.TransactionLimit {
		return nil
	}
	return &bus.Error{Bus: t.name, Addr: addr, Op: "transaction", Fault: wire.BusDown, Err: errors.New("hung in the recording")}
}

// recordedError is the cause of a transfer's failure, with its errno.
type recordedError struct{ Failure }

func (e *recordedError) Error() string { return e.Failure.Error }

// Unwrap returns the errno, nil if there was none.
func (e *recordedError) Unwrap() error {
	if e.Errno == 0 {
		return nil
	}
	return syscall.Errno(e.Errno)
}

// Run makes all calls of a trace with the shipped drivers, chip by chip at the same
// time, as fast as they go.
func Run(trace io.Reader, chips map[string]sensors.Chip) (Header, Result, error) {
	h, calls, err := Read(trace)
	if err != nil {
		return h, Result{}, err
	}
	p := NewPlayer(h, calls, false)
	var all sync.WaitGroup
	for i, c := range h.Chips {
		chip, ok := chips[c.Chip]
		if !ok || chip.Kernel != nil { // what the kernel reads has no transfers
			return h, Result{}, fmt.Errorf("chip %s of %s: this program has no driver for it", c.Chip, c.Name)
		}
		all.Go(func() { p.run(i, c.Address, p.Chip(i, chip)) })
	}
	all.Wait()
	return h, p.Result(), nil
}

// run makes all calls of a chip, in their order.
func (p *Player) run(i int, addr uint16, chip sensors.Chip) {
	var device sensors.Sensor
	values := make([]float32, len(chip.All()))
	for {
		p.mu.Lock()
		if len(p.rest[i]) == 0 {
			p.mu.Unlock()
			return
		}
		do := p.rest[i][0].Do
		if do == Sense && device == nil { // the recording began in the middle, or opening fails now
			p.rest[i] = p.rest[i][1:]
			p.result.Skipped++
			do = ""
		}
		p.mu.Unlock()
		switch do {
		case Open:
			device, _ = chip.Open(nil, addr) // noted
		case Sense:
			_ = device.Sense(values) // noted
		}
	}
}
