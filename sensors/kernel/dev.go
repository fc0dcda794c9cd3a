package kernel

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"syscall"
	"time"

	"sensorgateway/wire"
)

// grace is how long a reading that is under way may go on when the program stops.
const grace = 900 * time.Millisecond

// eRemoteIO is Linux's EREMOTEIO, which other systems do not have.
const eRemoteIO = syscall.Errno(121)

// faults has what errors of the kernel mean, and what to add to the text of an errno that
// does not say it.
var faults = []struct {
	err   error
	fault wire.Fault
	means string
}{
	{fs.ErrNotExist, wire.Absent, ""},
	{syscall.ENODEV, wire.Absent, ""},
	{syscall.ENXIO, wire.NoAck, "nobody acknowledges at its address"},
	{eRemoteIO, wire.NoAck, "nobody acknowledges at its address"},
	// Linux, drivers/iio/humidity/dht11.c: too few edges are ETIMEDOUT, edges that make no
	// bytes, or a wrong checksum of theirs, are EIO.
	{syscall.ETIMEDOUT, wire.Timeout, "the chip has not answered, or only a part of it was seen"},
	{syscall.EAGAIN, wire.Timeout, "the driver was busy"},
	{syscall.EIO, wire.Checksum, "what the chip answered arrived incomplete or damaged"},
	{syscall.EBADMSG, wire.Checksum, "the checksum is wrong"},
}

// Dev is a device that is read. One goroutine uses it.
//
// What blocks in the kernel cannot be ended: a goroutine of its own makes the readings, one
// at a time.
type Dev struct {
	*Source
	values []float64 // run's, while a reading is under way

	asks    chan struct{} // room for one: there is one reading at a time
	answers chan error    // room for one
	reading bool          // one is under way

	device Device // run's
}

// Source is where a device is read, whenever it is opened.
type Source struct {
	ctx      context.Context
	tree     fs.FS
	kind     Kind
	id       string
	interval time.Duration
	title    string
	free     chan struct{} // holds a token while nobody is in the kernel
}

// NewSource returns the source of a device of a kind, that with an id if it is not "". The
// tree is the machine's root directory; its ReadFile returns a driver's EAGAIN instead of
// waiting for another answer. When ctx ends, a reading under way has another 0.9 s.
func NewSource(ctx context.Context, tree fs.FS, kind Kind, id string, interval time.Duration) *Source {
	s := &Source{ctx: ctx, tree: tree, kind: kind, id: id, interval: interval, title: kind.title(id), free: make(chan struct{}, 1)}
	s.free <- struct{}{}
	return s
}

// Open finds the device. It fails while the kernel holds a reading of the device that was
// open before: each further one would be held too, with an OS thread of its own.
func (s *Source) Open() (*Dev, error) {
	select {
	case <-s.free:
		s.free <- struct{}{}
	default:
		return nil, s.errorf(wire.Timeout, "an earlier reading has not ended: the kernel holds it")
	}
	d := &Dev{Source: s, values: make([]float64, len(s.kind.Quantities)), asks: make(chan struct{}, 1), answers: make(chan error, 1)}
	if err := d.locate(); err != nil {
		return nil, err
	}
	go d.run()
	return d, nil
}

// locate finds the device, under whatever number it has now.
func (d *Dev) locate() error {
	device, err := d.kind.Find(d.tree, d.id)
	if err == nil {
		d.device = device
	}
	return err
}

// fresh returns an error if the driver gives one measurement to several readings. Anybody
// may change how often it measures at any time.
func (d *Dev) fresh() error {
	if d.kind.Class != Hwmon {
		return nil
	}
	name := path.Join(d.device.Dir, "update_interval")
	ms, err := d.number(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // it measures at each reading, or does not say
	}
	if err != nil {
		return d.errorf(faultOf(err), "update_interval: %w", err)
	}
	if period := time.Duration(ms) * time.Millisecond; period >= d.interval {
		return &Error{wire.Other, fmt.Sprintf("%s: the kernel measures every %v and gives the same value meanwhile", d.title, period),
			fmt.Sprintf("write interval: %v, or echo %d | sudo tee /%s", period+margin, max(0, d.interval-margin).Milliseconds(), name)}
	}
	return nil
}

// margin is how much longer than the kernel's an interval must be, so that at each reading
// the last value is too old for the driver to give it again.
const margin = 100 * time.Millisecond

// Sense sets values to the quantities of the kind. If the kernel does not answer in time,
// the reading fails, and its answer is dropped when it comes.
func (d *Dev) Sense(values []float32) error {
	timer := time.NewTimer(d.kind.MaxRead)
	defer timer.Stop()
	if d.reading {
		if err := d.wait(timer); d.reading {
			return err
		}
	}
	d.asks <- struct{}{}
	d.reading = true
	if err := d.wait(timer); err != nil {
		return err
	}
	for i, v := range d.values {
		values[i] = float32(v)
	}
	return nil
}

// wait waits for the reading under way.
func (d *Dev) wait(timer *time.Timer) error {
	stop := d.ctx.Done()
	for {
		select {
		case err := <-d.answers:
			d.reading = false
			return err
		case <-stop:
			stop = nil
			timer.Reset(grace)
		case <-timer.C:
			return d.errorf(wire.Timeout, "the kernel has not answered")
		}
	}
}

// run makes readings until the device is closed.
func (d *Dev) run() {
	for range d.asks {
		<-d.free
		err := d.read()
		if faultOf(err) == wire.Absent { // or it is there with another number
			if err = d.locate(); err == nil {
				err = d.read()
			}
		}
		d.free <- struct{}{}
		d.answers <- err
	}
	close(d.answers)
}

// read reads all quantities, unless they may be those of the reading before.
func (d *Dev) read() (err error) {
	if err := d.fresh(); err != nil {
		return err
	}
	for i, q := range d.kind.Quantities {
		if d.values[i], err = d.quantity(q); err != nil {
			return d.failed(q, err)
		}
	}
	return nil
}

// failed is the error of a quantity's file, or of what is in it.
func (d *Dev) failed(q wire.Quantity, err error) error {
	for _, m := range faults {
		if errors.Is(err, m.err) {
			if m.means != "" {
				err = fmt.Errorf("%w (%s)", err, m.means)
			}
			return d.errorf(m.fault, "%s: %w", q.Name, err)
		}
	}
	return fmt.Errorf("%s: %s: %w", d.title, q.Name, err)
}

// quantity reads a quantity, in our unit.
func (d *Dev) quantity(q wire.Quantity) (v float64, err error) {
	switch d.kind.Class {
	case W1:
		return d.w1()
	case Hwmon:
		v, err = d.number(path.Join(d.device.Dir, hwmonChannels[q.Name]+"_input"))
		v /= 1000
	case IIO:
		c := iioChannels[q.Name]
		v, err = d.iio(path.Join(d.device.Dir, c.name))
		if !inPercent(d.device.Name, q, v) {
			v *= c.unit
		}
	}
	if q.Name == wire.Humidity.Name {
		v = limited(v)
	}
	return v, err
}

// w1 reads a DS18B20. The file w1_slave is read first, because it says why a reading failed.
func (d *Dev) w1() (float64, error) {
	b, err := fs.ReadFile(d.tree, path.Join(d.device.Dir, "w1_slave"))
	if err == nil {
		return parseW1(b)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return 0, err
	}
	if b, err = fs.ReadFile(d.tree, path.Join(d.device.Dir, "temperature")); err != nil {
		return 0, err
	}
	return parseW1Temperature(b)
}

// iio reads a channel: what its driver has computed, or else the raw value.
func (d *Dev) iio(channel string) (float64, error) {
	v, err := d.number(channel + "_input")
	if !errors.Is(err, fs.ErrNotExist) {
		return v, err
	}
	raw, err := d.number(channel + "_raw")
	if err != nil {
		return 0, err
	}
	offset, err := d.optional(channel+"_offset", 0)
	if err != nil {
		return 0, err
	}
	scale, err := d.optional(channel+"_scale", 1)
	return processed(raw, offset, scale), err
}

func (d *Dev) number(name string) (float64, error) {
	b, err := fs.ReadFile(d.tree, name)
	if err != nil {
		return 0, err
	}
	return parseNumber(b)
}

// optional is v where there is no such file.
func (d *Dev) optional(name string, v float64) (float64, error) {
	n, err := d.number(name)
	if errors.Is(err, fs.ErrNotExist) {
		return v, nil
	}
	return n, err
}

// errorf returns an error that begins with the device and carries a fault.
func (s *Source) errorf(f wire.Fault, format string, args ...any) error {
	return fmt.Errorf("%s: %w: %w", s.title, fmt.Errorf(format, args...), f)
}

// Halt ends the use of the device. It waits for the goroutine, unless that is held in the
// kernel: then it ends with its reading.
func (d *Dev) Halt() error {
	close(d.asks)
	if !d.reading {
		<-d.answers // closed
	}
	return nil
}

// String returns what it is: "ds18b20 28-0123456789ab", "hwmon sht3x".
func (d *Dev) String() string { return d.title }
