package identify

import (
	"encoding/hex"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"periph.io/x/conn/v3/i2c"
	"periph.io/x/conn/v3/physic"

	"sensorgateway/sensors"
	"sensorgateway/sensors/sim"
	"sensorgateway/wire"
)

// chip answers transactions ("write/how many bytes are read", all in hexadecimal) with
// bytes. Others it does not acknowledge.
type chip struct {
	answers map[string]string
	done    []string
}

func (*chip) String() string                  { return "bus 1" }
func (*chip) SetSpeed(physic.Frequency) error { return nil }

func (c *chip) Tx(_ uint16, w, r []byte) error {
	c.done = append(c.done, fmt.Sprintf("%x/%d", w, len(r)))
	answer, ok := c.answers[fmt.Sprintf("%x/%d", w, len(r))]
	if !ok {
		return fmt.Errorf("no acknowledge: %w", wire.NoAck)
	}
	b, err := hex.DecodeString(answer)
	copy(r, b)
	return err
}

func TestAt(t *testing.T) {
	const sht4xHeater = "39 32 2f 24 1e 15"
	for _, tt := range []struct {
		name    string
		addr    uint16
		answers map[string]string
		harm    string // first bytes of writes
		want    Answer
	}{
		{"SHT4x", 0x44, map[string]string{"89/0": "", "/6": "beef92beef92"}, sht4xHeater, Answer{Model: "SHT4x", Chip: "sht4x", Seen: "serial number beefbeef"}},
		{"HDC302x", 0x45, map[string]string{"3781/3": "30003f"}, "", Answer{Model: "HDC302x", Chip: "hdc302x", Seen: "maker's id 0x3000"}},
		{"SHT3x", 0x44, map[string]string{"f32d/3": "8010e1"}, "", Answer{Model: "SHT3x", Chip: "sht3x", Seen: "status 8010, with the right CRC"}},
		{"INA219", 0x45, map[string]string{"3781/3": "399f00", "f32d/3": "399f00", "89/0": "", "/6": "399f399f399f", "7e/2": "ffff", "00/2": "399f"}, "",
			Answer{Model: "INA219", Seen: "configuration 0x399f"}},
		{"HDC1080", 0x40, map[string]string{"fe/2": "5449", "ff/2": "1050"}, "", Answer{Model: "HDC1080", Chip: "hdc1080", Seen: "ids 0x5449 0x1050"}},
		{"HDC2010", 0x41, map[string]string{"fe/2": "d007", "fc/4": "4954d007"}, "", Answer{Model: "HDC2010 or HDC2080", Seen: "ids 0x5449 0x07d0"}},
		{"Si7021", 0x40, map[string]string{"fcc9/0": "", "/6": "15ffffb5ffff"}, "", Answer{Model: "Si7021", Chip: "si7021", Seen: "id 0x15"}},
		{"HTU21D", 0x40, map[string]string{"fcc9/0": "", "/6": "32ffffb5ffff"}, "", Answer{Model: "HTU21D", Chip: "htu21d", Seen: "id 0x32"}},
		{"SHT2x", 0x40, map[string]string{"e7/1": "02"}, "", Answer{Model: "SHT2x", Chip: "sht2x", Seen: "user register 0x02"}},
		{"AHT20 that has measured", 0x38, map[string]string{"/7": "1c6d2c95d3c4" + "c8"}, "ac", Answer{Model: "AHT20", Chip: "aht20", Seen: "status 0x1c, with the right CRC"}},
		{"PCF8574A", 0x38, map[string]string{"/7": "fdfdfdfdfdfdfd", "ac3300/0": ""}, "ac", Answer{Seen: "it acknowledges, but is not one of the chips known at this address"}},
		{"SHTC3", 0x70, map[string]string{"3517/0": "", "efc8/3": "088750" + "", "b098/0": ""}, "", Answer{Model: "SHTC3", Chip: "shtc3", Seen: "id 0x0887"}},
		{"BMP280", 0x76, map[string]string{"/1": "80", "01/0": "", "d0/1": "58"}, "", Answer{Model: "BMP280", Chip: "bmp280", Seen: "id 0x58"}},
		{"BME680", 0x77, map[string]string{"/1": "80", "01/0": "", "d0/1": "61"}, "", Answer{Model: "BME680 or BME688", Chip: "bme680", Seen: "id 0x61"}},
		{"BMP390", 0x77, map[string]string{"/1": "80", "01/0": "", "d0/1": "00", "00/1": "60"}, "", Answer{Model: "BMP390", Seen: "id 0x60 in register 0x00"}},
		{"MCP9808", 0x18, map[string]string{"06/2": "0054", "07/2": "0400"}, "", Answer{Model: "MCP9808", Chip: "mcp9808", Seen: "ids 0x0054 0x0400"}},
		{"TMP117", 0x48, map[string]string{"0f/2": "0117"}, "", Answer{Model: "TMP117", Chip: "tmp117", Seen: "id 0x0117"}},
		{"SCD41", 0x62, map[string]string{"e4b8/3": "8006" + "00"}, "", Answer{Model: "SCD40 or SCD41", Chip: "scd4x", Seen: "data ready 8006, with the right CRC"}},
		{"AM2320", 0x5C, map[string]string{"030004/0": "", "/8": "0304014f00e2aabb"}, "", Answer{Model: "AM2320", Chip: "am2320", Seen: "read 03 04 01 4f 00 e2 aa bb"}},
		{"BH1750", 0x5C, map[string]string{"/1": "2a", "030004/0": ""}, "03", Answer{Seen: "it acknowledges, but is not one of the chips known at this address"}},
		{"a chip that takes no command 0x01", 0x77, map[string]string{"/1": "01"}, "", Answer{Seen: "it acknowledges, but is not one of the chips known at this address"}},
		{"EEPROM", 0x50, map[string]string{"/1": "2a"}, "", Answer{Seen: "read 2a"}},
		{"another chip", 0x76, map[string]string{"/1": "80", "01/0": "", "d0/1": "07", "00/1": "08"}, "", Answer{Seen: "it acknowledges, but is not one of the chips known at this address"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				for key, answer := range tt.answers { // the checksums
					if b, _ := hex.DecodeString(answer); len(b) == 3 && (key == "3781/3" || key == "efc8/3" || key == "e4b8/3") && answer != "399f00" {
						tt.answers[key] = fmt.Sprintf("%x%02x", b[:2], CRC8(b[:2]))
					} else if key == "/7" && strings.HasPrefix(answer, "1c") {
						tt.answers[key] = fmt.Sprintf("%x%02x", b[:6], CRC8(b[:6]))
					}
				}
				c := &chip{answers: tt.answers}
				got, err := At(c, tt.addr)
				if err != nil || got != tt.want {
					t.Errorf("%+v, %v", got, err)
				}
				for _, transaction := range c.done {
					for _, harm := range strings.Fields(tt.harm) {
						if strings.HasPrefix(transaction, harm) {
							t.Errorf("%s does harm to it", transaction)
						}
					}
				}
			})
		})
	}
}

// All chips that there are drivers for are identified, in whatever state they are, by the
// name that a configuration has for them; and they measure afterwards.
func TestEmulatedChips(t *testing.T) {
	for name, chip := range sensors.Chips() {
		if chip.Kernel != nil { // it is on no bus
			continue
		}
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := sim.NewBus("bus 1", sim.NewEnvironment(1), 1)
				addr := chip.Addresses[0]
				if err := b.Add(name, addr, sim.Indoor); err != nil {
					t.Fatal(err)
				}
				var device sensors.Sensor
				values := make([]float32, len(chip.All()))
				for range 3 {
					got, err := At(b, addr)
					if err != nil || got.Chip != name || got.Seen == "" {
						t.Errorf("%+v, %v", got, err)
					}
					time.Sleep(time.Second)
					if device == nil {
						if device, err = chip.Open(b, addr); err != nil {
							t.Fatal(err)
						}
					}
					time.Sleep(chip.MinInterval + time.Second)
					if err := device.Sense(values); err != nil {
						t.Error(err)
					}
				}
			})
		})
	}
}

// aosong is an AHT10, or an AHT20, whose first measurements have a checksum of 0xFF.
type aosong struct {
	chip
	crc, first bool
	measured   byte
}

func (c *aosong) Tx(_ uint16, w, r []byte) error {
	if len(w) > 0 {
		c.measured++
		return nil
	}
	answer := []byte{0x18, c.measured, 0, 0, 0, 0, 0xFF}
	for c.first && CRC8(answer[:6]) != 0xFF {
		answer[5]++
	}
	if c.crc {
		answer[6] = CRC8(answer[:6])
	}
	c.first = c.measured == 0
	copy(r, answer)
	return nil
}

// Bytes that look like a checksum by chance are not taken for one.
func TestChecksumByChance(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for want, c := range map[string]*aosong{"aht10": {first: true}, "aht20": {first: true, crc: true}} {
			if got, err := At(c, 0x38); err != nil || got.Chip != want {
				t.Errorf("%s: %+v, %v", want, got, err)
			}
		}
	})
}

// That nobody answers, and that the bus does not work, are different errors.
func TestNobody(t *testing.T) {
	for addr := uint16(0x08); addr <= 0x77; addr++ {
		synctest.Test(t, func(t *testing.T) {
			if a, err := At(&chip{}, addr); wire.FaultOf(err) != wire.NoAck || a != (Answer{}) {
				t.Errorf("0x%02x: %+v, %v", addr, a, err)
			}
			if a, err := At(stuck{}, addr); wire.FaultOf(err) != wire.Timeout || a != (Answer{}) {
				t.Errorf("0x%02x on a stuck bus: %+v, %v", addr, a, err)
			}
		})
	}
}

// stuck is a bus whose lines are held low.
type stuck struct{ i2c.Bus }

func (stuck) Tx(uint16, []byte, []byte) error {
	return fmt.Errorf("connection timed out: %w", wire.Timeout)
}
