// Package scd4x drives Sensirion's SCD40 and SCD41, which measure carbon dioxide,
// temperature and relative humidity, over I²C. It refuses to know when to measure and
// what becomes of the values.
//
// Sections are those of Sensirion's datasheet SCD4x, version 1.4.
package scd4x

import (
	"time"

	"periph.io/x/conn/v3/i2c"

	"sensorgateway/sensors/internal/device"
	"sensorgateway/wire"
)

// The commands: two bytes, high one first (section 3.5).
const (
	cmdStart = 0x21B1 // measures every 5 s
	cmdStop  = 0x3F86
	cmdReady = 0xE4B8 // may be asked at any time
	cmdRead  = 0xEC05

	notReady   = 0x07FF // in the answer to cmdReady these bits are all zero
	answerTime = time.Millisecond
	stopTime   = 500 * time.Millisecond // section 3.5.3: until then it takes no other command
	period     = 5 * time.Second
)

// Dev is a chip. One goroutine uses it.
type Dev struct {
	*device.Dev
	last  [3]float32
	at    time.Time // when the chip said that it has it; zero: not yet
	ready time.Time // when it last said that it has one; zero: not yet
	lost  error     // why that could not be read; nil: it is last
}

// NewI2C finds the chip at addr (0x62) of b and has it measure, if it does not already. One that
// measures is not stopped, for it has something sooner; if it measures every 30 s only, Sense
// starts it anew, unless it is called so seldom that it finds something new each time.
func NewI2C(b i2c.Bus, addr uint16) (*Dev, error) {
	d, err := device.New(b, "scd4x", addr, 0x62)
	if err != nil {
		return nil, err
	}
	if _, err := d.Ask(3, answerTime, cmdReady>>8, cmdReady&0xFF); err != nil {
		return nil, err
	}
	if err := d.Command(cmdStart); err != nil && wire.FaultOf(err) != wire.NoAck { // a chip that measures already does not acknowledge this
		return nil, err
	}
	return &Dev{Dev: d}, nil
}

// Sense sets values to the temperature in °C, the relative humidity in % and the
// carbon dioxide in ppm, as the chip measured them last: its period is 5 s by its own
// clock, so that these may be up to 10 s old; up to 30 s if another program left it measuring
// every 30 s, and Sense is called no more often than that. It takes 2 ms, 10 at most, plus its
// transfers; the bus is free meanwhile. An error carries [wire.WarmingUp] if it has
// nothing so new, within 5 s of its start or after a reset: then construct it anew. If it had
// something before, Sense has started it anew, which takes half a second. If what it has was
// lost on the bus, the error is that of the transfer, until it has something new.
func (d *Dev) Sense(values []float32) error {
	r, err := d.Ask(3, answerTime, cmdReady>>8, cmdReady&0xFF)
	if err != nil {
		return err
	}
	now := time.Now()
	if device.Word(r)&notReady == 0 {
		switch {
		case d.ready.IsZero():
			return d.Errorf(wire.WarmingUp, "has nothing measured yet")
		case now.Sub(d.ready) > 2*period:
			return d.restart()
		case now.Sub(d.at) > 2*period: // a measurement can be read once
			return d.lost
		}
		copy(values, d.last[:])
		return nil
	}
	d.ready = now
	if r, d.lost = d.Ask(9, answerTime, cmdRead>>8, cmdRead&0xFF); d.lost != nil {
		return d.lost
	}
	d.at = now
	d.last[0] = float32(-45 + 175*float64(device.Word(r[3:]))/65535) // section 3.6.2
	d.last[1] = float32(100 * float64(device.Word(r[6:])) / 65535)
	d.last[2] = float32(device.Word(r))
	copy(values, d.last[:])
	return nil
}

// restart has a chip measure every 5 s that does not: another program has started it in
// its mode of 30 s, or stopped it, or it was without power. While it measures it takes a start
// only after a stop (section 3.4).
func (d *Dev) restart() error {
	d.ready = time.Time{}
	if err := d.Command(cmdStop); err != nil {
		return err
	}
	d.Wait(stopTime)
	if err := d.Command(cmdStart); err != nil {
		return err
	}
	return d.Errorf(wire.WarmingUp, "has measured nothing for 10 s, and was started anew")
}

// Halt leaves the chip measuring: it takes half a second to stop it, and without it
// the next start has a reading at once.
func (d *Dev) Halt() error { return nil }
