// Package aht20 makes periph's driver of Aosong's AHT20 (and AHT21), which
// measure temperature and relative humidity over I²C, fit for a program that
// runs for years: it has a name, its waits have a limit, and its errors carry
// their cause ([wire.Fault]).
//
// It refuses to know the chip's commands, which are periph's business, and when
// to measure.
package aht20

import (
	"errors"
	"fmt"
	"time"

	"periph.io/x/conn/v3/i2c"
	"periph.io/x/conn/v3/physic"
	periph "periph.io/x/devices/v3/aht20"

	"sensorgateway/sensors/internal/climate"
	"sensorgateway/wire"
)

const address = 0x38 // the chip has no other

// A measurement takes 80 ms (datasheet AHT20, section 5.4). A chip that is late
// is asked again until 95 ms have passed, so that it is free for the next tick
// at ten a second.
const (
	readTimeout = 15 * time.Millisecond
	readPause   = 5 * time.Millisecond
)

// neverMeasured is what the chip's registers hold from its reset on, all zero:
// far below what it can measure.
const neverMeasured = physic.ZeroCelsius - 50*physic.Celsius

// Dev is a chip. One goroutine uses it.
type Dev struct {
	dev  *periph.Dev
	name string
}

// NewI2C finds the chip at addr (0x38) of b and has it load its calibration
// unless it has. After power-on the chip needs up to 100 ms before it answers.
//
// Its errors, and those of [Dev.Sense], carry a [wire.Fault]: the bus's own, or
// one of those that Sense names.
func NewI2C(b i2c.Bus, addr uint16) (*Dev, error) {
	name := fmt.Sprintf("aht20 0x%02x on %s", addr, b)
	if addr != address {
		return nil, fmt.Errorf("%s: it can only be at 0x%02x: %w", name, address, wire.Other)
	}
	dev, err := periph.NewI2C(b, &periph.Opts{
		MeasurementReadTimeout:  readTimeout,
		MeasurementWaitInterval: readPause,
		ValidateData:            true,
	})
	if err != nil {
		// Here periph puts words of its own behind the bus's error.
		if cause := errors.Unwrap(err); cause != nil {
			err = cause
		}
		return nil, fmt.Errorf("aht20 %w", err)
	}
	return &Dev{dev: dev, name: name}, nil
}

// Sense measures once and sets values to the temperature in °C and the relative
// humidity in %; after an error they are as they were. It takes 80 ms, 95 ms at
// most, plus its transfers; the bus is free meanwhile.
//
// An error carries [wire.Checksum], [wire.Timeout] if the chip is still
// measuring, or [wire.WarmingUp] if it was reset: then construct it anew.
func (d *Dev) Sense(values []float32) error {
	var env physic.Env
	switch err := d.dev.Sense(&env).(type) {
	case nil:
	case *periph.DataCorruptionError:
		return fmt.Errorf("%s: read: CRC %02X, not %02X: %w", d.name, err.Received, err.Calculated, wire.Checksum)
	case *periph.ReadTimeoutError:
		return fmt.Errorf("%s: still measuring %v after it should be done: %w", d.name, err.Timeout, wire.Timeout)
	case *periph.NotInitializedError:
		return fmt.Errorf("%s: was reset, its calibration is not loaded: %w", d.name, wire.WarmingUp)
	default:
		return fmt.Errorf("aht20 %w", err)
	}
	if env.Temperature == neverMeasured && env.Humidity == 0 {
		return fmt.Errorf("%s: was reset while it measured: %w", d.name, wire.WarmingUp)
	}
	climate.Set(values, env.Temperature, env.Humidity)
	return nil
}

// Halt does nothing: between measurements the chip sleeps.
func (d *Dev) Halt() error { return nil }

// String returns "aht20 0x38 on bus 1".
func (d *Dev) String() string { return d.name }
