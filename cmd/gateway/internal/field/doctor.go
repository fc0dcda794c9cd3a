package field

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"periph.io/x/conn/v3/i2c"

	"sensorgateway/cmd/gateway/internal/config"
	"sensorgateway/cmd/gateway/internal/console"
	"sensorgateway/cmd/gateway/internal/field/doctor"
	"sensorgateway/cmd/gateway/internal/machine"
	"sensorgateway/cmd/gateway/internal/phrase"
	"sensorgateway/sensors"
	"sensorgateway/sensors/bus"
	"sensorgateway/wire"
)

// patient is a machine and its chips.
type patient struct {
	*doctor.Patient
	emulated bool     // only the chips are examined
	gateway  *gateway // that runs, nil if none does
	buses    machine.Buses
	tree     fs.FS // where the kernel shows the sensors that it reads
	reads    int
}

func doctorCommand(env console.Env, load Load) *cobra.Command {
	var s source
	reads, uplink, state := 20, false, ""
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Check the machine, the buses, the chips and the service, and say what is wrong and how to mend it",
		Long: "Checks, from the board up to the service, what readings depend on, and changes nothing. Each check shows\n" +
			"what was seen, the verdict, and one fix. Nothing needs root; what cannot be read is said. On a machine whose\n" +
			"gateway runs, that one is asked for its sensors. The exit status is 1 if something is wrong.\n\n" +
			"With --uplink it tries the brokers of the gateway's fleet instead, beside a gateway that is connected: names, ports,\n" +
			"certificates, who is let in, what may be published and subscribed to, limits, and whether what is confirmed is true.",
		Example: "  gateway doctor\n  sudo gateway doctor --json\n  sudo -u gateway gateway doctor --uplink",
		Args:    console.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if uplink {
				return runUplink(cmd.Context(), env, load, &s, state)
			}
			return runDoctor(cmd.Context(), env, load, &s, reads)
		},
	}
	s.flags(cmd, env)
	cmd.Flags().IntVar(&reads, "reads", reads, "how often to read each chip, at most for five seconds")
	cmd.Flags().BoolVar(&uplink, "uplink", false, "try the brokers of the gateway's fleet, and nothing else")
	cmd.Flags().StringVar(&state, "state", "", "the gateway's state `directory`, for --uplink (default: as the configuration says, else "+doctor.DefaultState+")")
	return cmd
}

func runDoctor(ctx context.Context, env console.Env, load Load, s *source, reads int) error {
	if reads < 1 {
		return console.UsageError{Err: fmt.Errorf("--reads %d: at least 1", reads)}
	}
	cfg, simulate, err := s.open(load, false)
	if _, usage := err.(console.UsageError); usage {
		return err
	}
	p := &patient{Patient: doctor.New(ctx, s.root), emulated: simulate != nil, reads: reads}
	p.Cfg, p.CfgErr = cfg, err
	if err != nil {
		p.Cfg = &config.Config{}
	} else if simulate == nil {
		p.gateway = s.running(ctx, cfg)
	}
	if p.buses, err = openBuses(p.Cfg.Sensors, simulate); err != nil {
		return err
	}
	defer p.buses.Close()
	if p.tree, err = machine.Tree(p.Cfg, simulate, s.root); err != nil {
		return err
	}
	return printReport(env.Stdout, p.examine(ctx), s.json)
}

// examine makes all checks; of an emulation those of the chips.
func (p *patient) examine(ctx context.Context) (r doctor.Report) {
	if p.emulated {
		p.CheckConfig(&r)
		p.checkChips(ctx, &r)
		return r
	}
	if p.gateway != nil {
		p.Gateway = p.gateway.base
	}
	p.Chips = func(r *doctor.Report) { p.checkChips(ctx, r) }
	return p.Examine()
}

// chipTime is how long one chip is read for its rate of errors.
const chipTime = 5 * time.Second

// checkChips reads each sensor: from the gateway that has it, else from its bus.
func (p *patient) checkChips(ctx context.Context, r *doctor.Report) {
	for _, t := range chipsOf(p.Cfg) {
		where := fmt.Sprintf("%s at 0x%02x of %s", model(t.Chip), t.Address, t.Wires())
		if t.Class != "" {
			where = t.Chip + ", " + t.Place()
		}
		kernel := driverOf(p.Root, t, p.emulated)
		name, asked := p.gateway.reads(t)
		why, remedy := p.gateway.reserves(t)
		switch {
		case kernel.name != "":
			r.Add(t.Name, doctor.Fail, kernel.fix(), "%s: %s", where, kernel.why())
		case asked:
			fix := faultFix
			if t.Class != "" {
				fix = kernelFaultFix
			}
			p.checkAsked(ctx, r, name, where, fix)
		case t.Class == "" && !p.emulated && !p.Exists("/dev/i2c-"+numberOf(t.Bus)):
			r.Add(t.Name, doctor.Skip, "", "%s: the bus is not there", where)
		case why != "":
			r.Add(t.Name, doctor.Skip, remedy, "%s: %s", where, why)
		default:
			p.checkChip(ctx, r, t, where)
		}
	}
}

func (p *patient) checkAsked(ctx context.Context, r *doctor.Report, name, where string, fix func(fault string) string) {
	newest := p.gateway.newest(ctx, name)
	switch {
	case newest.Error != "" && newest.Fault == "":
		r.Add(name, doctor.Skip, newest.Fix, "%s: %s", where, newest.Error)
	case newest.Error != "":
		r.Add(name, doctor.Fail, fix(newest.Fault), "%s: the gateway says %s", where, newest.Fault)
	default:
		r.Add(name, doctor.Pass, "", "%s: %s, %d ms ago, says the gateway", where, newest.Text, newest.AgeMS)
	}
}

// faultFix is what to look for when the gateway names a cause.
func faultFix(fault string) string {
	switch fault {
	case wire.BusDown.String(): // it is missing, closed to the service, or held
		return "see why: journalctl -u gateway"
	case wire.Timeout.String():
		return bus.StuckFix
	case wire.Checksum.String():
		return "interference, or a bus that is too fast for its cable: dtparam=i2c_arm_baudrate=50000 in /boot/firmware/config.txt"
	case wire.Stuck.String():
		return "take the chip's power away for a second"
	}
	return "see who answers: sudo systemctl stop gateway && gateway scan"
}

// checkChip reads a chip again and again, and counts what fails.
func (p *patient) checkChip(ctx context.Context, r *doctor.Report, t config.Sensor, where string) {
	b, chip := p.buses.Bounded(t), chipOf(ctx, p.tree, t)
	first := readOnce(chip, b, t)
	if first.failure != nil {
		// Once may be a lost transfer: who answers there says whether the chip is the right one.
		if first = readOnce(chip, b, t); first.failure != nil {
			r.Add(t.Name, doctor.Fail, fixFor(b, t, first.failure), "%s: %s", where, first.Error)
			return
		}
	}
	c := count(ctx, chip, b, t.Address, p.reads)
	p.evaluate(r, t, where, first, c)
}

// tally is how a chip's measurements went.
type tally struct {
	good   int
	faults map[wire.Fault]int
	took   []time.Duration // of the good ones, sorted
	err    error           // why it could not be opened
}

func count(ctx context.Context, chip sensors.Chip, b i2c.Bus, addr uint16, reads int) tally {
	c := tally{faults: map[wire.Fault]int{}}
	device, err := chip.Open(b, addr)
	if err != nil {
		c.err = err
		return c
	}
	defer func() { _ = device.Halt() }() // its error would say nothing that the counts do not
	values := make([]float32, len(chip.All()))
	pause := func(d time.Duration) {
		select {
		case <-time.After(d):
		case <-ctx.Done():
		}
	}
	if chip.Kernel != nil { // it would give the value of before again
		pause(chip.MinInterval)
	}
	for end := time.Now().Add(chipTime); reads > 0 && time.Now().Before(end) && ctx.Err() == nil; reads-- {
		begin := time.Now()
		if err := device.Sense(values); c.good == 0 && errors.Is(err, wire.WarmingUp) {
			reads++ // it measures by itself, and has nothing yet
		} else if err != nil {
			c.faults[wire.FaultOf(err)]++
		} else {
			c.good++
			c.took = append(c.took, time.Since(begin))
		}
		pause(max(0, chip.MinInterval-time.Since(begin)))
	}
	slices.Sort(c.took)
	return c
}

// evaluate says what the counts mean.
func (p *patient) evaluate(r *doctor.Report, t config.Sensor, where string, first reading, c tally) {
	bad, total := 0, c.good
	var causes []string
	for fault, n := range c.faults {
		bad, total = bad+n, total+n
		causes = append(causes, fmt.Sprintf("%v %d", fault, n))
	}
	slices.Sort(causes)
	speed := p.SpeedOf(numberOf(t.Bus))
	wiring := "a loose contact, a cable that is too long, or a bus that is too fast for it: dtparam=i2c_arm_baudrate=50000 in /boot/firmware/config.txt"
	if t.Class != "" || speed > 0 && speed <= 50_000 {
		wiring = "a loose contact, or a cable that is too long"
	}
	switch {
	case c.err != nil:
		r.Add(t.Name, doctor.Warn, wiring, "%s: read once, then: %v", where, c.err)
	case bad > 0:
		r.Add(t.Name, doctor.Warn, wiring, "%s: %d of %d reads failed: %s", where, bad, total, strings.Join(causes, ", "))
	default:
		evidence := first.Text
		if len(c.took) > 0 {
			evidence = fmt.Sprintf("%s; %d reads good, %.1f ms at the median, %.1f ms at the 99th percentile", first.Text, c.good,
				milliseconds(c.took[len(c.took)/2]), milliseconds(c.took[len(c.took)*99/100]))
		}
		r.Add(t.Name, doctor.Pass, "", "%s: %s", where, evidence)
	}
}

// printReport ends with an error if a check has failed.
func printReport(w io.Writer, r doctor.Report, asJSON bool) error {
	counts := map[doctor.Verdict]int{}
	for _, c := range r {
		counts[c.Verdict]++
	}
	out := printer{w: w}
	if asJSON {
		line, err := json.Marshal(map[string]any{"ok": counts[doctor.Fail] == 0, "checks": r})
		if err != nil {
			return err
		}
		out.printf("%s\n", phrase.EscapeJSON(line))
		return out.end(counts[doctor.Fail] > 0)
	}
	for _, c := range r {
		out.printf("%s  %-12s %s\n", c.Verdict, c.Name, strings.ReplaceAll(c.Evidence, "\n", "\n"+strings.Repeat(" ", 19)))
		if c.Fix != "" {
			out.printf("%19sfix: %s\n", "", c.Fix)
		}
	}
	out.printf("\n%d checks: %d pass, %d warn, %d fail, %d could not be made\n", len(r), counts[doctor.Pass], counts[doctor.Warn], counts[doctor.Fail], counts[doctor.Skip])
	return out.end(counts[doctor.Fail] > 0)
}
