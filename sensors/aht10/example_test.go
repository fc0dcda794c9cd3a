package aht10_test

import (
	"fmt"

	"periph.io/x/conn/v3/i2c/i2ctest"

	"sensorgateway/sensors/aht10"
)

// The bus plays the answers of an AHT10;
// on a machine it is a bus.Bus, or any other i2c.Bus.
func Example() {
	bus := &i2ctest.Playback{DontPanic: true, Ops: []i2ctest.IO{
		{Addr: 0x38, W: []byte{0xBA}},                               // soft reset
		{Addr: 0x38, W: []byte{0xE1, 0x08, 0x00}},                   // loads its calibration
		{Addr: 0x38, R: []byte{0x18}},                               // calibrated
		{Addr: 0x38, W: []byte{0xAC, 0x33, 0x00}},                   // measure
		{Addr: 0x38, R: []byte{0x18, 0x73, 0x33, 0x35, 0xD7, 0x0A}}, // the measurement
	}}
	chip, err := aht10.NewI2C(bus, 0x38)
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
	// Output: 23.00 °C, 45.0 %
}
