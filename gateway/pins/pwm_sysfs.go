package pins

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// pwmTree is the kernel's files of PWM chips; their times are in nanoseconds
// (Documentation/driver-api/pwm.rst, "Using PWMs with the sysfs interface").
type pwmTree struct {
	root  string // of the machine
	write func(f *os.File, value string) error
}

// sysPWM is this machine's. The kernel takes each write as a whole value, wherever in the
// file it is.
var sysPWM = pwmTree{"/", func(f *os.File, value string) error {
	_, err := f.WriteAt([]byte(value), 0)
	return err
}}

const (
	udevTakes = time.Second           // at most, from an export to its files' permissions
	udevPoll  = 10 * time.Millisecond // between two checks
)

// hardPWM is a channel of a PWM chip. It is enabled from its first pulse until it is
// closed: while PWM is disabled, the level of the pin depends on the chip.
// Its polarity is left as it is.
type hardPWM struct {
	tree     pwmTree
	name     channelName
	exported bool  // by us
	period   int64 // ns

	// The channel's files, by their names. They stay open: a process that has no descriptor
	// left can drive the channel off all the same.
	files map[string]*os.File
}

// open claims a channel and ends the pulses that a dead process has left there. It
// waits, a second at most, until udev has set the permissions of its files.
func (t pwmTree) open(name string, hz int) (*hardPWM, error) {
	c, err := parseChannel(name)
	if err != nil {
		return nil, err
	}
	p := &hardPWM{tree: t, name: c, period: int64(time.Second) / int64(hz), files: map[string]*os.File{}}
	if err := p.claim(); err != nil {
		return nil, errors.Join(fmt.Errorf("claim %v: %w", p, p.explain(err)), p.release())
	}
	err = p.off()
	if err == nil {
		if err = p.set("period", p.period); errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.ERANGE) {
			err = fmt.Errorf("%w: the chip cannot do %d Hz; fix: another pwm_frequency", err, hz)
		}
	}
	if err != nil {
		return nil, errors.Join(err, p.release())
	}
	return p, nil
}

// String returns "pwmchip0/1".
func (p *hardPWM) String() string { return p.name.String() }

// Set sets the duty.
func (p *hardPWM) Set(duty float64) error {
	if err := checkDuty(duty); err != nil {
		return fmt.Errorf("%v: %w", p, err)
	}
	if err := p.set("duty_cycle", int64(math.Round(duty*float64(p.period)))); err != nil || duty == 0 {
		return err
	}
	enabled, err := p.get("enable")
	if err == nil && enabled == 0 {
		err = p.set("enable", 1)
	}
	if err != nil {
		return errors.Join(err, p.set("duty_cycle", 0))
	}
	return nil
}

// Get returns the duty in the kernel's files.
func (p *hardPWM) Get() (float64, error) {
	enabled, enableErr := p.get("enable")
	on, onErr := p.get("duty_cycle")
	period, periodErr := p.get("period")
	if err := errors.Join(enableErr, onErr, periodErr); err != nil {
		return 0, err
	}
	if enabled == 0 || period == 0 {
		return 0, nil
	}
	return float64(on) / float64(period), nil
}

// Close disables the channel, releases it, and unexports it if open had exported it.
func (p *hardPWM) Close() error {
	return errors.Join(p.off(), p.release())
}

// off ends the pulses, then disables the channel. It writes only what differs:
// a channel that was never set up, whose period is 0, refuses every write except
// that of its period (EINVAL in Linux 6.1, pwm_apply_state).
func (p *hardPWM) off() error {
	var errs [2]error
	for i, file := range []string{"duty_cycle", "enable"} {
		value, err := p.get(file)
		if err != nil || value != 0 {
			err = p.set(file, 0)
		}
		errs[i] = err
	}
	return errors.Join(errs[:]...)
}

// claim makes the channel's files appear, unless they are there, opens and locks them.
// It waits until they can be opened: udev changes their group after they appeared.
func (p *hardPWM) claim() error {
	if _, err := os.Stat(filepath.Dir(p.path(""))); err != nil {
		return err
	}
	if _, err := os.Stat(p.path("")); err != nil {
		if err := p.tell("export"); err != nil {
			return err
		}
		p.exported = true
	}
	for deadline := time.Now().Add(udevTakes); ; time.Sleep(udevPoll) {
		err := p.openFiles()
		if err == nil {
			if err = lock(p.files["duty_cycle"]); err != nil {
				p.exported = false // it is another's now
			}
			return err
		}
		if !time.Now().Before(deadline) {
			return err
		}
	}
}

// openFiles opens those of the channel's files that are not open yet.
func (p *hardPWM) openFiles() error {
	for _, file := range []string{"duty_cycle", "enable", "period"} {
		if p.files[file] != nil {
			continue
		}
		f, err := os.OpenFile(p.path(file), os.O_RDWR, 0)
		if err != nil {
			return err
		}
		p.files[file] = f
	}
	return nil
}

// release unexports the channel, if claim had exported it, and closes its files, which
// unlocks it: in this order nobody can claim a channel that then disappears.
func (p *hardPWM) release() (err error) {
	if p.exported {
		if err = p.tell("unexport"); err != nil {
			err = fmt.Errorf("%v: unexport: %w", p, err)
		}
	}
	for _, f := range p.files {
		_ = f.Close() // each write is complete
	}
	return err
}

// tell writes the channel's number to a file of its chip.
func (p *hardPWM) tell(file string) error {
	f, err := os.OpenFile(filepath.Join(filepath.Dir(p.path("")), file), os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	return errors.Join(p.tree.write(f, strconv.Itoa(int(p.name.channel))), f.Close())
}

func (p *hardPWM) path(file string) string {
	return filepath.Join(p.tree.root, pwmClass, fmt.Sprintf("pwmchip%d", p.name.chip), fmt.Sprintf("pwm%d", p.name.channel), file)
}

func (p *hardPWM) set(file string, value int64) error {
	if err := p.tree.write(p.files[file], strconv.FormatInt(value, 10)); err != nil {
		return fmt.Errorf("%v: set %s to %d: %w", p, file, value, err)
	}
	return nil
}

func (p *hardPWM) get(file string) (int64, error) {
	var b [32]byte // more than a number has
	n, err := p.files[file].ReadAt(b[:], 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return 0, fmt.Errorf("%v: read %s: %w", p, file, err)
	}
	value, err := strconv.ParseInt(strings.TrimSpace(string(b[:n])), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%v: %s is no number: %w", p, file, err)
	}
	return value, nil
}

// explain adds the cause and the fix to the error of a claim.
func (p *hardPWM) explain(err error) error {
	fix := ""
	switch {
	case errors.Is(err, errHeld):
		return err
	case p.exported && errors.Is(err, fs.ErrPermission):
		fix = "udev has not opened its files to the group gpio; fix: add yourself to that group, or a udev rule for the subsystem pwm"
	case errors.Is(err, fs.ErrPermission):
		fix = "PWM is for the group gpio; fix: add yourself to it with usermod -aG gpio, then log in again"
	case errors.Is(err, syscall.EROFS):
		fix = "this service may not write there; fix: ReadWritePaths=/sys/class/pwm/pwmchip" + strconv.Itoa(int(p.name.chip)) + " in its systemd unit"
	case errors.Is(err, syscall.EBUSY):
		fix = "a driver of the kernel uses this channel; fix: use another one"
	case errors.Is(err, syscall.ENODEV):
		fix = "the chip has no such channel; its file npwm says how many"
	case errors.Is(err, fs.ErrNotExist) && !p.exported:
		why, enable := NoChip(p.tree.root, fmt.Sprintf("pwmchip%d", p.name.chip))
		fix = why + "; fix: " + enable
	default:
		return err
	}
	return fmt.Errorf("%w: %s", err, fix)
}
