package bme680_test

import (
	"fmt"
	"math"

	"sensorgateway/sensors/bme680"
	"sensorgateway/sensors/sim"
)

// The chip is an emulated one; on a machine the bus is a bus.Bus, or any other
// i2c.Bus.
func Example() {
	bus := sim.NewBus("bus 1", sim.NewEnvironment(1), 1)
	if err := bus.Add("bme680", 0x76, sim.Indoor); err != nil {
		fmt.Println(err)
		return
	}
	chip, err := bme680.NewI2C(bus, 0x76)
	if err != nil {
		fmt.Println(err)
		return
	}
	values := make([]float32, 3)
	if err := chip.Sense(values); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%v measures about %.0f °C\n", chip, 5*math.Round(float64(values[0])/5))
	// Output: bme680 0x76 on bus 1 measures about 20 °C
}
