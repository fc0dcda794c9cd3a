// Package meaning says what the bytes mean that chips answer with: status bits, raw
// words, checksums, trimming values.
//
// It refuses to know how they were read, and to compute what was measured: the drivers
// do.
package meaning

import (
	"encoding/binary"
	"fmt"
	"strings"

	"sensorgateway/sensors/identify"
)

// Of says what was read after w, as the chip's datasheet has it; "" if there is
// nothing to say.
func Of(chip string, w, r []byte) string {
	if explain := meanings[chip]; explain != nil {
		return explain(w, r)
	}
	return ""
}

var meanings = map[string]func(w, r []byte) string{
	"sht3x": sensirion, "sht4x": sensirion, "shtc3": sensirion, "hdc302x": sensirion, "scd4x": sensirion,
	"bme280": bosch280, "bmp280": bosch280,
	"aht20": aosong, "aht10": aosong,
	"si7021": si7021, "htu21d": si7021, "sht2x": si7021,
	"hdc1080": hdc1080, "mcp9808": registers(mcp9808), "tmp117": registers(tmp117),
	"bme680": bosch680, "am2320": am2320,
}

// bit is a bit of a status register, and what it says when it is set.
type bit struct {
	mask uint16
	says string
}

// sht3xStatus is the status register of an SHT3x (datasheet SHT3x-DIS, table 18).
var sht3xStatus = []bit{
	{1 << 15, "an alert is pending"}, {1 << 13, "heater on"}, {1 << 11, "humidity alert"}, {1 << 10, "temperature alert"},
	{1 << 4, "was reset"}, {1 << 1, "the last command was refused"}, {1 << 0, "the last write had a wrong checksum"},
}

func bits(v uint16, table []bit) string {
	var set []string
	for _, b := range table {
		if v&b.mask != 0 {
			set = append(set, b.says)
		}
	}
	if len(set) == 0 {
		return "nothing to report"
	}
	return strings.Join(set, ", ")
}

// sensirion checks words that each have a checksum.
func sensirion(w, r []byte) string {
	if len(r) == 0 || len(r)%3 != 0 {
		return ""
	}
	var words []string
	for i := 0; i < len(r); i += 3 {
		verdict := "CRC right"
		if want := identify.CRC8(r[i : i+2]); want != r[i+2] {
			verdict = fmt.Sprintf("CRC wrong, it would be %02x", want)
		}
		words = append(words, fmt.Sprintf("%x %s", r[i:i+2], verdict))
	}
	text := strings.Join(words, ", ")
	if string(w) == "\xF3\x2D" {
		text += ": status, " + bits(binary.BigEndian.Uint16(r), sht3xStatus)
	}
	return text
}

// bosch280 names registers (datasheet BST-BME280-DS002, section 5.3 and table 16).
func bosch280(w, r []byte) string {
	if len(w) == 0 || len(r) == 0 {
		return ""
	}
	switch {
	case w[0] == 0xD0:
		return fmt.Sprintf("chip id 0x%02x", r[0])
	case w[0] == 0xF2 && len(r) >= 3:
		text := fmt.Sprintf("ctrl_hum 0x%02x, ctrl_meas 0x%02x", r[0], r[2])
		if len(r) > 3 { // of a BMP280
			text += fmt.Sprintf(", config 0x%02x", r[3])
		}
		return text
	case w[0] == 0xF5:
		return fmt.Sprintf("config 0x%02x", r[0])
	case w[0] == 0xF3:
		return "status, " + bits(uint16(r[0]), []bit{{1 << 3, "measuring"}, {1 << 0, "copying its trimming values"}})
	case w[0] == 0x88 && len(r) >= 6:
		return fmt.Sprintf("trimming T1 %d, T2 %d, T3 %d", binary.LittleEndian.Uint16(r), int16(binary.LittleEndian.Uint16(r[2:])), int16(binary.LittleEndian.Uint16(r[4:])))
	case w[0] == 0xE1 && len(r) >= 7:
		h4, h5 := int16(int8(r[3]))<<4|int16(r[4]&0xF), int16(int8(r[5]))<<4|int16(r[4]>>4)
		return fmt.Sprintf("trimming H2 %d, H3 %d, H4 %d, H5 %d, H6 %d", int16(binary.LittleEndian.Uint16(r)), r[2], h4, h5, int8(r[6]))
	case w[0] == 0xF7 && len(r) >= 6:
		text := fmt.Sprintf("raw pressure %d, temperature %d", word20(r), word20(r[3:]))
		if len(r) >= 8 { // a BME280
			text += fmt.Sprintf(", humidity %d", binary.BigEndian.Uint16(r[6:]))
		}
		return text
	}
	return ""
}

// aosong explains the status byte (datasheet AHT20, table 10) and the raw values.
func aosong(_, r []byte) string {
	if len(r) == 0 {
		return ""
	}
	state := []string{"free", "not calibrated"}
	if r[0]&(1<<7) != 0 {
		state[0] = "busy"
	}
	if r[0]&(1<<3) != 0 {
		state[1] = "calibrated"
	}
	text := "status " + strings.Join(state, ", ")
	if len(r) >= 6 {
		text += fmt.Sprintf("; raw humidity %d, temperature %d", uint32(r[1])<<12|uint32(r[2])<<4|uint32(r[3])>>4,
			uint32(r[3]&0xF)<<16|uint32(r[4])<<8|uint32(r[5]))
	}
	if len(r) == 7 {
		if identify.CRC8(r[:6]) == r[6] {
			text += "; CRC right"
		} else {
			text += fmt.Sprintf("; CRC wrong, it would be %02x", identify.CRC8(r[:6]))
		}
	}
	return text
}
