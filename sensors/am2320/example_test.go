package am2320_test

import (
	"fmt"

	"periph.io/x/conn/v3/i2c/i2ctest"

	"sensorgateway/sensors/am2320"
)

// The bus plays the answers of an AM2320 with the measurement of its datasheet;
// on a machine it is a bus.Bus, or any other i2c.Bus.
func Example() {
	bus := &i2ctest.Playback{DontPanic: true, Ops: []i2ctest.IO{
		{Addr: 0x5C, W: []byte{0x00}},                                           // wakes it
		{Addr: 0x5C, W: []byte{0x03, 0x00, 0x04}},                               // read four registers
		{Addr: 0x5C, R: []byte{0x03, 0x04, 0x02, 0x92, 0x01, 0x0D, 0x91, 0xE8}}, // the measurement before
		{Addr: 0x5C, W: []byte{0x00}},
		{Addr: 0x5C, W: []byte{0x03, 0x00, 0x04}},
		{Addr: 0x5C, R: []byte{0x03, 0x04, 0x02, 0x92, 0x01, 0x0D, 0x91, 0xE8}}, // the measurement
	}}
	chip, err := am2320.NewI2C(bus, 0x5C)
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
	// Output: 26.90 °C, 65.8 %
}
