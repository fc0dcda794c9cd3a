package field

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"periph.io/x/conn/v3/i2c"

	"sensorgateway/cmd/gateway/internal/config"
	"sensorgateway/cmd/gateway/internal/console"
	"sensorgateway/cmd/gateway/internal/machine"
	"sensorgateway/cmd/gateway/internal/phrase"
	"sensorgateway/sensors"
	"sensorgateway/sensors/bus"
	"sensorgateway/sensors/identify"
	"sensorgateway/wire"
)

const (
	// Addresses below and above are reserved (NXP UM10204, section 3.1.12).
	firstAddress, lastAddress = 0x08, 0x77
	// maxStuck is how many addresses may fail in a row, other than by nobody being
	// there, before the bus is taken for one that is held.
	maxStuck = 5
	// manyAnswers is how many addresses answer on no real bus.
	manyAnswers = 64
)

// scanned is what scan found on one bus.
type scanned struct {
	Bus     string   `json:"bus"`
	Name    string   `json:"name,omitempty"`
	Kind    string   `json:"kind,omitempty"`
	Found   []answer `json:"found"`
	TookMS  float64  `json:"took_ms"`
	Error   string   `json:"error,omitempty"` // why the scan ended before the last address
	Fix     string   `json:"fix,omitempty"`
	emulate bool
}

// answer is an address where something is.
type answer struct {
	Address string  `json:"address"`
	Model   string  `json:"model,omitempty"`
	Chip    string  `json:"chip,omitempty"`   // what to write in the configuration; "": there is no driver
	Driver  string  `json:"driver,omitempty"` // of the kernel, which has it
	Sensor  string  `json:"sensor,omitempty"` // of the gateway that runs, which has it
	Seen    string  `json:"seen,omitempty"`
	TookMS  float64 `json:"took_ms"`
}

func scanCommand(env console.Env, load Load) *cobra.Command {
	var s source
	var all bool
	cmd := &cobra.Command{
		Use:   "scan [BUS]...",
		Short: "Find the sensors on the I²C buses and those of the kernel, and print the configuration for them",
		Long: "Asks every address of all buses where sensors can be, or of those that are named, who is there, with\n" +
			"transfers that do no harm to the chips known at each address. Chips that the kernel or a running gateway\n" +
			"has are left alone. Without a BUS it lists the 1-wire, hwmon and IIO sensors of the kernel too. It stops on a bus that is stuck. The exit status is 1 if a bus could not be scanned.",
		Example: "  gateway scan\n  gateway scan 1 --json\n  gateway scan --simulate",
		RunE: func(cmd *cobra.Command, args []string) error {
			return runScan(cmd.Context(), env, load, &s, args, all)
		},
	}
	s.flags(cmd, env)
	cmd.Flags().BoolVar(&all, "all", false, "scan the buses of displays, cameras and the main board too")
	return cmd
}

func runScan(ctx context.Context, env console.Env, load Load, s *source, args []string, all bool) error {
	cfg, simulate, err := s.open(load, true)
	if err != nil && s.config != "" || errors.As(err, new(console.UsageError)) {
		return err
	}
	if err != nil { // scan is what helps to write it
		cfg = &config.Config{}
	}
	var running *gateway
	if simulate == nil {
		running = s.running(ctx, cfg)
	}
	results := s.whichBuses(cfg, simulate != nil, args, all)
	buses, err := openScanned(results, cfg, simulate)
	if err != nil {
		return err
	}
	defer buses.Close()
	out := printer{w: env.Stdout}
	var known []kernelScanned
	if len(args) == 0 {
		if known, err = scanKernel(cfg, simulate, s.root); err != nil {
			return err
		}
	}
	failed := len(results)+len(known) == 0
	if len(results) == 0 {
		out.printf("no I²C bus for sensors here; gateway doctor says why (gateway scan --all scans the others)\n")
	}
	for i := range results {
		r := &results[i]
		r.scan(buses[r.Bus], s.root, running)
		failed = failed || r.Error != ""
		if s.json {
			line, err := json.Marshal(r)
			if err != nil {
				return err
			}
			out.printf("%s\n", phrase.EscapeJSON(line))
		} else {
			printScanned(&out, r)
		}
	}
	if err := printKernel(&out, known, s.json); err != nil {
		return err
	}
	if !s.json {
		printYAML(&out, results, known)
	}
	return out.end(failed)
}

// whichBuses returns the buses to scan.
func (s *source) whichBuses(cfg *config.Config, emulated bool, args []string, all bool) (list []scanned) {
	if emulated {
		seen := map[string]bool{}
		for _, c := range cfg.Sensors {
			if !seen[c.Bus] && c.Class == "" && (len(args) == 0 || slices.Contains(args, c.Bus)) {
				list = append(list, scanned{Bus: c.Bus, Kind: "emulated", emulate: true})
			}
			seen[c.Bus] = true
		}
		return list
	}
	known := bus.Adapters(s.root)
	if len(args) == 0 {
		for _, a := range known {
			if all || a.Kind.ForSensors() {
				list = append(list, scanned{Bus: a.Number, Name: a.Name, Kind: string(a.Kind)})
			}
		}
		return list
	}
	for _, arg := range args {
		r := scanned{Bus: arg}
		for _, a := range known {
			if a.Number == numberOf(arg) {
				r.Name, r.Kind = a.Name, string(a.Kind)
			}
		}
		list = append(list, r)
	}
	return list
}

// openScanned opens the buses. The emulated ones have the chips of cfg.
func openScanned(list []scanned, cfg *config.Config, simulate *machine.Simulation) (machine.Buses, error) {
	if simulate != nil {
		return openBuses(cfg.Sensors, simulate)
	}
	var places []config.Sensor
	for _, r := range list {
		places = append(places, config.Sensor{Bus: r.Bus})
	}
	return openBuses(places, nil)
}

// scan asks all addresses.
func (r *scanned) scan(b i2c.Bus, root string, running *gateway) {
	r.Found = []answer{}
	begin := time.Now()
	defer func() { r.TookMS = milliseconds(time.Since(begin)) }()
	stuck, longest := 0, time.Duration(0)
	for addr := uint16(firstAddress); addr <= lastAddress; addr++ {
		if a, ok := r.owned(root, addr, running); ok {
			r.Found = append(r.Found, a)
			continue
		}
		begin := time.Now()
		who, err := identify.At(b, addr)
		took := time.Since(begin)
		switch fault := wire.FaultOf(err); {
		case err == nil:
			stuck, r.Error = 0, ""
			a := answer{Address: fmt.Sprintf("0x%02x", addr), Model: who.Model, Seen: who.Seen, TookMS: milliseconds(took)}
			if _, ok := sensors.Chips()[who.Chip]; ok {
				a.Chip = who.Chip
			}
			r.Found = append(r.Found, a)
		case fault == wire.NoAck:
			stuck, r.Error = 0, ""
		case cannotOpen(err):
			r.Error = cause(err).Error()
			return
		default:
			if longest = max(longest, took); stuck == 0 {
				r.Error = cause(err).Error() // those after it may only say that this one has not ended
			}
			if stuck++; stuck == maxStuck {
				r.Error = fmt.Sprintf("an address takes up to %.0f ms and fails (%s)", milliseconds(longest), r.Error)
				r.Fix = stuckFix
				return
			}
		}
	}
	if len(r.Found) >= manyAnswers {
		r.Error, r.Found = fmt.Sprintf("%d of %d addresses answer, as on no real bus", len(r.Found), lastAddress-firstAddress+1), []answer{}
		r.Fix = "SDA is held low, which reads as an answer: take the sensors' power away for a second; if that does not help, take them off one by one"
	}
}

// cause is the error of a transfer without its address.
func cause(err error) error {
	if e, ok := errors.AsType[*bus.Error](err); ok {
		return e.Err
	}
	return err
}

// cannotOpen returns whether there is no bus to make transfers on.
func cannotOpen(err error) bool {
	for _, why := range []error{fs.ErrNotExist, fs.ErrPermission, errors.ErrUnsupported, syscall.ENODEV, syscall.ENOTTY} {
		if errors.Is(err, why) {
			return true
		}
	}
	return false
}

// owned returns a chip that somebody has, who would be disturbed.
func (r *scanned) owned(root string, addr uint16, running *gateway) (a answer, ok bool) {
	a.Address = fmt.Sprintf("0x%02x", addr)
	if r.emulate {
		return a, false
	}
	if driver, _, ok := bus.ClaimedIn(root, numberOf(r.Bus), addr); ok {
		a.Driver = driver
		return a, true
	}
	if name, ok := running.reads(config.Sensor{Bus: r.Bus, Address: addr}); ok {
		a.Sensor = name
		return a, true
	}
	return a, false
}

func printScanned(out *printer, r *scanned) {
	title := "bus " + r.Bus
	for _, more := range []string{r.Name, r.Kind} {
		if more != "" {
			title += ", " + more
		}
	}
	out.printf("%s\n", title)
	for _, a := range r.Found {
		switch {
		case a.Driver != "":
			out.printf("  %s  the kernel's driver %s has it\n", a.Address, a.Driver)
		case a.Sensor != "":
			out.printf("  %s  the gateway that runs has it, as %s\n", a.Address, a.Sensor)
		case a.Model == "":
			out.printf("  %s  ?  %s\n", a.Address, a.Seen)
		case a.Chip == "":
			out.printf("  %s  %s, %s; the gateway has no driver for it\n", a.Address, a.Model, a.Seen)
		default:
			out.printf("  %s  %s, %s\n", a.Address, a.Model, a.Seen)
		}
	}
	switch {
	case r.Error != "":
		out.printf("  FAIL: %s\n", r.Error)
		if r.Fix != "" {
			out.printf("  %s\n", r.Fix)
		}
	case len(r.Found) == 0:
		out.printf("  nobody answers: check power and wiring (SDA and SCL may be swapped)\n")
	}
	out.printf("  took %.0f ms\n", r.TookMS)
}

// printYAML prints what to write into the configuration for what was found.
func printYAML(out *printer, results []scanned, known []kernelScanned) {
	var b strings.Builder
	counts := map[string]int{}
	for _, r := range results {
		for _, a := range r.Found {
			if a.Chip == "" {
				continue
			}
			fmt.Fprintf(&b, "  - name: %s\n    chip: %s\n    bus: %s\n    address: %s\n", numbered(a.Chip, counts), a.Chip, r.Bus, a.Address)
		}
	}
	for _, k := range known {
		for _, d := range k.Found {
			b.WriteString(d.yaml(counts))
		}
	}
	if b.Len() > 0 {
		out.printf("\nFor the configuration, with names of your own:\n\nsensors:\n%s", b.String())
	}
}
