package tmp117_test

import (
	"fmt"

	"periph.io/x/conn/v3/i2c/i2ctest"

	"sensorgateway/sensors/tmp117"
)

// The bus plays the answers of a TMP117 with the measurement of its datasheet;
// on a machine it is a bus.Bus, or any other i2c.Bus.
func Example() {
	bus := &i2ctest.Playback{DontPanic: true, Ops: []i2ctest.IO{
		{Addr: 0x48, W: []byte{0x0F}, R: []byte{0x31, 0x17}}, // its model
		{Addr: 0x48, W: []byte{0x01}, R: []byte{0x02, 0x20}}, // its configuration
		{Addr: 0x48, W: []byte{0x01, 0x00, 0xA0}},            // measures all the time
		{Addr: 0x48, W: []byte{0x00}, R: []byte{0x0C, 0x80}}, // the measurement before
		{Addr: 0x48, W: []byte{0x01}, R: []byte{0x20, 0xA0}}, // there is data
		{Addr: 0x48, W: []byte{0x00}, R: []byte{0x0C, 0x80}}, // the measurement
	}}
	chip, err := tmp117.NewI2C(bus, 0x48)
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
	// Output: 25.0000 °C
}
