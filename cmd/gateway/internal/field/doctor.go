package field

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"sensorgateway/cmd/gateway/internal/config"
	"sensorgateway/cmd/gateway/internal/console"
	"sensorgateway/cmd/gateway/internal/machine"
	"sensorgateway/cmd/gateway/internal/phrase"
	"sensorgateway/gateway/pins"
	"sensorgateway/sensors/bus"
)

// verdict is what becomes of a check.
type verdict string

const (
	pass verdict = "PASS"
	warn verdict = "WARN" // it works, and may not for long
	fail verdict = "FAIL"
	skip verdict = "SKIP" // it could not be checked
)

// check is one thing that was looked at.
type check struct {
	Name     string  `json:"check"`
	Verdict  verdict `json:"verdict"`
	Evidence string  `json:"evidence"`
	Fix      string  `json:"fix,omitempty"`
}

// report is all checks, in their order.
type report []check

// add adds a check. Errors say the fix themselves, behind "; fix: ".
func (r *report) add(name string, v verdict, fix, format string, args ...any) {
	evidence, said, found := strings.Cut(fmt.Sprintf(format, args...), "; fix: ")
	if found && fix == "" {
		fix = said
	}
	*r = append(*r, check{name, v, evidence, fix})
}

// patient is the machine that is examined. Its functions are the parts of it that
// cannot be given as a directory.
type patient struct {
	root     string
	emulated bool // the chips alone
	cfg      *config.Config
	cfgErr   error
	gateway  *gateway // that runs, nil if none does
	buses    machine.Buses
	tree     fs.FS // where the kernel shows the sensors that it reads
	reads    int

	open    func(path string) error                           // for reading and writing
	holder  func(line string) (string, error)                 // who has claimed it
	command func(name string, args ...string) (string, error) // what a program prints
	synced  func() bool                                       // whether the system clock is
	user    identity
	now     time.Time
}

func doctorCommand(env console.Env, load Load) *cobra.Command {
	var s source
	reads := 20
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Check the machine, the buses, the chips and the service, and say what is wrong and how to mend it",
		Long: "Checks, from the board up to the service, what readings depend on, and changes nothing. Each check shows\n" +
			"what was seen, the verdict, and one fix. Nothing needs root; what cannot be read is said. On a machine whose\n" +
			"gateway runs, that one is asked for its sensors. The exit status is 1 if something is wrong.",
		Example: "  gateway doctor\n  sudo gateway doctor --json",
		Args:    console.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runDoctor(cmd.Context(), env, load, &s, reads)
		},
	}
	s.flags(cmd, env)
	cmd.Flags().IntVar(&reads, "reads", reads, "how often to read each chip, at most for five seconds")
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
	p := &patient{root: s.root, emulated: simulate != nil, cfg: cfg, cfgErr: err, reads: reads,
		open: openBoth, holder: pins.System().Holder, command: runProgram(ctx), synced: machine.ClockSynced, user: whoAmI(s.root), now: time.Now()}
	if err != nil {
		p.cfg = &config.Config{}
	} else if simulate == nil {
		p.gateway = s.running(ctx, cfg)
	}
	if p.buses, err = openBuses(p.cfg.Sensors, simulate); err != nil {
		return err
	}
	defer p.buses.Close()
	if p.tree, err = machine.Tree(p.cfg, simulate, s.root); err != nil {
		return err
	}
	return printReport(env.Stdout, p.examine(ctx), s.json)
}

// examine makes all checks: what others depend on comes first.
func (p *patient) examine(ctx context.Context) (r report) {
	p.checkConfig(&r)
	if !p.emulated {
		p.checkBoard(&r)
		p.checkSupply(&r)
		p.checkBuses(&r)
		p.checkUsers(&r)
	}
	p.checkChips(ctx, &r)
	if !p.emulated {
		p.checkKernelLog(&r)
		p.checkClock(&r)
		p.checkPins(&r)
		p.checkListen(&r)
		p.checkState(&r)
		p.checkUnit(&r)
	}
	return r
}

func printReport(w io.Writer, r report, asJSON bool) error {
	counts := map[verdict]int{}
	for _, c := range r {
		counts[c.Verdict]++
	}
	out := printer{w: w}
	if asJSON {
		line, err := json.Marshal(map[string]any{"ok": counts[fail] == 0, "checks": r})
		if err != nil {
			return err
		}
		out.printf("%s\n", phrase.EscapeJSON(line))
		return out.end(counts[fail] > 0)
	}
	for _, c := range r {
		out.printf("%s  %-12s %s\n", c.Verdict, c.Name, strings.ReplaceAll(c.Evidence, "\n", "\n"+strings.Repeat(" ", 19)))
		if c.Fix != "" {
			out.printf("%19sfix: %s\n", "", c.Fix)
		}
	}
	out.printf("\n%d checks: %d pass, %d warn, %d fail, %d could not be made\n", len(r), counts[pass], counts[warn], counts[fail], counts[skip])
	return out.end(counts[fail] > 0)
}

// text returns what is in a file of the machine, without NULs and white space
// around it; "" if it cannot be read.
func (p *patient) text(path string) string {
	b, err := os.ReadFile(filepath.Join(p.root, path))
	if err != nil {
		return "" // every caller says so
	}
	return strings.Trim(string(b), "\x00\n\t ")
}

func (p *patient) exists(path string) bool {
	_, err := os.Stat(filepath.Join(p.root, path))
	return err == nil
}

// checkConfig says all that is wrong with the file.
func (p *patient) checkConfig(r *report) {
	var missing config.Error
	switch {
	case errors.As(p.cfgErr, &missing) && missing[0].Line == 0: // the file itself
		r.add("config", fail, "gateway config example | sudo tee "+config.DefaultFile+", and name your sensors in it", "%v", p.cfgErr)
	case p.cfgErr != nil:
		r.add("config", fail, "mend the lines named here, then: gateway check", "%v", p.cfgErr)
	case p.cfg.File == "":
		r.add("config", pass, "", "the one of the simulation")
	default:
		r.add("config", pass, "", "%s: sensors %d, motors %d", p.cfg.File, len(p.cfg.Sensors), len(p.cfg.Motors))
	}
}

// openBoth opens a device for reading and writing, as the gateway does, and closes
// it. With an I²C bus that does nothing.
func openBoth(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return f.Close()
}

// runProgram returns what runs a program of the system for a short time.
func runProgram(ctx context.Context) func(name string, args ...string) (string, error) {
	return func(name string, args ...string) (string, error) {
		ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		out, err := exec.CommandContext(ctx, name, args...).Output()
		return string(out), err
	}
}

// onBuses returns the names of the buses of the configuration, once each.
func (p *patient) onBuses() (names []string) {
	seen := map[string]bool{}
	for _, c := range p.cfg.Sensors {
		if !seen[c.Bus] && c.Class == "" {
			names = append(names, c.Bus)
		}
		seen[c.Bus] = true
	}
	return names
}

// adapter returns what the machine knows of a bus; ok is false if it is not there.
func (p *patient) adapter(name string) (a bus.Adapter, ok bool) {
	for _, a := range bus.Adapters(p.root) {
		if a.Number == numberOf(name) {
			return a, true
		}
	}
	return bus.Adapter{}, false
}
