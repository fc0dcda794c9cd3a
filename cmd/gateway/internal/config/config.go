// Package config turns the YAML file into a checked [Config]: whatever holds one
// need not check again, and what is wrong with a file is said all at once, with
// file, line, key and fix. It is the only place that knows YAML.
//
// It refuses to know which chips there are, which it is given, and opens nothing
// that the file names.
package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"sensorgateway/gateway/motor"
	"sensorgateway/wire"
)

// Config is a checked configuration: whatever holds one need not check again.
type Config struct {
	File           string // the path it was read from; "" if it came from no file
	Listen         string // host:port as [CheckListen] returns it
	TLS            *TLS
	Insecure       bool     // may be reached from other machines without TLS
	Hosts          []string // further names and addresses of this machine, as [ParseHostName] returns them
	Origins        []string // of further pages that may connect, as [parseOrigin] returns them
	RemoteCommands bool     // who is not on this machine may command, and no account is asked for
	State          string   // directory of what must survive a restart; "" is none
	History        History
	LogFormat      string // one of [logging.Formats]
	Primary        string // name of the sensor that readings.v1 shows on "/"
	Sensors        []Sensor
	EStopPin       string // of the normally closed e-stop input; "" is none
	Motors         []Motor
}

// Sensor is one chip on one bus.
type Sensor struct {
	Name       string // matches [nameForm], so it needs no escaping in a URL, a metric label or JSON
	Chip       string // a key of the chip table
	Bus        int    // the N of /dev/i2c-N
	Address    uint16 // 7 bits
	Interval   time.Duration
	StuckAfter time.Duration // unchanged in every bit for so long, a reading counts as stuck; 0 is never
}

// Motor is one motor and what it hangs on. Its zero times ask for nothing.
type Motor struct {
	Name       string // matches [nameForm]; not "all"
	Output     motor.Spec
	Ramp       time.Duration // from speed 0 to 1
	Dwell      time.Duration // at 0 before it turns the other way
	MinPause   time.Duration // off before it is on again
	MaxRun     time.Duration
	KeepOnLoss bool // goes on without the operator who started it
	Needs      []motor.Condition
}

// Chip is what the configuration must know about a chip to refuse what
// cannot work.
type Chip struct {
	Addresses   []uint16        // those it can have, the usual one first
	MinInterval time.Duration   // between two measurements
	Values      []wire.Quantity // that it measures
}

// DefaultFile is where a service has its configuration.
const DefaultFile = "/etc/gateway/gateway.yaml"

// What holds where the file is silent.
const (
	// DefaultListen is where a gateway without TLS listens.
	DefaultListen = "localhost:8765"
	// DefaultListenTLS is where one with TLS listens: on all interfaces.
	DefaultListenTLS  = ":8443"
	defaultBus        = 1
	defaultInterval   = 100 * time.Millisecond
	defaultStuckAfter = 60 * time.Second
)

// Limits of what a file can ask for.
const (
	maxConfigSize = 1 << 20 // bytes
	maxSensors    = 64
	maxMotors     = 32
	maxBus        = 255
	maxInterval   = 24 * time.Hour
	// A sensor gets ten measurements by default before it counts as stuck.
	stuckIntervals = 10
	maxStuckAfter  = stuckIntervals * maxInterval
)

// Read reads and checks the configuration file at path. What is wrong
// with the file or its content is a [Error].
func Read(path string, chips map[string]Chip) (*Config, error) {
	data, err := readConfigFile(path)
	if err != nil {
		return nil, Error{{File: path, Text: err.Error()}}
	}
	c, err := Parse(path, data, chips)
	if err != nil {
		return nil, err
	}
	c.File = path
	return c, nil
}

// readConfigFile returns the content of the file at path, at most one byte more
// than a configuration may have. Its errors do not name the path.
func readConfigFile(path string) ([]byte, error) {
	// Before it is opened: opening a pipe waits for its writer.
	info, err := os.Stat(path)
	if err != nil {
		return nil, explainFileError(path, err)
	}
	switch {
	case info.IsDir():
		return nil, errors.New("is a directory (name the file in it)")
	case !info.Mode().IsRegular():
		return nil, errors.New("is not a regular file (a reload must be able to read it again)")
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, explainFileError(path, err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxConfigSize+1))
	if err != nil {
		return nil, explainFileError(path, err)
	}
	return data, nil
}

// explainFileError says why the file at path cannot be read and what helps.
func explainFileError(path string, err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return errors.New("no such file (give its path with --config, or try --simulate, which needs none)")
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("permission denied (let the user that runs the gateway read it: sudo chmod a+r %s)", path)
	}
	var pathError *fs.PathError
	if errors.As(err, &pathError) {
		err = pathError.Err // the operation and the path are noise here
	}
	return fmt.Errorf("cannot be read: %w", err)
}
