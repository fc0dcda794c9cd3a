package hdc1080_test

import (
	"fmt"

	"periph.io/x/conn/v3/i2c/i2ctest"

	"sensorgateway/sensors/hdc1080"
)

// The bus plays the answers of an HDC1080;
// on a machine it is a bus.Bus, or any other i2c.Bus.
func Example() {
	bus := &i2ctest.Playback{DontPanic: true, Ops: []i2ctest.IO{
		{Addr: 0x40, W: []byte{0xFE}, R: []byte{0x54, 0x49}}, // its maker
		{Addr: 0x40, W: []byte{0xFF}, R: []byte{0x10, 0x50}}, // its model
		{Addr: 0x40, W: []byte{0x02, 0x10, 0x00}},            // measures both at once
		{Addr: 0x40, W: []byte{0x00}},                        // measure
		{Addr: 0x40, R: []byte{0x63, 0x80, 0x73, 0x34}},      // the measurement
	}}
	chip, err := hdc1080.NewI2C(bus, 0x40)
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
	// Output: 24.13 °C, 45.0 %
}
