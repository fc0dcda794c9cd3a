// Package doctor has the checks of a machine that readings depend on: the board, its
// supply, the I²C buses and their lines, pins, clock, storage and the service. Each says
// what was seen, a verdict, and one fix.
//
// It changes nothing, needs no root, and refuses to know the chips: whoever reads them
// adds what was found ([Patient.Chips]).
package doctor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"sensorgateway/cmd/gateway/internal/config"
	"sensorgateway/cmd/gateway/internal/machine"
	"sensorgateway/gateway/pins"
	"sensorgateway/sensors/bus"
)

// Verdict is the result of a check.
type Verdict string

// The verdicts.
const (
	Pass Verdict = "PASS"
	Warn Verdict = "WARN" // it works, and may not for long
	Fail Verdict = "FAIL"
	Skip Verdict = "SKIP" // it could not be checked
)

// Check is one thing that was looked at.
type Check struct {
	Name     string  `json:"check"`
	Verdict  Verdict `json:"verdict"`
	Evidence string  `json:"evidence"`
	Fix      string  `json:"fix,omitempty"`
}

// Report is all checks, in their order.
type Report []Check

// Add adds a check. Errors say the fix themselves, behind "; fix: ".
func (r *Report) Add(name string, v Verdict, fix, format string, args ...any) {
	evidence, said, found := strings.Cut(fmt.Sprintf(format, args...), "; fix: ")
	if found && fix == "" {
		fix = said
	}
	*r = append(*r, Check{name, v, evidence, fix})
}

// Patient is the machine that is examined. Its functions are the parts of it that
// cannot be given as a directory.
type Patient struct {
	Root    string // where /sys, /proc and /dev are
	Cfg     *config.Config
	CfgErr  error                             // why it could not be read
	Gateway string                            // the URL of the gateway that runs, "" if none does
	Chips   func(r *Report)                   // adds what is found of the chips
	Open    func(path string, flag int) error // with os.O_RDWR or os.O_WRONLY
	GroupOf func(path string) string
	Line    func(name string) (pins.LineState, error)         // without claiming it
	Command func(name string, args ...string) (string, error) // what a program prints
	Synced  func() bool                                       // whether the system clock is
	User    Identity
	Now     time.Time
}

// New returns this machine, whose files are below root. Programs that are run end with ctx.
func New(ctx context.Context, root string) *Patient {
	return &Patient{Root: root, Open: open, GroupOf: groupOf, Line: pins.System().Look, Command: runProgram(ctx),
		Synced: machine.ClockSynced, User: whoAmI(root), Now: time.Now()}
}

// Examine makes all checks: what others depend on comes first.
func (p *Patient) Examine() (r Report) {
	p.CheckConfig(&r)
	p.checkBoard(&r)
	p.checkSupply(&r)
	p.checkBuses(&r)
	p.checkUsers(&r)
	p.Chips(&r)
	p.checkKernelLog(&r)
	p.checkClock(&r)
	p.checkPins(&r)
	p.checkListen(&r)
	p.checkState(&r)
	p.checkUnit(&r)
	return r
}

// text returns what is in a file of the machine, without NULs and white space
// around it; "" if it cannot be read.
func (p *Patient) text(path string) string {
	b, err := os.ReadFile(filepath.Join(p.Root, path))
	if err != nil {
		return "" // every caller says so
	}
	return strings.Trim(string(b), "\x00\n\t ")
}

// Exists reports whether a file of the machine is there.
func (p *Patient) Exists(path string) bool {
	_, err := os.Stat(filepath.Join(p.Root, path))
	return err == nil
}

// CheckConfig says all that is wrong with the file.
func (p *Patient) CheckConfig(r *Report) {
	var missing config.Error
	switch {
	case errors.As(p.CfgErr, &missing) && missing[0].Line == 0: // the file itself
		r.Add("config", Fail, "gateway config example | sudo tee "+config.DefaultFile+", and name your sensors in it", "%v", p.CfgErr)
	case p.CfgErr != nil:
		r.Add("config", Fail, "mend the lines named here, then: gateway check", "%v", p.CfgErr)
	case p.Cfg.File == "":
		r.Add("config", Pass, "", "the one of the simulation")
	default:
		r.Add("config", Pass, "", "%s: sensors %d, motors %d", p.Cfg.File, len(p.Cfg.Sensors), len(p.Cfg.Motors))
	}
}

// open opens a file as the gateway does, and closes it. For an I²C bus and the files of a
// PWM chip, that has no effect.
func open(path string, flag int) error {
	f, err := os.OpenFile(path, flag, 0)
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
func (p *Patient) onBuses() (names []string) {
	seen := map[string]bool{}
	for _, c := range p.Cfg.Sensors {
		if !seen[c.Bus] && c.Class == "" {
			names = append(names, c.Bus)
		}
		seen[c.Bus] = true
	}
	return names
}

// adapter returns what the machine knows of a bus; ok is false if it is not there.
func (p *Patient) adapter(name string) (a bus.Adapter, ok bool) {
	for _, a := range bus.Adapters(p.Root) {
		if a.Number == numberOf(name) {
			return a, true
		}
	}
	return bus.Adapter{}, false
}

// numberOf returns the N of /dev/i2c-N that a bus is now; its name if it is not there.
func numberOf(name string) string { return cmp.Or(bus.Number(name), name) }
