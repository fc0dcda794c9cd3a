package sht3x

import (
	"fmt"

	"periph.io/x/conn/v3/physic"

	"sensorgateway/sensors/internal/device"
	"sensorgateway/wire"
)

// decode takes a measurement apart: temperature and humidity, two bytes and a
// checksum each (section 4.4).
func decode(b *[6]byte) (physic.Temperature, physic.RelativeHumidity, error) {
	t, err := word(b[:3])
	if err != nil {
		return 0, 0, fmt.Errorf("temperature: %w", err)
	}
	h, err := word(b[3:])
	if err != nil {
		return 0, 0, fmt.Errorf("humidity: %w", err)
	}
	return temperature(t), humidity(h), nil
}

// word checks and returns one word; b is its two bytes and their checksum.
func word(b []byte) (uint16, error) {
	if want := crc8(b[:2]); b[2] != want {
		return 0, fmt.Errorf("%02X%02X came with CRC %02X, not %02X: %w", b[0], b[1], b[2], want, wire.Checksum)
	}
	return uint16(b[0])<<8 | uint16(b[1]), nil
}

// crc8 is the checksum of one word (section 4.12). Words that are all zeros or
// all ones, as a dead bus gives them, do not have themselves as checksum.
func crc8(word []byte) byte { return device.CRC8(0xFF, word) }

// temperature is −45 °C + 175 K · raw/65535 (section 4.13), to the nearest nanokelvin.
func temperature(raw uint16) physic.Temperature {
	return physic.ZeroCelsius - 45*physic.Celsius + (physic.Temperature(raw)*175*physic.Kelvin+65535/2)/65535
}

// humidity is 100 % · raw/65535 (section 4.13), to the nearest 0.00001 %.
func humidity(raw uint16) physic.RelativeHumidity {
	return physic.RelativeHumidity((int64(raw)*int64(100*physic.PercentRH) + 65535/2) / 65535)
}
