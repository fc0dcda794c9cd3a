package mcp9808_test

import (
	"fmt"

	"periph.io/x/conn/v3/i2c/i2ctest"

	"sensorgateway/sensors/mcp9808"
)

// The bus plays the answers of an MCP9808 with the measurement of its datasheet;
// on a machine it is a bus.Bus, or any other i2c.Bus.
func Example() {
	bus := &i2ctest.Playback{DontPanic: true, Ops: []i2ctest.IO{
		{Addr: 0x18, W: []byte{0x06}, R: []byte{0x00, 0x54}}, // its maker
		{Addr: 0x18, W: []byte{0x07}, R: []byte{0x04, 0x00}}, // its model
		{Addr: 0x18, W: []byte{0x01}, R: []byte{0x00, 0x00}}, // its configuration
		{Addr: 0x18, W: []byte{0x08, 0x03}},                  // resolution
		{Addr: 0x18, W: []byte{0x01, 0x02, 0x00}},            // configuration
		{Addr: 0x18, W: []byte{0x05}, R: []byte{0xC1, 0x94}}, // the measurement before
		{Addr: 0x18, W: []byte{0x05}, R: []byte{0xC1, 0x94}}, // the measurement
	}}
	chip, err := mcp9808.NewI2C(bus, 0x18)
	if err != nil {
		fmt.Println(err)
		return
	}
	values := make([]float32, 1)
	if err := chip.Sense(values); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%.4f °C\n", values[0])
	// Output: 25.2500 °C
}
