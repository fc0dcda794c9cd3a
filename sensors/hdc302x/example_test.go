package hdc302x_test

import (
	"fmt"

	"periph.io/x/conn/v3/i2c/i2ctest"

	"sensorgateway/sensors/hdc302x"
)

// The bus plays the answers of an HDC3022;
// on a machine it is a bus.Bus, or any other i2c.Bus.
func Example() {
	bus := &i2ctest.Playback{DontPanic: true, Ops: []i2ctest.IO{
		{Addr: 0x44, W: []byte{0x37, 0x81}, R: []byte{0x30, 0x00, 0x33}}, // its maker
		{Addr: 0x44, W: []byte{0x30, 0x93}},                              // ends automatic mode
		{Addr: 0x44, W: []byte{0x30, 0x66}},                              // heater off
		{Addr: 0x44, W: []byte{0x24, 0x00}},                              // measure
		{Addr: 0x44, R: []byte{0x63, 0x80, 0x83, 0x73, 0x33, 0x01}},      // the measurement
	}}
	chip, err := hdc302x.NewI2C(bus, 0x44)
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
