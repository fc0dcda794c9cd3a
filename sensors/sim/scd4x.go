package sim

import (
	"encoding/binary"
	"math/rand/v2"
	"time"
)

// Sensirion SCD40 and SCD41 (datasheet SCD4x, version 1.4, section 3.5): they measure
// every 5 or every 30 s, and take few commands meanwhile.

const (
	scdStart    = 0x21B1
	scdLowPower = 0x21AC
	scdStop     = 0x3F86
	scdReady    = 0xE4B8
	scdRead     = 0xEC05
	scdSerial   = 0x3682

	scdPeriod         = 5 * time.Second
	scdLowPowerPeriod = 30 * time.Second
	scdStartUp        = time.Second
	scdStopped        = 500 * time.Millisecond
)

// scd4x is an emulated chip.
type scd4x struct {
	probe  *probe
	serial uint32
	awake  time.Time
	period time.Duration
	ready  time.Time // when the next measurement is; zero: it does not measure
	fresh  bool      // the one before has not been read
	air    Air
	buf    [9]byte
	out    []byte
	data   bool // out is a measurement
}

func (c *scd4x) powerOn(now time.Time) {
	*c = scd4x{probe: c.probe, serial: c.serial, awake: now.Add(scdStartUp)}
}

func (c *scd4x) write(now time.Time, b []byte) bool {
	if now.Before(c.awake) {
		return false
	}
	if len(b) == 0 { // only its address: a scan of the bus
		return true
	}
	if len(b) < 2 {
		return false
	}
	c.update(now)
	measuring := !c.ready.IsZero()
	c.out, c.data = nil, false
	switch cmd := binary.BigEndian.Uint16(b); {
	case cmd == scdReady:
		word := uint16(0x8000)
		if c.fresh {
			word |= 0x0006
		}
		c.out = checked(c.buf[:0], word)
	case cmd == scdRead && c.fresh:
		c.fresh, c.data = false, true
		c.out = checked(c.buf[:0], uint16(c.air.CO2+0.5), uint16(code((c.air.Temperature+45)/175, 0xFFFF)), uint16(code(c.air.Humidity/100, 0xFFFF)))
	case cmd == scdStop:
		c.ready, c.fresh, c.awake = time.Time{}, false, now.Add(scdStopped)
	case measuring:
		return false
	case cmd == scdStart:
		c.period, c.ready = scdPeriod, now.Add(scdPeriod)
	case cmd == scdLowPower:
		c.period, c.ready = scdLowPowerPeriod, now.Add(scdLowPowerPeriod)
	case cmd == scdSerial:
		c.out = checked(c.buf[:0], uint16(c.serial>>16), uint16(c.serial), 0xBEEF)
	default:
		return false
	}
	return true
}

func (c *scd4x) read(now time.Time, b []byte) reply {
	if now.Before(c.awake) || c.out == nil {
		return reply{}
	}
	copyPadded(b, c.out)
	c.out = nil
	return reply{ack: true, data: c.data}
}

// update makes the measurements that are due.
func (c *scd4x) update(now time.Time) {
	if c.ready.IsZero() || now.Before(c.ready) {
		return
	}
	at := c.ready.Add(now.Sub(c.ready).Truncate(c.period))
	c.ready, c.fresh = at.Add(c.period), true
	c.air = c.probe.sample(now, at, Air{Temperature: 0.03, Humidity: 0.1, CO2: 3})
}

func (c *scd4x) corrupt(b []byte, chance *rand.Rand) { flipBit(b[:min(len(b), 9)], chance) }
