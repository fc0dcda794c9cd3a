package trace

import (
	"errors"
	"maps"
	"slices"
	"sync"
	"syscall"
	"time"

	"periph.io/x/conn/v3/i2c"

	"sensorgateway/sensors"
	"sensorgateway/sensors/bus"
	"sensorgateway/wire"
)

// Writer is where a trace is written, line by line. Begin is called before the first
// line and whenever Full is true after a line: what is written then begins a new file.
type Writer interface {
	Write(line []byte) (int, error)
	Full() bool
	Begin() error
}

// A Recorder writes what chips are asked and what they answer. Several goroutines
// may call its chips.
type Recorder struct {
	start  time.Time
	header []byte

	mu     sync.Mutex
	out    Writer
	opened map[int][]byte // the line of each chip's last opening: a new file begins with these
	err    error          // of the writer: nothing is recorded after it
	calls  int
	failed int
}

// NewRecorder begins a trace of the chips of h, in whose order [Recorder.Chip]
// numbers them.
func NewRecorder(out Writer, h Header) (*Recorder, error) {
	now := time.Now()
	h.Trace, h.Time = Version, now.UnixMilli()
	header, err := encode(h)
	if err != nil {
		return nil, err
	}
	r := &Recorder{start: now, header: header, out: out, opened: map[int][]byte{}}
	return r, r.begin()
}

// begin begins a file, with the header and how each chip was opened.
func (r *Recorder) begin() error {
	err := r.out.Begin()
	if err == nil {
		_, err = r.out.Write(r.header)
	}
	for _, chip := range slices.Sorted(maps.Keys(r.opened)) {
		if err == nil {
			_, err = r.out.Write(r.opened[chip])
		}
	}
	return err
}

// Chip returns the chip with number i of the header, recorded. Its driver is the same.
func (r *Recorder) Chip(i int, chip sensors.Chip) sensors.Chip {
	open := chip.Open
	chip.Open = func(b i2c.Bus, addr uint16) (sensors.Sensor, error) {
		d := &recorded{recorder: r, chip: i}
		c := d.begin(Open)
		var err error
		d.Sensor, err = open(bus.NewTap(b, d.note), addr)
		d.end(c, nil, err)
		if err != nil {
			return nil, err
		}
		return d, nil
	}
	return chip
}

// Counts returns how many calls were recorded, and how many of them had failed.
func (r *Recorder) Counts() (calls, failed int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.calls, r.failed
}

// Err returns why nothing is recorded any more, nil while it is.
func (r *Recorder) Err() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.err
}

// write appends a call to the trace.
func (r *Recorder) write(c Call) {
	line, err := encode(c)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err != nil {
		return
	}
	if err == nil {
		_, err = r.out.Write(line)
	}
	r.calls++
	if c.Fault != 0 {
		r.failed++
	}
	if c.Do == Open {
		r.opened[c.Chip] = line
	}
	if err == nil && r.out.Full() {
		err = r.begin()
	}
	r.err = err
}

// recorded is a driver whose calls are recorded. One goroutine calls it.
type recorded struct {
	sensors.Sensor
	recorder *Recorder
	chip     int
	begun    time.Time // the call under way
	done     []Transfer
}

// Sense measures once.
func (d *recorded) Sense(values []float32) error {
	c := d.begin(Sense)
	err := d.Sensor.Sense(values)
	d.end(c, values, err)
	return err
}

func (d *recorded) begin(do string) Call {
	d.begun, d.done = time.Now(), nil
	return Call{Chip: d.chip, Do: do, At: d.begun.Sub(d.recorder.start).Microseconds()}
}

func (d *recorded) end(c Call, values []float32, err error) {
	c.Took, c.Transfers, c.Failure = time.Since(d.begun).Microseconds(), d.done, failureOf(err)
	if err == nil {
		c.Values = slices.Clone(values)
	}
	d.recorder.write(c)
}

func (d *recorded) note(x bus.Transfer) {
	t := Transfer{At: x.At.Sub(d.begun).Microseconds(), Took: x.Took.Microseconds(), Write: x.W, Read: x.R, Failure: failureOf(x.Err)}
	if e, ok := errors.AsType[*bus.Error](x.Err); ok {
		t.Error = e.Err.Error()
	}
	d.done = append(d.done, t)
}

func failureOf(err error) (f Failure) {
	if err == nil {
		return f
	}
	f = Failure{Error: err.Error(), Fault: uint8(wire.FaultOf(err))}
	if errno, ok := errors.AsType[syscall.Errno](err); ok {
		f.Errno = int(errno)
	}
	return f
}
