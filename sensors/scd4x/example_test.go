package scd4x_test

import (
	"fmt"

	"periph.io/x/conn/v3/i2c/i2ctest"

	"sensorgateway/sensors/scd4x"
)

// The bus plays the answers of an SCD41 with the measurement of its datasheet;
// on a machine it is a bus.Bus, or any other i2c.Bus.
func Example() {
	bus := &i2ctest.Playback{DontPanic: true, Ops: []i2ctest.IO{
		{Addr: 0x62, W: []byte{0xE4, 0xB8}},                                           // is there data?
		{Addr: 0x62, R: []byte{0x80, 0x00, 0xA2}},                                     // no
		{Addr: 0x62, W: []byte{0x21, 0xB1}},                                           // measures every 5 s
		{Addr: 0x62, W: []byte{0xE4, 0xB8}},                                           // is there data?
		{Addr: 0x62, R: []byte{0x80, 0x06, 0x04}},                                     // yes
		{Addr: 0x62, W: []byte{0xEC, 0x05}},                                           // read it
		{Addr: 0x62, R: []byte{0x01, 0xF4, 0x33, 0x66, 0x67, 0xA2, 0x5E, 0xB9, 0x3C}}, // the measurement
	}}
	chip, err := scd4x.NewI2C(bus, 0x62)
	if err != nil {
		fmt.Println(err)
		return
	}
	values := make([]float32, 3)
	if err := chip.Sense(values); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%.2f °C, %.1f %%, %.0f ppm\n", values[0], values[1], values[2])
	// Output: 25.00 °C, 37.0 %, 500 ppm
}
