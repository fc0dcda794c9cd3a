package shtc3_test

import (
	"fmt"

	"periph.io/x/conn/v3/i2c/i2ctest"

	"sensorgateway/sensors/shtc3"
)

// The bus plays the answers of an SHTC3;
// on a machine it is a bus.Bus, or any other i2c.Bus.
func Example() {
	bus := &i2ctest.Playback{DontPanic: true, Ops: []i2ctest.IO{
		{Addr: 0x70, W: []byte{0x35, 0x17}},                              // wakes it
		{Addr: 0x70, W: []byte{0xEF, 0xC8}, R: []byte{0x08, 0x87, 0x5B}}, // its model
		{Addr: 0x70, W: []byte{0xB0, 0x98}},                              // sleep
		{Addr: 0x70, W: []byte{0x35, 0x17}},                              // wakes it
		{Addr: 0x70, W: []byte{0x78, 0x66}},                              // measure
		{Addr: 0x70, R: []byte{0x63, 0x80, 0x83, 0x73, 0x33, 0x01}},      // the measurement
		{Addr: 0x70, W: []byte{0xB0, 0x98}},                              // sleep
	}}
	chip, err := shtc3.NewI2C(bus, 0x70)
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
