package sht4x_test

import (
	"fmt"

	"periph.io/x/conn/v3/i2c/i2ctest"

	"sensorgateway/sensors/sht4x"
)

// The bus plays the answers of an SHT45;
// on a machine it is a bus.Bus, or any other i2c.Bus.
func Example() {
	bus := &i2ctest.Playback{DontPanic: true, Ops: []i2ctest.IO{
		{Addr: 0x44, W: []byte{0x89}}, // serial number
		{Addr: 0x44, R: []byte{0xBE, 0xEF, 0x92, 0xBE, 0xEF, 0x92}},
		{Addr: 0x44, W: []byte{0xFD}},                               // measure
		{Addr: 0x44, R: []byte{0x63, 0x80, 0x83, 0x73, 0x33, 0x01}}, // the measurement
	}}
	chip, err := sht4x.NewI2C(bus, 0x44)
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
	// Output: 23.02 °C, 50.3 %
}
