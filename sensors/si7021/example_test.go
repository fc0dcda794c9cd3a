package si7021_test

import (
	"fmt"

	"periph.io/x/conn/v3/i2c/i2ctest"

	"sensorgateway/sensors/si7021"
)

// The bus plays the answers of an Si7021;
// on a machine it is a bus.Bus, or any other i2c.Bus.
func Example() {
	bus := &i2ctest.Playback{DontPanic: true, Ops: []i2ctest.IO{
		{Addr: 0x40, W: []byte{0xFE}},                  // reset
		{Addr: 0x40, W: []byte{0xE7}, R: []byte{0x3A}}, // user register
		{Addr: 0x40, W: []byte{0xFC, 0xC9}},            // its model
		{Addr: 0x40, R: []byte{0x15}},                  // Si7021
		{Addr: 0x40, W: []byte{0xF5}},                  // measure humidity
		{Addr: 0x40, R: []byte{0x68, 0x3A, 0x7C}},
		{Addr: 0x40, W: []byte{0xF3}}, // measure temperature
		{Addr: 0x40, R: []byte{0x63, 0x80, 0x02}},
	}}
	chip, err := si7021.NewI2C(bus, 0x40)
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
	// Output: 21.45 °C, 44.9 %
}
