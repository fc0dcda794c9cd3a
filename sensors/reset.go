package sensors

import (
	"time"

	"periph.io/x/conn/v3/i2c"

	"sensorgateway/wire"
)

// softReset brings a chip that hangs into the state that it has after power-up.
type softReset struct {
	writes [][]byte
	takes  time.Duration // after each of them, until the chip takes the next
}

// softResets has the resets of those chips that are not reset whenever they are opened. An
// MCP9808 and an AM2320 have none. An SCD4x, which takes 5 s to its first measurement, would
// not get there if it were reset at each opening; its driver starts it anew.
func softResets() map[string]softReset {
	const ms = time.Millisecond
	bosch := softReset{[][]byte{{0xE0, 0xB6}}, 5 * ms}
	return map[string]softReset{
		// Datasheet SHT3x-DIS, section 4.9.
		"sht3x": {[][]byte{{0x30, 0xA2}}, 2 * ms},
		// Datasheet SHT4x, version 6, tables 5 and 8.
		"sht4x": {[][]byte{{0x94}}, 2 * ms},
		// Datasheet SHTC3, version 3, tables 5 and 11: it does not listen while it sleeps.
		"shtc3": {[][]byte{{0x35, 0x17}, {0x80, 0x5D}}, 1 * ms},
		// Datasheet SNAS778, section 7.5.
		"hdc302x": {[][]byte{{0x30, 0xA2}}, 5 * ms},
		// Datasheet BST-BME280-DS002, sections 5.4.2 and 1.1.
		"bme280": bosch, "bmp280": bosch,
		// Datasheet BST-BME680-DS001, section 5.3.1.
		"bme680": bosch,
		// Datasheet SNAS672, sections 7.3 and 8.6.3: bit 15.
		"hdc1080": {[][]byte{{0x02, 0x80, 0x00}}, 15 * ms},
		// Datasheet SNOSD82, section 7.6.3: bit 1.
		"tmp117": {[][]byte{{0x01, 0x00, 0x02}}, 2 * ms},
	}
}

func (r softReset) on(b i2c.Bus, addr uint16) error {
	for _, w := range r.writes {
		if err := b.Tx(addr, w, nil); err != nil {
			return err
		}
		time.Sleep(r.takes)
	}
	return nil
}

// hangs reports whether a reset of the chip may end a fault that lasts: with these faults the
// chip acknowledges, or did so before it stopped the bus.
func hangs(f wire.Fault) bool {
	switch f {
	case wire.Checksum, wire.Timeout, wire.WarmingUp, wire.Implausible:
		return true
	}
	return false
}

// reset resets the chip before it is opened again, if that may help.
func (p *probe) reset() {
	if !p.hung || p.cfg.Chip.Reset == nil {
		return
	}
	err := p.cfg.Chip.Reset(p.cfg.Bus, p.cfg.Address)
	switch {
	case p.isReset: // it was reset before, and that was logged
	case err != nil:
		p.log.Info("chip that hangs could not be reset", "sensor", p.cfg.Name, "err", err)
	default:
		p.log.Info("chip that hangs was reset", "sensor", p.cfg.Name)
	}
	p.resets.Add(1)
	p.isReset = true
}

// measured notes that the chip has measured.
func (p *probe) measured() {
	if p.isReset {
		p.resetsHelped.Add(1)
		p.log.Info("chip measures again since it was reset", "sensor", p.cfg.Name)
	}
	p.hung, p.isReset = false, false
}

// Resets calls f for each chip that can be reset, with the name of its sensor, how often it
// was reset because it hung, and how often it measured after that.
func (s *Sampler) Resets(f func(sensor string, taken, helped int64)) {
	for _, sl := range s.slots {
		if sl.cfg.Chip.Reset != nil {
			f(sl.cfg.Name, sl.resets.Load(), sl.resetsHelped.Load())
		}
	}
}
