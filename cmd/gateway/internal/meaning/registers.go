package meaning

import (
	"encoding/binary"
	"fmt"

	"sensorgateway/sensors/identify"
)

// registers explains what is read of registers with 16 bits, by their numbers.
func registers(words map[byte]func(v uint16) string) func(w, r []byte) string {
	return func(w, r []byte) string {
		if len(w) != 1 || len(r) != 2 || words[w[0]] == nil {
			return ""
		}
		return words[w[0]](binary.BigEndian.Uint16(r))
	}
}

// says explains a register by one verb.
func says(format string) func(uint16) string {
	return func(v uint16) string { return fmt.Sprintf(format, v) }
}

// mcp9808 has its registers in the datasheet DS25095, section 5.1.
var mcp9808 = map[byte]func(uint16) string{
	0x01: func(v uint16) string {
		return "configuration, " + bits(v, []bit{{1 << 8, "shut down"}, {1 << 4, "an alert is pending"}})
	},
	0x05: func(v uint16) string {
		return fmt.Sprintf("raw temperature %d; limits: %s", int16(v<<3)>>3, bits(v, []bit{{1 << 15, "critical"}, {1 << 14, "above"}, {1 << 13, "below"}}))
	},
	0x06: says("maker's id 0x%04x"),
	0x07: says("device and revision 0x%04x"),
}

// tmp117 has its registers in the datasheet SNOSD82, section 7.6.1.
var tmp117 = map[byte]func(uint16) string{
	0x00: func(v uint16) string { return fmt.Sprintf("raw temperature %d", int16(v)) },
	0x01: func(v uint16) string {
		return "configuration, " + bits(v, []bit{
			{1 << 15, "alert: high"}, {1 << 14, "alert: low"}, {1 << 13, "has measured"}, {1 << 12, "EEPROM busy"}, {1 << 10, "shut down"},
		})
	},
	0x0F: func(v uint16) string { return fmt.Sprintf("id 0x%03x, revision %d", v&0xFFF, v>>12) },
}

// hdc1080 explains ids and raw values (datasheet SNAS672, section 8.6).
func hdc1080(w, r []byte) string {
	switch {
	case len(w) == 0 && len(r) == 4:
		return fmt.Sprintf("raw temperature %d, humidity %d", binary.BigEndian.Uint16(r), binary.BigEndian.Uint16(r[2:]))
	case len(w) == 1 && len(r) == 2 && w[0] == 0xFE:
		return fmt.Sprintf("maker's id 0x%x", r)
	case len(w) == 1 && len(r) == 2 && w[0] == 0xFF:
		return fmt.Sprintf("device id 0x%x", r)
	}
	return ""
}

// si7021 explains what the Si7021, the HTU21D and the SHT2x say (datasheets Si7021-A20,
// section 6.1; SHT21, table 8).
func si7021(w, r []byte) string {
	switch {
	case len(w) == 1 && w[0] == 0xE7 && len(r) == 1:
		return "user register, " + bits(uint16(r[0]), []bit{{1 << 6, "the supply is low"}, {1 << 2, "heater on"}})
	case len(w) > 0:
		return ""
	case len(r) == 1:
		return fmt.Sprintf("chip id 0x%02x", r[0])
	case len(r) == 3:
		what, verdict := "temperature", "CRC right"
		if r[1]&(1<<1) != 0 {
			what = "humidity"
		}
		if want := identify.CRC8From(0, r[:2]); want != r[2] {
			verdict = fmt.Sprintf("CRC wrong, it would be %02x", want)
		}
		return fmt.Sprintf("%x %s, raw %s %d", r[:2], verdict, what, binary.BigEndian.Uint16(r)&^3)
	}
	return ""
}

// bosch680 names registers (datasheet BST-BME680-DS001, section 5.3 and tables 12 to 14).
func bosch680(w, r []byte) string {
	if len(w) != 1 {
		return ""
	}
	switch {
	case w[0] == 0xD0 && len(r) == 1:
		return fmt.Sprintf("chip id 0x%02x", r[0])
	case w[0] == 0x8A && len(r) >= 6:
		return fmt.Sprintf("trimming T2 %d, T3 %d, P1 %d", int16(binary.LittleEndian.Uint16(r)), int8(r[2]), binary.LittleEndian.Uint16(r[4:]))
	case w[0] == 0xE1 && len(r) >= 10:
		return fmt.Sprintf("trimming T1 %d, H1 %d, H2 %d", binary.LittleEndian.Uint16(r[8:]), uint16(r[2])<<4|uint16(r[1])&0xF, uint16(r[0])<<4|uint16(r[1])>>4)
	case w[0] == 0x1D && len(r) >= 10:
		return fmt.Sprintf("status, %s; raw pressure %d, temperature %d, humidity %d",
			bits(uint16(r[0]), []bit{{1 << 7, "has measured"}, {1 << 6, "measuring gas"}, {1 << 5, "measuring"}}),
			word20(r[2:]), word20(r[5:]), binary.BigEndian.Uint16(r[8:]))
	}
	return ""
}

// am2320 explains the answer to a question for registers (datasheet AM2320, section 8.2).
func am2320(_, r []byte) string {
	if len(r) != 8 {
		return ""
	}
	t, sign := binary.BigEndian.Uint16(r[4:]), ""
	if t>>15 != 0 { // the top bit is the sign: no two's complement
		sign = "-"
	}
	return fmt.Sprintf("function %d, %d bytes; raw humidity %d, temperature %s%d", r[0], r[1], binary.BigEndian.Uint16(r[2:]), sign, t&0x7FFF)
}

// word20 is a raw value of Bosch's chips.
func word20(b []byte) uint32 { return uint32(b[0])<<12 | uint32(b[1])<<4 | uint32(b[2])>>4 }
