package field

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"sensorgateway/cmd/gateway/internal/address"
	"sensorgateway/cmd/gateway/internal/config"
	"sensorgateway/cmd/gateway/internal/console"
	"sensorgateway/cmd/gateway/internal/field/scan"
	"sensorgateway/cmd/gateway/internal/machine"
	"sensorgateway/cmd/gateway/internal/phrase"
	"sensorgateway/sensors"
	"sensorgateway/sensors/bus"
)

func scanCommand(env console.Env, load Load) *cobra.Command {
	var s source
	var all bool
	cmd := &cobra.Command{
		Use:   "scan [BUS]...",
		Short: "Find the sensors on the I²C buses and those of the kernel, and print the configuration for them",
		Long: "Asks every address of all buses where sensors can be, or of those that are named, who is there, with\n" +
			"transfers that do no harm to the chips known at each address. Chips that the kernel or a running gateway\n" +
			"has are left alone. Without a BUS it lists the 1-wire, hwmon and IIO sensors of the kernel too. It stops on a\n" +
			"bus that is stuck. The exit status is 1 if a bus could not be scanned.",
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
	if err != nil { // there may be none that is valid: scan helps to write it
		cfg = &config.Config{}
	}
	var running *gateway
	if simulate == nil {
		if running = s.running(ctx, cfg); running == nil && err != nil { // with tls: it listens elsewhere by default
			running = s.running(ctx, &config.Config{Listen: address.DefaultListenTLS, TLS: &config.TLS{}})
		}
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
		r.Ask(ctx, buses.Bounded(config.Sensor{Bus: r.Bus}), s.others(r.Bus, simulate != nil, running))
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
func (s *source) whichBuses(cfg *config.Config, emulated bool, args []string, all bool) (list []scan.Result) {
	if emulated {
		seen := map[string]bool{}
		for _, c := range cfg.Sensors {
			if !seen[c.Bus] && c.Class == "" && (len(args) == 0 || slices.Contains(args, c.Bus)) {
				list = append(list, scan.Result{Bus: c.Bus, Kind: "emulated"})
			}
			seen[c.Bus] = true
		}
		return list
	}
	known := bus.Adapters(s.root)
	if len(args) == 0 {
		for _, a := range known {
			if all || a.Kind.ForSensors() {
				list = append(list, scan.Result{Bus: a.Number, Name: a.Name, Kind: string(a.Kind)})
			}
		}
		return list
	}
	for _, arg := range args {
		r := scan.Result{Bus: arg}
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
func openScanned(list []scan.Result, cfg *config.Config, simulate *machine.Simulation) (machine.Buses, error) {
	if simulate != nil {
		return openBuses(cfg.Sensors, simulate)
	}
	var places []config.Sensor
	for _, r := range list {
		places = append(places, config.Sensor{Bus: r.Bus})
	}
	return openBuses(places, nil)
}

// others returns who else uses a bus.
func (s *source) others(name string, emulated bool, running *gateway) scan.Others {
	if emulated {
		return scan.Others{}
	}
	why, fix := running.reserves(config.Sensor{Bus: name})
	return scan.Others{Sensors: running.on(name), Reserved: why, Fix: fix, Driver: func(addr uint16) string {
		driver, _, _ := bus.ClaimedIn(s.root, numberOf(name), addr)
		return driver
	}}
}

func printScanned(out *printer, r *scan.Result) {
	title := "bus " + r.Bus
	for _, more := range []string{r.Name, r.Kind} {
		if more != "" {
			title += ", " + more
		}
	}
	out.printf("%s\n", title)
	var on scan.Mux
	for _, a := range r.Found {
		indent := "  "
		if a.Mux != nil {
			if indent = "    "; *a.Mux != on {
				on = *a.Mux
				out.printf("  %s\n", on)
			}
		}
		out.printf("%s%s  %s\n", indent, a.Address, whoIs(a))
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

// whoIs says who answers.
func whoIs(a scan.Answer) string {
	who := a.Model + ", " + a.Seen
	switch {
	case a.Driver != "":
		return "the kernel's driver " + a.Driver + " has it"
	case a.Sensor != "":
		return "the gateway that runs has it, as " + a.Sensor
	case a.Model == "":
		return "?  " + a.Seen
	case a.Channels > 0 && a.Mux != nil:
		return who + "; a multiplexer behind another is not supported"
	case a.Channels == 0 && a.Chip == "":
		return who + "; the gateway has no driver for it"
	}
	return who
}

// printYAML prints what to write into the configuration for what was found.
func printYAML(out *printer, results []scan.Result, known []kernelScanned) {
	var b strings.Builder
	counts := map[string]int{}
	for _, r := range results {
		for _, a := range r.Found {
			if a.Chip == "" {
				continue
			}
			mux := ""
			if a.Mux != nil {
				mux = fmt.Sprintf("    mux: {address: 0x%02x, channel: %d}\n", a.Mux.Address, a.Mux.Channel)
			}
			fmt.Fprintf(&b, "  - name: %s\n    chip: %s\n    bus: %s\n%s    address: %s\n%s", numbered(a.Chip, counts), a.Chip, lasting(r), mux, a.Address, further(a.Chip, ""))
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

// further returns the line that asks for the further quantities of a chip, commented out
// because they are optional; "" if the chip has none.
func further(name, device string) string {
	chip, _ := sensors.Lookup(name, device) // it was found
	var also []string
	for _, m := range chip.Also {
		also = append(also, m.Name)
	}
	if also == nil {
		return ""
	}
	return fmt.Sprintf("    #also: [%s]\n", strings.Join(also, ", "))
}

// lasting returns what a configuration calls a bus: its number, or its name if the number
// changes from boot to boot or from plug to plug, and there is no other with the name.
func lasting(r scan.Result) string {
	name := r.Name
	switch bus.Kind(r.Kind) {
	case bus.Mux:
	case bus.USB:
		name, _, _ = strings.Cut(name, " ")
	default:
		return r.Bus
	}
	if numberOf(r.Bus) == r.Bus && bus.Number(name) == r.Bus {
		return name
	}
	return r.Bus
}
