// Package field has the commands for a person at the machine who gets no readings: read
// asks each chip once and shows every transfer, scan asks which chips are on the buses,
// doctor checks all that readings depend on, record writes what the chips answer into a
// file, and replay runs the drivers on it.
//
// They share the drivers, the buses and the configuration with the gateway. They refuse
// to change anything, and to use a bus that a running gateway uses: they ask that gateway
// instead.
package field

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"regexp"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"sensorgateway/cmd/gateway/internal/chips"
	"sensorgateway/cmd/gateway/internal/config"
	"sensorgateway/cmd/gateway/internal/console"
	"sensorgateway/cmd/gateway/internal/credential"
	"sensorgateway/cmd/gateway/internal/machine"
	"sensorgateway/cmd/gateway/internal/phrase"
	"sensorgateway/sensors"
)

// Load reads the configuration file at path, "" for the default one, or what stands
// for it when simulate is not nil.
type Load func(path string, simulate *machine.Simulation) (*config.Config, error)

// Commands returns the commands.
func Commands(env console.Env, load Load) []*cobra.Command {
	return []*cobra.Command{readCommand(env, load), scanCommand(env, load), doctorCommand(env, load), recordCommand(env, load), replayCommand(env)}
}

// source are the flags that say what is read, and whether it is real.
type source struct {
	config, simulate string
	root             string // where /sys and /proc are
	json             bool
	tokenFile        string
	getenv           func(string) string
}

func (s *source) flags(cmd *cobra.Command, env console.Env) {
	f := cmd.Flags()
	s.getenv = env.Getenv
	f.StringVar(&s.tokenFile, "token-file", "", "`file` with the token to show to a running gateway that asks for one (default: $GATEWAY_TOKEN, else its line HOST:PORT TOKEN in ~/.config/gateway/tokens)")
	f.StringVar(&s.config, "config", "", "configuration `file` (default "+config.DefaultFile+"; none when simulating)")
	f.StringVar(&s.simulate, "simulate", "", "emulate the chips, as the gateway does: \"steady\" or \"flaky\", and \":SEED\"")
	f.Lookup("simulate").NoOptDefVal = "steady"
	f.StringVar(&s.root, "root", "/", "`directory` to look for /sys and /proc in")
	_ = f.MarkHidden("root") // for tests; it fails only for an unknown flag
	f.BoolVar(&s.json, "json", false, "print JSON")
}

// open reads the configuration; it is empty if there is none and none was asked for.
func (s *source) open(load Load, optional bool) (*config.Config, *machine.Simulation, error) {
	simulate, err := machine.ParseSimulation(s.simulate)
	if err != nil {
		return nil, nil, console.UsageError{Err: fmt.Errorf("--simulate=%w", err)}
	}
	if _, err := os.Stat(config.DefaultFile); optional && s.config == "" && simulate == nil && errors.Is(err, os.ErrNotExist) {
		return &config.Config{}, nil, nil
	}
	cfg, err := load(s.config, simulate)
	return cfg, simulate, err
}

// running returns the gateway that runs with a configuration, nil if none does.
func (s *source) running(ctx context.Context, cfg *config.Config) *gateway {
	return findGateway(ctx, cfg, func(u *url.URL) (string, error) { return credential.Find(s.tokenFile, u, s.getenv) })
}

// quiet is the log of parts whose errors the commands report themselves.
var quiet = slog.New(slog.DiscardHandler)

// channelForm is the end of a target's bus that is a channel of a multiplexer.
var channelForm = regexp.MustCompile(`^(.+):(0x7[0-7])/([0-7])$`)

// parseTarget reads CHIP@BUS:ADDRESS, such as sht3x@1:0x44, or CHIP@BUS:MUX/CHANNEL:ADDRESS,
// such as sht3x@1:0x70/3:0x44. The bus may have a colon in its name; without an address
// it is the chip's usual one. A chip that the kernel reads is CHIP@ID or hwmon@DEVICE:ID,
// without the id if there is only one.
func parseTarget(s string) (config.Sensor, error) {
	chipName, place, _ := strings.Cut(s, "@")
	chip, ok := sensors.Chips()[chipName]
	if !ok {
		return config.Sensor{}, fmt.Errorf("%s: there is no chip %s (write %s)", phrase.Quote(s), phrase.Quote(chipName), config.ChipFix(chipName, chips.Table()))
	}
	if chip.Kernel != nil {
		return kernelTarget(s, chipName, place)
	}
	name, text := place, ""
	if at := strings.LastIndex(place, ":"); at >= 0 && !channelForm.MatchString(place) {
		name, text = place[:at], place[at+1:]
	}
	var mux config.Mux
	if m := channelForm.FindStringSubmatch(name); m != nil {
		number, _ := strconv.ParseUint(m[2], 0, 7) // the form is that of numbers
		name, mux = m[1], config.Mux{Address: uint16(number), Channel: m[3][0] - '0'}
	}
	if strings.Contains(name, ":0x") {
		return config.Sensor{}, fmt.Errorf("%s: %s is no channel of a multiplexer (write %s@1:0x70/3:0x%02x for channel 3 of the one at 0x70)", phrase.Quote(s), phrase.Quote(name), chipName, chip.Addresses[0])
	}
	if name == "" {
		return config.Sensor{}, fmt.Errorf("%s: no bus (write %s@1:0x%02x for bus 1)", phrase.Quote(s), chipName, chip.Addresses[0])
	}
	addr := uint64(chip.Addresses[0])
	if text != "" {
		var err error
		if addr, err = strconv.ParseUint(text, 0, 7); err != nil || !strings.HasPrefix(text, "0x") {
			return config.Sensor{}, fmt.Errorf("%s: %s is no address of a chip (write it with 0x in front, such as 0x%02x)", phrase.Quote(s), phrase.Quote(text), chip.Addresses[0])
		}
	}
	return config.Sensor{Name: s, Chip: chipName, Bus: name, Mux: mux, Address: uint16(addr)}, nil
}

// kernelTarget returns the target s, a chip that the kernel reads and its place.
func kernelTarget(s, chipName, place string) (config.Sensor, error) {
	t := config.Sensor{Name: s, Chip: chipName, ID: place}
	if sensors.NamesDevice(chipName) {
		if t.Device, t.ID, _ = strings.Cut(place, ":"); t.Device == "" {
			return t, fmt.Errorf("%s: no device (write %s@NAME, as gateway scan shows it)", phrase.Quote(s), chipName)
		}
	}
	chip, _ := sensors.Lookup(chipName, t.Device) // there is one
	t.Class, t.Device = string(chip.Kernel.Class), chip.Kernel.Name
	return t, nil
}

// chipOf returns the chip of a target: its readings, if the kernel makes them, end with ctx.
func chipOf(ctx context.Context, tree fs.FS, t config.Sensor) sensors.Chip {
	chip, _ := sensors.Lookup(t.Chip, t.Device) // it is checked
	return chip.Of(ctx, tree, t.ID, max(t.Interval, chip.MinInterval))
}

// openBuses opens the buses of sensors, real or emulated. The caller closes them.
func openBuses(list []config.Sensor, simulate *machine.Simulation) (machine.Buses, error) {
	return machine.OpenBuses(&config.Config{Sensors: list}, simulate, quiet)
}

// printer writes lines for people and keeps the first error of the writer.
type printer struct {
	w   io.Writer
	err error
}

func (p *printer) printf(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.w, format, args...)
	}
}

// end is the end of a command, which may have printed that something failed.
func (p *printer) end(failed bool) error {
	if p.err == nil && failed {
		return errFound
	}
	return p.err
}

// errFound is the end of a command that has printed what is wrong.
var errFound = errors.New("not everything is well: see above")
