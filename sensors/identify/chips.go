package identify

import (
	"bytes"
	"fmt"
	"time"
)

// asks are the questions of each address.
var asks = map[uint16]func(*prober) (Answer, bool){
	0x18: mcp9808, 0x19: mcp9808, 0x1A: mcp9808, 0x1B: mcp9808, 0x1C: mcp9808, 0x1D: mcp9808, 0x1E: mcp9808, 0x1F: mcp9808,
	0x38: aht, 0x39: aht,
	0x40: at40, 0x41: at40, 0x42: at40, 0x43: at40,
	0x44: at44, 0x45: at44, 0x46: at44, 0x47: at44,
	0x48: tmp117, 0x49: tmp117, 0x4A: tmp117, 0x4B: tmp117,
	0x5C: am2320, 0x62: scd4x, 0x70: at70, 0x76: bosch, 0x77: bosch,
}

// at44 is for 0x44 to 0x47: SHT3x, SHT4x, HDC302x, and an INA219 or OPT3001. No
// first byte is one of an SHT4x's heater commands (0x39, 0x32, 0x2F, 0x24, 0x1E,
// 0x15; datasheet SHT4x, table 8).
func at44(p *prober) (Answer, bool) {
	if id, ok := p.sensirion(0x3781); ok && id == 0x3000 { // datasheet HDC3020, section 8.5.7
		return Answer{Model: "HDC302x", Chip: "hdc302x", Seen: "maker's id 0x3000"}, true
	}
	if status, ok := p.sensirion(0xF32D); ok {
		return Answer{Model: "SHT3x", Chip: "sht3x", Seen: fmt.Sprintf("status %04x, with the right CRC", status)}, true
	}
	if p.send(0x89) { // the serial number of an SHT4x
		time.Sleep(time.Millisecond)
		if r, ok := p.get(nil, 6); ok && CRC8(r[:2]) == r[2] && CRC8(r[3:5]) == r[5] {
			return Answer{Model: "SHT4x", Chip: "sht4x", Seen: fmt.Sprintf("serial number %x%x", r[:2], r[3:5])}, true
		}
	}
	if id, ok := p.word(0x7E); ok && id == 0x5449 {
		return Answer{Model: "OPT3001", Seen: "maker's id 0x5449"}, true
	}
	return ina219(p)
}

// ina219 recognises a current monitor by its configuration after power-on.
func ina219(p *prober) (Answer, bool) {
	if config, ok := p.word(0x00); ok && config == 0x399F {
		return Answer{Model: "INA219", Seen: "configuration 0x399f"}, true
	}
	return Answer{}, false
}

// at40 is for 0x40 to 0x43: HDC1080 and HDC20x0, Si70xx, HTU21D, SHT2x, INA219.
// 0xFE is the soft reset of a Si7021 and an HTU21D, which loses nothing but time.
func at40(p *prober) (Answer, bool) {
	maker, ok := p.word(0xFE)
	if ok && maker == 0x5449 {
		switch device, _ := p.word(0xFF); device {
		case 0x1050:
			return Answer{Model: "HDC1080", Chip: "hdc1080", Seen: "ids 0x5449 0x1050"}, true
		case 0x1000:
			return Answer{Model: "HDC1000", Chip: "hdc1080", Seen: "ids 0x5449 0x1000"}, true
		default:
			return Answer{Model: "Texas Instruments", Seen: fmt.Sprintf("ids 0x5449 0x%04x", device)}, true
		}
	}
	if r, ok := p.get([]byte{0xFC}, 4); ok && bytes.Equal(r, []byte{0x49, 0x54, 0xD0, 0x07}) {
		return Answer{Model: "HDC2010 or HDC2080", Seen: "ids 0x5449 0x07d0"}, true
	}
	time.Sleep(15 * time.Millisecond)
	if p.send(0xFC, 0xC9) {
		if r, ok := p.get(nil, 6); ok {
			switch r[0] {
			case 0x15, 0x14, 0x0D:
				return Answer{Model: fmt.Sprintf("Si70%d", map[byte]int{0x15: 21, 0x14: 20, 0x0D: 13}[r[0]]), Chip: "si7021", Seen: fmt.Sprintf("id 0x%02x", r[0])}, true
			case 0x32:
				return Answer{Model: "HTU21D", Chip: "htu21d", Seen: "id 0x32"}, true
			}
		}
	}
	if a, ok := ina219(p); ok {
		return a, true
	}
	if r, ok := p.get([]byte{0xE7}, 1); ok && r[0]&0x3A == 0x02 || ok && r[0] == 0x3A { // the user register after a reset, OTP off
		return Answer{Model: "SHT2x", Chip: "sht2x", Seen: fmt.Sprintf("user register 0x%02x", r[0])}, true
	}
	return Answer{}, false
}

// aht is for 0x38 and 0x39: AHT20 and AHT10. It first reads only: a PCF8574A, at the
// same address, takes whatever is written for its outputs, and reads as the same byte
// again and again.
func aht(p *prober) (Answer, bool) {
	const (
		busy, calibrated = 1 << 7, 1 << 3
		noCRC            = 0xFF // what is read behind the last byte; one CRC in 256 is the same
		measurements     = 3
	)
	r, ok := p.get(nil, 7)
	if !ok || same(r) {
		return Answer{}, false
	}
	if r[0]&calibrated == 0 && !bytes.Equal(r[1:6], make([]byte, 5)) { // nor is it one that was only just switched on
		return Answer{}, false
	}
	right := func() bool { return CRC8(r[:6]) == r[6] && r[6] != noCRC }
	for n := 0; !right() && r[0]&busy == 0 && n < measurements; n++ {
		if !p.send(0xAC, 0x33, 0x00) {
			return Answer{}, false
		}
		time.Sleep(85 * time.Millisecond) // datasheet AHT20, section 5.4
		if r, ok = p.get(nil, 7); !ok {
			return Answer{}, false
		}
	}
	switch {
	case right():
		return Answer{Model: "AHT20", Chip: "aht20", Seen: fmt.Sprintf("status 0x%02x, with the right CRC", r[0])}, true
	case r[6] == noCRC:
		return Answer{Model: "AHT10", Chip: "aht10", Seen: fmt.Sprintf("status 0x%02x, no CRC", r[0])}, true
	}
	return Answer{}, false
}

// same returns whether all bytes are alike.
func same(b []byte) bool { return bytes.Count(b, b[:1]) == len(b) }

// at70 is for 0x70, where nobody answers a plain read: an SHTC3 sleeps.
func at70(p *prober) (Answer, bool) {
	if !p.send(0x35, 0x17) { // wake up
		return Answer{}, false
	}
	time.Sleep(300 * time.Microsecond) // datasheet SHTC3, table 5: 240 µs
	id, ok := p.sensirion(0xEFC8)
	p.send(0xB0, 0x98) // and sleep again
	if !ok || id&0x3F != 0x07 {
		return Answer{}, false
	}
	if id&0x0800 != 0 {
		return Answer{Model: "SHTC3", Chip: "shtc3", Seen: fmt.Sprintf("id 0x%04x", id)}, true
	}
	return Answer{Model: "SHTC1", Chip: "shtc1", Seen: fmt.Sprintf("id 0x%04x", id)}, true
}

// bosch is for 0x76 and 0x77, where registers say who it is.
func bosch(p *prober) (Answer, bool) {
	if r, ok := p.get([]byte{0xD0}, 1); ok {
		seen := fmt.Sprintf("id 0x%02x", r[0])
		switch r[0] {
		case 0x60:
			return Answer{Model: "BME280", Chip: "bme280", Seen: seen}, true
		case 0x58, 0x57, 0x56:
			return Answer{Model: "BMP280", Chip: "bmp280", Seen: seen}, true
		case 0x61:
			return Answer{Model: "BME680 or BME688", Chip: "bme680", Seen: seen}, true
		case 0x55:
			return Answer{Model: "BMP180", Seen: seen}, true
		}
	}
	if r, ok := p.get([]byte{0x00}, 1); ok {
		seen := fmt.Sprintf("id 0x%02x in register 0x00", r[0])
		switch r[0] {
		case 0x50:
			return Answer{Model: "BMP388", Seen: seen}, true
		case 0x60:
			return Answer{Model: "BMP390", Seen: seen}, true
		}
	}
	return Answer{}, false
}

func mcp9808(p *prober) (Answer, bool) {
	maker, ok := p.word(0x06)
	if !ok || maker != 0x0054 {
		return Answer{}, false
	}
	device, ok := p.word(0x07)
	if !ok || device>>8 != 0x04 {
		return Answer{}, false
	}
	return Answer{Model: "MCP9808", Chip: "mcp9808", Seen: fmt.Sprintf("ids 0x0054 0x%04x", device)}, true
}

func tmp117(p *prober) (Answer, bool) {
	if id, ok := p.word(0x0F); ok && id&0x0FFF == 0x0117 {
		return Answer{Model: "TMP117", Chip: "tmp117", Seen: fmt.Sprintf("id 0x%04x", id)}, true
	}
	return Answer{}, false
}

// scd4x may be asked in any mode whether it has data.
func scd4x(p *prober) (Answer, bool) {
	if ready, ok := p.sensirion(0xE4B8); ok {
		return Answer{Model: "SCD40 or SCD41", Chip: "scd4x", Seen: fmt.Sprintf("data ready %04x, with the right CRC", ready)}, true
	}
	return Answer{}, false
}

// am2320 sleeps, and the first transfer only wakes it; a BH1750 or a DHT12 answers
// that one.
func am2320(p *prober) (Answer, bool) {
	if _, ok := p.get(nil, 1); ok {
		return Answer{}, false
	}
	time.Sleep(time.Millisecond)
	if !p.send(0x03, 0x00, 0x04) { // read 4 registers from 0 on
		return Answer{}, false
	}
	time.Sleep(2 * time.Millisecond)
	if r, ok := p.get(nil, 8); ok && r[0] == 0x03 && r[1] == 0x04 {
		return Answer{Model: "AM2320", Chip: "am2320", Seen: fmt.Sprintf("read % x", r)}, true
	}
	return Answer{}, false
}
