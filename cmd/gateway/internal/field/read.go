package field

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"periph.io/x/conn/v3/i2c"

	"sensorgateway/cmd/gateway/internal/calibration"
	"sensorgateway/cmd/gateway/internal/chips"
	"sensorgateway/cmd/gateway/internal/config"
	"sensorgateway/cmd/gateway/internal/console"
	"sensorgateway/cmd/gateway/internal/machine"
	"sensorgateway/cmd/gateway/internal/meaning"
	"sensorgateway/cmd/gateway/internal/phrase"
	"sensorgateway/sensors"
	"sensorgateway/sensors/bus"
	"sensorgateway/wire"
)

// reading is what read found of one sensor.
type reading struct {
	Sensor    string             `json:"sensor"`
	Chip      string             `json:"chip,omitempty"`
	Bus       string             `json:"bus,omitempty"`
	Mux       *config.Mux        `json:"mux,omitempty"`
	Address   string             `json:"address,omitempty"`
	Place     string             `json:"place,omitempty"` // of what the kernel reads
	Values    map[string]float32 `json:"values,omitempty"`
	Measured  map[string]float32 `json:"measured,omitempty"` // before the calibration, if there is one
	Text      string             `json:"text,omitempty"`     // the values for people
	Fault     string             `json:"fault,omitempty"`
	Error     string             `json:"error,omitempty"`
	Fix       string             `json:"fix,omitempty"`
	OpenMS    float64            `json:"open_ms,omitempty"`  // until the chip was ready to measure
	SenseMS   float64            `json:"sense_ms,omitempty"` // the measurement
	Transfers []transfer         `json:"transfers,omitempty"`
	Gateway   string             `json:"gateway,omitempty"` // the running one that was asked
	AgeMS     int64              `json:"age_ms,omitempty"`  // of its newest reading

	failure error
	wires   string // for people
}

// muxOf returns the channel that a sensor's chip is behind, nil if it is behind none.
func muxOf(t config.Sensor) *config.Mux {
	if t.Mux == (config.Mux{}) {
		return nil
	}
	return &t.Mux
}

// transfer is one transaction for people.
type transfer struct {
	AtMS   float64 `json:"at_ms"` // since the chip was asked first
	TookMS float64 `json:"took_ms"`
	Write  string  `json:"write,omitempty"`
	Read   string  `json:"read,omitempty"`
	Error  string  `json:"error,omitempty"`
	Means  string  `json:"means,omitempty"`
}

// readCommand reads each sensor once.
func readCommand(env console.Env, load Load) *cobra.Command {
	var s source
	cmd := &cobra.Command{
		Use:   "read [SENSOR | CHIP@BUS:ADDRESS | CHIP@ID]...",
		Short: "Read each sensor once, and show the transfers, raw words and status bits",
		Long: "Reads each sensor of the configuration once, or those that are named, or any chip: sht3x@1:0x44 is an\n" +
			"SHT3x at 0x44 of bus 1, sht3x@1:0x70/3:0x44 one behind channel 3 of the multiplexer at 0x70. It shows each\n" +
			"transfer with its duration, the raw bytes and what they mean. What the kernel reads has an id for a place,\n" +
			"ds18b20@28-0123456789ab, or its name, hwmon@cpu_thermal. A\n" +
			"sensor that a running gateway reads, it asks that one for; a chip that the kernel has is left alone. The exit status is 1 if one cannot be read.\n\n" +
			"A CHIP is " + config.ChipFix("", chips.Table()) + ".",
		Example: "  gateway read\n  gateway read indoor bme280@1:0x76\n  gateway read --simulate",
		RunE: func(cmd *cobra.Command, args []string) error {
			return runRead(cmd.Context(), env, load, &s, args)
		},
	}
	s.flags(cmd, env)
	return cmd
}

func runRead(ctx context.Context, env console.Env, load Load, s *source, args []string) error {
	needsFile := len(args) == 0 || slices.ContainsFunc(args, func(a string) bool { return !strings.Contains(a, "@") })
	cfg, simulate, err := s.open(load, !needsFile)
	if err != nil {
		return err
	}
	targets, err := chooseTargets(cfg, args)
	if err != nil {
		return console.UsageError{Err: err}
	}
	var running *gateway
	if simulate == nil {
		running = s.running(ctx, cfg)
	}
	buses, err := openBuses(targets, simulate)
	if err != nil {
		return err
	}
	defer buses.Close()
	tree, err := machine.Tree(&config.Config{Sensors: targets}, simulate, s.root)
	if err != nil {
		return err
	}
	out := printer{w: env.Stdout}
	failed := false
	for _, t := range targets {
		var r reading
		name, asked := running.reads(t)
		driver := driverOf(s.root, t, simulate != nil)
		why, fix := running.reserves(t)
		switch {
		case asked:
			r = running.newest(ctx, name)
			if t.Class != "" {
				r.Chip, r.Place = t.Chip, t.Place()
			}
		case driver.name != "":
			r = leftAlone(t, driver.why(), driver.fix())
		case why != "":
			r = leftAlone(t, why, fix)
		default:
			r = readOnce(chipOf(ctx, tree, t), buses.Bounded(t), t)
			if r.failure != nil {
				r.Fix = fixFor(buses.Bounded(t), t, r.failure)
			}
		}
		failed = failed || r.Error != ""
		if s.json {
			line, err := json.Marshal(r)
			if err != nil {
				return err
			}
			out.printf("%s\n", phrase.EscapeJSON(line))
			continue
		}
		printReading(&out, r)
	}
	return out.end(failed)
}

// chooseTargets returns the sensors that are meant; all chips' own if none is named.
func chooseTargets(cfg *config.Config, args []string) (targets []config.Sensor, err error) {
	if len(args) == 0 {
		return slices.DeleteFunc(slices.Clone(cfg.Sensors), func(t config.Sensor) bool { return t.Further != "" }), nil
	}
	var names []string
	for _, c := range cfg.Sensors {
		names = append(names, c.Name)
	}
	for _, arg := range args {
		if strings.Contains(arg, "@") {
			t, err := parseTarget(arg)
			if err != nil {
				return nil, err
			}
			targets = append(targets, t)
			continue
		}
		i := slices.Index(names, arg)
		if i < 0 {
			return nil, fmt.Errorf("no sensor is named %s (write %s, or a chip such as sht3x@1:0x44)", phrase.Quote(arg), phrase.OneOf(names))
		}
		targets = append(targets, cfg.Sensors[i])
	}
	return targets, nil
}

// chipsOf returns one sensor for each chip of the configuration. Sensors that are further
// quantities of a chip are read with it.
func chipsOf(cfg *config.Config) (own []config.Sensor) {
	for _, c := range cfg.Sensors {
		if c.Further == "" {
			own = append(own, c)
		}
	}
	return own
}

// warmUp is how much longer than its interval a chip may take for its first measurement.
const warmUp = 500 * time.Millisecond

// unread returns the reading of a sensor before its chip was asked.
func unread(t config.Sensor) reading {
	r := reading{Sensor: t.Name, Chip: t.Chip, Bus: t.Bus, Mux: muxOf(t), Address: fmt.Sprintf("0x%02x", t.Address), wires: t.Wires()}
	if t.Class != "" {
		r.Address, r.Place = "", t.Place()
	}
	return r
}

// leftAlone returns the reading of a sensor whose chip is not asked.
func leftAlone(t config.Sensor, why, fix string) reading {
	r := unread(t)
	r.Error, r.Fix = why, fix
	return r
}

// readOnce opens a chip, has it measure once, and lets go of it.
func readOnce(chip sensors.Chip, b i2c.Bus, t config.Sensor) reading {
	r := unread(t)
	begin := time.Now()
	tap := bus.NewTap(b, func(x bus.Transfer) { r.Transfers = append(r.Transfers, show(t.Chip, x, begin)) })
	device, err := chip.Open(tap, t.Address)
	r.OpenMS = milliseconds(time.Since(begin))
	if err == nil {
		begin := time.Now()
		values := make([]float32, len(chip.All()))
		err = device.Sense(values)
		if errors.Is(err, wire.WarmingUp) { // some measure by themselves, and have nothing yet
			time.Sleep(chip.MinInterval + warmUp)
			err = device.Sense(values)
		}
		err = errors.Join(err, device.Halt())
		r.SenseMS = milliseconds(time.Since(begin))
		if err == nil {
			err = r.set(&chip, t.Calibration, values)
		}
	}
	if err != nil {
		if bus.CannotOpen(err) {
			r.Transfers = nil // none was made
		}
		r.failure, r.Error, r.Fault = err, evidence(err), wire.FaultOf(err).String()
	}
	return r
}

// set notes values, and returns an error if the chip cannot have measured them.
func (r *reading) set(chip *sensors.Chip, c map[string]wire.Calibration, values []float32) error {
	var quantities []wire.Quantity
	for _, m := range chip.All() {
		quantities = append(quantities, m.Quantity)
	}
	r.show(calibration.Show(c, quantities, values))
	for i, m := range chip.All() {
		if !(values[i] >= m.Min && values[i] <= m.Max) {
			return fmt.Errorf("%s is outside what the chip can measure: %w", m.Text(values[i]), wire.Implausible)
		}
	}
	return nil
}

func (r *reading) show(s calibration.Shown) {
	r.Values, r.Measured, r.Text = s.Values, s.Measured, s.Text
}

func milliseconds(d time.Duration) float64 {
	return float64(d.Round(time.Microsecond)) / float64(time.Millisecond)
}

func show(chip string, x bus.Transfer, begin time.Time) transfer {
	t := transfer{AtMS: milliseconds(x.At.Sub(begin)), TookMS: milliseconds(x.Took), Write: hex.EncodeToString(x.W)}
	if x.Err != nil {
		t.Error = bus.Cause(x.Err).Error()
		return t
	}
	t.Read, t.Means = hex.EncodeToString(x.R), meaning.Of(chip, x.W, x.R)
	return t
}

// printReading writes what was found of one sensor.
func printReading(out *printer, r reading) {
	where := ""
	if r.Chip != "" {
		where = fmt.Sprintf("  %s %s on %s", r.Chip, r.Address, r.wires)
	}
	if r.Place != "" {
		where = fmt.Sprintf("  %s, %s", r.Chip, r.Place)
	}
	switch {
	case r.Error != "":
		out.printf("%s%s  FAIL: %s\n", r.Sensor, where, r.Error)
	case r.Gateway != "":
		out.printf("%s  %s, %d ms ago\n", r.Sensor, r.Text, r.AgeMS)
	default:
		out.printf("%s%s  %s, in %.1f ms\n", r.Sensor, where, r.Text, r.SenseMS)
	}
	switch {
	case r.Gateway != "" && r.Place != "":
		out.printf("  from the gateway that runs at %s\n", r.Gateway)
	case r.Gateway != "":
		out.printf("  from the gateway that runs at %s and has the bus; for the transfers, stop it first: sudo systemctl stop gateway\n", r.Gateway)
	}
	for _, t := range r.Transfers {
		var did []string
		if t.Write != "" {
			did = append(did, "write "+spaced(t.Write))
		}
		if t.Read != "" {
			did = append(did, "read "+spaced(t.Read))
		}
		result := t.Means
		if t.Error != "" {
			result = "FAIL: " + t.Error
		}
		line := fmt.Sprintf("  %8.2f ms %7.2f ms  %-44s %s", t.AtMS, t.TookMS, strings.Join(did, ", "), result)
		out.printf("%s\n", strings.TrimRight(line, " "))
	}
	if r.Fix != "" {
		out.printf("  %s\n", r.Fix)
	}
}

// spaced separates hexadecimal bytes.
func spaced(s string) string {
	var b strings.Builder
	for i := 0; i+1 < len(s); i += 2 {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(s[i : i+2])
	}
	return b.String()
}
