package pins

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// fakeTree is a PWM chip of two channels in a temporary directory. Writes to it
// have the same effects as in the kernel.
type fakeTree struct {
	t      *testing.T
	root   string           // the chips' directory, of a machine's own
	writes []string         // "pwm0/enable=1"
	fail   map[string]error // by such a write, or by the file's name
	slow   time.Duration    // after an export, until the channel's files are there
}

func newFakeTree(t *testing.T) *fakeTree {
	f := &fakeTree{t: t, root: filepath.Join(t.TempDir(), "sys/class/pwm"), fail: map[string]error{}}
	for name, value := range map[string]string{"export": "", "unexport": "", "npwm": "2"} {
		f.put(filepath.Join("pwmchip0", name), value)
	}
	return f
}

func (f *fakeTree) tree() pwmTree { return pwmTree{filepath.Join(f.root, "../../.."), f.write} }

func (f *fakeTree) put(name, value string) {
	path := filepath.Join(f.root, name)
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(value+"\n"), 0o600)); err != nil {
		f.t.Fatal(err)
	}
}

func (f *fakeTree) number(name string) int {
	b, err := os.ReadFile(filepath.Join(f.root, "pwmchip0", name))
	if err != nil {
		f.t.Fatal(err)
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		f.t.Fatal(err)
	}
	return n
}

// exported makes a channel as a process has left it. Its files appear together:
// else, code that waits for them could write to one that is still being made.
func (f *fakeTree) exported(channel string, period, duty, enable int) {
	dir := filepath.Join("pwmchip0", "pwm"+channel)
	for name, v := range map[string]int{"period": period, "duty_cycle": duty, "enable": enable} {
		f.put(filepath.Join(dir+".new", name), strconv.Itoa(v))
	}
	err := errors.Join(os.RemoveAll(filepath.Join(f.root, dir)), os.Rename(filepath.Join(f.root, dir+".new"), filepath.Join(f.root, dir)))
	if err != nil {
		f.t.Fatal(err)
	}
}

func (f *fakeTree) write(to *os.File, value string) error {
	path := to.Name()
	name, err := filepath.Rel(filepath.Join(f.root, "pwmchip0"), path)
	if err != nil {
		f.t.Fatal(err)
	}
	name = filepath.ToSlash(name)
	f.writes = append(f.writes, name+"="+value)
	for _, key := range []string{name + "=" + value, name} {
		if err := f.fail[key]; err != nil {
			return &fs.PathError{Op: "write", Path: path, Err: err}
		}
	}
	v, err := strconv.Atoi(value)
	if err != nil {
		f.t.Fatalf("%s=%s", name, value)
	}
	dir, file := filepath.Split(name)
	switch file {
	case "export":
		if v >= f.number("npwm") {
			return syscall.ENODEV
		}
		if f.slow == 0 {
			f.exported(value, 0, 0, 0)
			return nil
		}
		go func() {
			time.Sleep(f.slow)
			f.exported(value, 0, 0, 0)
		}()
		return nil
	case "unexport":
		return os.RemoveAll(filepath.Join(f.root, "pwmchip0", "pwm"+value))
	}
	period, duty := f.number(dir+"period"), f.number(dir+"duty_cycle")
	switch file {
	case "period":
		period = v
		if v < 100 || v > 100e6 {
			return syscall.EINVAL
		}
	case "duty_cycle":
		duty = v
	}
	if period == 0 || duty > period {
		return syscall.EINVAL
	}
	f.put(filepath.Join("pwmchip0", name), value)
	return nil
}

func TestHardPWM(t *testing.T) {
	f := newFakeTree(t)
	p, err := f.tree().open("pwmchip0/1", 1000)
	if err != nil {
		t.Fatal(err)
	}
	set(t, p, 0.25)
	set(t, p, 1)
	set(t, p, 0)
	set(t, p, 0.5)
	if err := errors.Join(p.Set(0), p.Close()); err != nil {
		t.Error(err)
	}
	want := []string{
		"export=1", "pwm1/period=1000000",
		"pwm1/duty_cycle=250000", "pwm1/enable=1",
		"pwm1/duty_cycle=1000000",
		"pwm1/duty_cycle=0",
		"pwm1/duty_cycle=500000",
		"pwm1/duty_cycle=0", "pwm1/enable=0", "unexport=1",
	}
	if !slices.Equal(f.writes, want) {
		t.Errorf("wrote %v,\nwant  %v", f.writes, want)
	}
	for _, duty := range []float64{-1, 2} {
		if err := p.Set(duty); err == nil {
			t.Errorf("duty %v was taken", duty)
		}
	}
}

// Pulses that a dead process has left end before anything else is set up, and its
// channel stays exported.
func TestHardPWMOfTheDead(t *testing.T) {
	f := newFakeTree(t)
	f.exported("0", 20_000_000, 15_000_000, 1) // a longer period than ours
	p, err := f.tree().open("pwmchip0/0", 1000)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	if want := []string{"pwm0/duty_cycle=0", "pwm0/enable=0", "pwm0/period=1000000"}; !slices.Equal(f.writes, want) {
		t.Errorf("wrote %v, want %v", f.writes, want)
	}
}

func TestHardPWMStateIsInTheFiles(t *testing.T) {
	f := newFakeTree(t)
	p, err := f.tree().open("pwmchip0/0", 1000)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		period, duty, enable int
		want                 float64
	}{
		{1000, 250, 1, 0.25}, {1000, 250, 0, 0}, {0, 0, 1, 0}, {400, 400, 1, 1},
	} {
		for file, v := range map[string]int{"period": tt.period, "duty_cycle": tt.duty, "enable": tt.enable} {
			f.put("pwmchip0/pwm0/"+file, strconv.Itoa(v))
		}
		if got, err := p.Get(); got != tt.want || err != nil {
			t.Errorf("%+v: %v, %v", tt, got, err)
		}
	}
	for _, file := range []string{"period", "duty_cycle", "enable"} {
		was := strconv.Itoa(f.number("pwm0/" + file))
		f.put("pwmchip0/pwm0/"+file, "much")
		if _, err := p.Get(); err == nil || !strings.Contains(err.Error(), "pwmchip0/0: "+file) {
			t.Errorf("%s is no number: %v", file, err)
		}
		f.put("pwmchip0/pwm0/"+file, was)
	}
	for _, file := range []string{"period", "duty_cycle", "enable"} {
		if err := p.files[file].Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := p.Get(); !errors.Is(err, fs.ErrClosed) || !strings.Contains(err.Error(), "pwmchip0/0: read "+file) {
			t.Errorf("%s cannot be read: %v", file, err)
		}
	}
}

// A process that has no descriptor left can still read a channel back, and drive it off.
func TestHardPWMNeedsNoMoreDescriptors(t *testing.T) {
	f := newFakeTree(t)
	p, err := f.tree().open("pwmchip0/0", 1000)
	if err != nil {
		t.Fatal(err)
	}
	p.tree.root = t.TempDir() // whatever is opened from now on is not there
	for _, duty := range []float64{0.5, 1, 0} {
		set(t, p, duty)
	}
	if err := p.off(); err != nil || f.number("pwm0/duty_cycle") != 0 || f.number("pwm0/enable") != 0 {
		t.Errorf("%v, wrote %v", err, f.writes)
	}
}

func TestHardPWMWaitsForUdev(t *testing.T) {
	for _, tt := range []struct {
		slow time.Duration
		ok   bool
	}{{300 * time.Millisecond, true}, {5 * time.Second, false}} {
		synctest.Test(t, func(t *testing.T) {
			f := newFakeTree(t)
			f.slow = tt.slow
			start := time.Now()
			p, err := f.tree().open("pwmchip0/0", 1000)
			waited := time.Since(start)
			time.Sleep(tt.slow)
			if tt.ok {
				if err != nil || waited < tt.slow || waited > tt.slow+udevPoll {
					t.Fatalf("after %v: %v", waited, err)
				}
				set(t, p, 0.5)
				return
			}
			if err == nil || waited < udevTakes || waited > udevTakes+udevPoll || !slices.Contains(f.writes, "unexport=0") {
				t.Errorf("after %v: %v; wrote %v", waited, err, f.writes)
			}
		})
	}
}

// No matter which write fails, the channel has no pulses afterwards.
func TestHardPWMErrors(t *testing.T) {
	f := newFakeTree(t)
	p, err := f.tree().open("pwmchip0/0", 1000)
	if err != nil {
		t.Fatal(err)
	}
	f.fail["pwm0/enable=1"] = syscall.EIO
	if err := p.Set(0.5); !errors.Is(err, syscall.EIO) || !strings.Contains(err.Error(), "pwmchip0/0: set enable to 1") {
		t.Errorf("%v", err)
	}
	if f.number("pwm0/duty_cycle") != 0 || f.number("pwm0/enable") != 0 {
		t.Error("pulses after a failure")
	}
	delete(f.fail, "pwm0/enable=1")
	set(t, p, 0.5)
	f.fail["pwm0/duty_cycle"] = syscall.EIO
	for _, duty := range []float64{0.6, 0} {
		if err := p.Set(duty); !errors.Is(err, syscall.EIO) {
			t.Errorf("set %v: %v", duty, err)
		}
	}
	// The duty cannot be set, so the channel is disabled.
	if err := p.Close(); !errors.Is(err, syscall.EIO) || f.writes[len(f.writes)-2] != "pwm0/enable=0" {
		t.Errorf("%v, wrote %v", err, f.writes)
	}
}

func TestHardPWMOpenErrors(t *testing.T) {
	for _, tt := range []struct {
		what, name string
		hz         int
		prepare    func(*fakeTree)
		is         error
		says       string
	}{
		{"no such chip", "pwmchip9/0", 1000, nil, fs.ErrNotExist, "there is no pwmchip9: /sys/class/pwm has pwmchip0; fix: "},
		{"no such channel", "pwmchip0/2", 1000, nil, syscall.ENODEV, "npwm"},
		{"not a name", "GPIO18", 1000, nil, nil, "not a PWM channel"},
		{"no permission", "pwmchip0/0", 1000, func(f *fakeTree) { f.fail["export"] = syscall.EACCES }, syscall.EACCES, "fix: add yourself"},
		{"read only", "pwmchip0/0", 1000, func(f *fakeTree) { f.fail["export"] = syscall.EROFS }, syscall.EROFS, "fix: ReadWritePaths=/sys/class/pwm/pwmchip0"},
		{"the kernel's", "pwmchip0/0", 1000, func(f *fakeTree) { f.fail["export"] = syscall.EBUSY }, syscall.EBUSY, "driver of the kernel"},
		{"anything else", "pwmchip0/0", 1000, func(f *fakeTree) { f.fail["export"] = syscall.EIO }, syscall.EIO, "claim pwmchip0/0"},
		{"too slow for the chip", "pwmchip0/0", 5, nil, syscall.EINVAL, "the chip cannot do 5 Hz; fix: another pwm_frequency"},
		{"cannot be stopped", "pwmchip0/1", 1000, func(f *fakeTree) {
			f.exported("1", 1000, 500, 1)
			f.fail["pwm1/enable"] = syscall.EIO
		}, syscall.EIO, "pwmchip0/1: set enable to 0"},
	} {
		t.Run(tt.what, func(t *testing.T) {
			f := newFakeTree(t)
			if tt.prepare != nil {
				tt.prepare(f)
			}
			_, err := f.tree().open(tt.name, tt.hz)
			if err == nil || tt.is != nil && !errors.Is(err, tt.is) || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("%v", err)
			}
			if _, err := os.Stat(filepath.Join(f.root, "pwmchip0/pwm0")); err == nil {
				t.Error("left exported")
			}
		})
	}
}

// The fix for a missing PWM chip depends on the machine: only a Raspberry Pi has
// overlays of that name.
func TestNoChip(t *testing.T) {
	for _, tt := range []struct{ model, chips, why, fix string }{
		{"Raspberry Pi 4 Model B Rev 1.4\x00", "", "there is no pwmchip3: /sys/class/pwm has none",
			"write dtoverlay=pwm into /boot/firmware/config.txt, and reboot"},
		{"Raspberry Pi 5 Model B Rev 1.0\x00", "pwmchip0 pwmchip6", "there is no pwmchip3: /sys/class/pwm has pwmchip0, pwmchip6",
			"take one of those (ls -l /sys/class/pwm shows whose each is), or write dtoverlay=pwm into /boot/firmware/config.txt, and reboot"},
		{"Xunlong Orange Pi Zero\x00", "", "there is no pwmchip3: /sys/class/pwm has none",
			"enable a PWM controller in the device tree of this board, Xunlong Orange Pi Zero, as its maker says, mostly by an overlay, and reboot"},
		{"Xunlong Orange Pi Zero\x00", "pwmchip1", "there is no pwmchip3: /sys/class/pwm has pwmchip1",
			"take one of those (ls -l /sys/class/pwm shows whose each is), or enable a PWM controller in the device tree of this board, "},
		{"", "", "there is no pwmchip3: /sys/class/pwm has none", "if this machine has a PWM controller, load its driver"},
	} {
		root := t.TempDir()
		put := func(path, text string) {
			path = filepath.Join(root, path)
			if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(text), 0o600)); err != nil {
				t.Fatal(err)
			}
		}
		if tt.model != "" {
			put("proc/device-tree/model", tt.model)
		}
		for _, chip := range strings.Fields(tt.chips) {
			put(filepath.Join("sys/class/pwm", chip, "npwm"), "1\n")
		}
		if why, fix := NoChip(root, "pwmchip3"); why != tt.why || !strings.HasPrefix(fix, tt.fix) {
			t.Errorf("%q with %q:\ngot  %s; fix: %s\nwant %s; fix: %s", tt.model, tt.chips, why, fix, tt.why, tt.fix)
		}
	}
}

// A file that the kernel does not have is not made.
func TestHardPWMMakesNoFile(t *testing.T) {
	root := t.TempDir()
	chip := filepath.Join(root, pwmClass, "pwmchip0")
	if err := os.MkdirAll(chip, 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := (pwmTree{root, sysPWM.write}).open("pwmchip0/0", 1000); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v", err)
	}
	if _, err := os.Stat(filepath.Join(chip, "export")); err == nil {
		t.Error("it was made")
	}
}
