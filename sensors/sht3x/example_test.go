package sht3x_test

import (
	"fmt"

	"periph.io/x/conn/v3/i2c/i2ctest"

	"sensorgateway/sensors/sht3x"
)

// The bus is a recording of an SHT31; on a machine it is a bus.Bus, or any other
// i2c.Bus.
func Example() {
	bus := &i2ctest.Playback{DontPanic: true, Ops: []i2ctest.IO{
		{Addr: 0x44, W: []byte{0x30, 0x93}},                              // ends periodic mode
		{Addr: 0x44, W: []byte{0xF3, 0x2D}, R: []byte{0x80, 0x10, 0xE1}}, // status
		{Addr: 0x44, W: []byte{0x24, 0x00}},                              // measure
		{Addr: 0x44, R: []byte{0x63, 0x80, 0x83, 0x73, 0x33, 0x01}},      // the measurement
	}}
	chip, err := sht3x.NewI2C(bus, 0x44, &sht3x.Opts{Repeatability: sht3x.High})
	if err != nil {
		fmt.Println(err)
		return
	}
	values := make([]float32, 2)
	if err := chip.Sense(values); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%.2f °C, %.1f %%\n", values[0], values[1])
	// Output: 23.02 °C, 45.0 %
}
