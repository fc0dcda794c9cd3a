// Package sensors turns chips into records: drivers measure ([Sensor]), a
// [Sampler] has each of them measure on its own ticks and makes a [wire.Record]
// of every tick, the failed ones included.
//
// It knows periph and the wire's types. It refuses to know who listens, what a
// configuration file looks like, and whether its bus is real or emulated: each is an
// i2c.Bus.
package sensors

// A Sensor measures its surroundings. One goroutine calls it.
//
// A driver never holds its bus while the chip converts, returns in bounded time, and wraps the cause of a
// failure ([wire.Fault]) into its error. After an error that carries
// [wire.WarmingUp] the chip has lost its settings: the driver is constructed anew.
type Sensor interface {
	// Sense measures once and sets values, one for each of the chip's quantities
	// ([Chip.Measures], then [Chip.Also]) in their order and units. An error leaves
	// them undefined.
	Sense(values []float32) error
	// Halt ends the use of the chip.
	Halt() error
	// String returns chip, address and bus: "sht3x 0x44 on bus 1".
	String() string
}
