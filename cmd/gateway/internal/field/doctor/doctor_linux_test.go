package doctor

import (
	"encoding/binary"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"sensorgateway/cmd/gateway/internal/config"
	"sensorgateway/gateway/motor"
	"sensorgateway/gateway/pins"
)

// tree is a machine's files: a text, or where a link leads behind "-> ".
type tree map[string]string

// and returns the tree with some files changed; "" removes one.
func (t tree) and(changes ...string) tree {
	changed := maps.Clone(t)
	for i := 0; i < len(changes); i += 2 {
		if changed[changes[i]] = changes[i+1]; changes[i+1] == "" {
			delete(changed, changes[i])
		}
	}
	return changed
}

func (t tree) write(tb testing.TB) (root string) {
	tb.Helper()
	root = tb.TempDir()
	for path, text := range t {
		path = filepath.Join(root, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			tb.Fatal(err)
		}
		target, link := strings.CutPrefix(text, "-> ")
		err := error(nil)
		if link && strings.HasPrefix(target, "/dev") {
			err = os.Symlink(target, path) // a descriptor: it is read, not followed
		} else if link {
			err = os.Symlink(filepath.Join(root, target), path)
		} else {
			err = os.WriteFile(path, []byte(text), 0o644)
		}
		if err != nil {
			tb.Fatal(err)
		}
	}
	return root
}

// gpiomem is a page of a BCM2835's registers: the functions of GPIO 2 and 3, and levels.
func gpiomem(function2, function3, levels uint32) string {
	page := make([]byte, 0x1000)
	binary.NativeEndian.PutUint32(page, function2<<6|function3<<9)
	binary.NativeEndian.PutUint32(page[0x34:], levels)
	return string(page)
}

const node = "proc/device-tree/soc/i2c@7e804000/"

// pi4 is a Raspberry Pi 4 on which all is well.
var pi4 = tree{
	"proc/device-tree/model":                              "Raspberry Pi 4 Model B Rev 1.4\x00",
	"proc/device-tree/compatible":                         "raspberrypi,4-model-b\x00brcm,bcm2711\x00",
	"proc/device-tree/aliases/i2c1":                       "/soc/i2c@7e804000\x00",
	node + "status":                                       "okay\x00",
	node + "clock-frequency":                              "\x00\x01\x86\xA0",
	"proc/sys/kernel/osrelease":                           "6.6.31+rpt-rpi-v8\n",
	"proc/self/mounts":                                    "/dev/root / ext4 rw,noatime 0 0\n",
	"sys/module/i2c_dev/refcnt":                           "0\n",
	stretching:                                            "35\n",
	"sys/devices/platform/i2c-1/name":                     "bcm2835 (i2c@7e804000)\n",
	"sys/devices/platform/i2c-1/device/of_node":           "-> " + node,
	"sys/class/i2c-dev/i2c-1":                             "-> sys/devices/platform/i2c-1",
	"sys/devices/platform/i2c-20/name":                    "fef04500.i2c\n",
	"sys/class/i2c-dev/i2c-20":                            "-> sys/devices/platform/i2c-20",
	"sys/devices/platform/soc/soc:firmware/get_throttled": "0\n",
	"sys/class/pwm/pwmchip0/npwm":                         "2\n",
	"sys/class/pwm/pwmchip0/export":                       "-",
	"dev/i2c-1":                                           "",
	"dev/i2c-20":                                          "",
	"dev/gpiomem":                                         gpiomem(4, 4, 1<<2|1<<3),
	"etc/group":                                           "i2c:x:998:alice\ngpio:x:997:\n",
	"var/lib/gateway/numbers":                             "",
}

// headerOff is a Raspberry Pi whose I²C nobody has enabled.
var headerOff = pi4.and(node+"status", "disabled\x00", "dev/i2c-1", "", "dev/i2c-20", "", "sys/class/i2c-dev/i2c-1", "", "sys/class/i2c-dev/i2c-20", "")

// examined is what doctor finds on a machine whose chip answers.
func examined(t *testing.T, files tree, change func(*Patient)) Report {
	t.Helper()
	p := &Patient{
		Root: files.write(t), Now: time.Now(),
		Cfg: &config.Config{File: "gateway.yaml", Listen: "127.0.0.1:0",
			Sensors: []config.Sensor{{Name: "indoor", Chip: "sht3x", Bus: "1", Address: 0x44}},
			Motors:  []config.Motor{{Name: "fan", Output: motor.Spec{Kind: motor.DirPWM, Dir: "GPIO26", PWM: "pwmchip0/0"}}}},
		Chips: func(r *Report) { r.Add("indoor", Pass, "", "it answers") },
		Open:  open, GroupOf: groupOf,
		Line: func(name string) (pins.LineState, error) { return header(name, ""), nil },
		Command: func(name string, _ ...string) (string, error) {
			if name == "systemctl" {
				return "LoadState=loaded\nActiveState=active\nResult=success\nNRestarts=0\nSupplementaryGroups=i2c gpio\nDeviceAllow=char-89 rw\nDeviceAllow=char-gpiochip rw\n" +
					"ProtectKernelTunables=yes\nReadWritePaths=-/sys/class/pwm/pwmchip0 -/sys/class/pwm/pwmchip1\n", nil
			}
			return "Booting Linux\nLinux version 6.6.31\ni2c_dev: i2c /dev entries driver\n", nil
		},
		Synced: func() bool { return true },
		User:   Identity{name: "alice", groups: []string{"alice", "i2c"}, member: []string{"i2c"}},
	}
	if change != nil {
		change(p)
	}
	return p.Examine()
}

// troubles returns the checks that did not pass.
func (r Report) troubles() (list []Check) {
	for _, c := range r {
		if c.Verdict != Pass {
			list = append(list, c)
		}
	}
	return list
}

func TestDoctorFindsNothing(t *testing.T) {
	r := examined(t, pi4, nil)
	if bad := r.troubles(); len(bad) > 0 {
		t.Errorf("%+v", bad)
	}
	var names []string
	for _, c := range r {
		names = append(names, c.Name)
	}
	want := []string{"config", "board", "i2c", "supply", "bus 1", "bus 1", "bus 1 lines", "bus 1 SCL", "users", "indoor", "kernel log", "clock", "fan", "port", "state", "service"}
	if !slices.Equal(names, want) {
		t.Errorf("got  %v\nwant %v", names, want)
	}
	if want := "i2c-1 is bcm2835 (i2c@7e804000), the header's pins 3 and 5, 100 kHz"; r[4].Evidence != want {
		t.Errorf("got  %s\nwant %s", r[4].Evidence, want)
	}
}

// Each fault is found, alone, and the fix is the one that helps.
func TestDoctorFindsTheFault(t *testing.T) {
	permission := func(p *Patient) {
		p.Open = refused("/dev/")
	}
	const model, orange = "proc/device-tree/model", "Xunlong Orange Pi Zero\x00"
	const export, enable = "/sys/class/pwm/pwmchip0/export", "/sys/class/pwm/pwmchip0/pwm0/enable"
	pwm := func(path, group string, member ...string) func(*Patient) {
		return func(p *Patient) {
			p.Open, p.GroupOf, p.User.member = refused(path), func(string) string { return group }, member
		}
	}
	for _, tt := range []struct {
		name          string
		files         tree
		change        func(*Patient)
		check         string
		verdict       Verdict
		evidence, fix string
	}{
		{"an old kernel on a Pi 5", pi4.and("proc/device-tree/compatible", "raspberrypi,5-model-b\x00brcm,bcm2712\x00", "proc/sys/kernel/osrelease", "6.6.20-v8", "dev/gpiomem0", gpiomem5(3, 1<<2|1<<3)), nil,
			"board", Warn, "cannot free a stuck I²C bus", "sudo apt full-upgrade"},
		{"I²C off in the device tree", headerOff, nil, "i2c", Fail, "/soc/i2c@7e804000 is disabled in the device tree", enableI2C},
		{"I²C off on another board", headerOff.and(model, orange), nil,
			"i2c", Fail, "is disabled in the device tree", "enable it as the board's maker says"},
		{"no I²C on another board", headerOff.and(model, orange, "proc/device-tree/aliases/i2c1", ""), nil,
			"i2c", Fail, "there is no /dev/i2c-*", "enable it as the board's maker says"},
		{"no module", pi4.and("dev/i2c-1", "", "dev/i2c-20", "", "sys/module/i2c_dev/refcnt", ""), nil,
			"i2c", Fail, "the module i2c-dev is not loaded", "sudo modprobe i2c-dev"},
		{"under-voltage", pi4.and("sys/devices/platform/soc/soc:firmware/get_throttled", "50005\n"), nil, "supply", Fail, "below 4.63 V now", "use the supply"},
		{"under-voltage, once", pi4.and("sys/devices/platform/soc/soc:firmware/get_throttled", "50000\n"), nil, "supply", Warn, "was below 4.63 V", "use the supply"},
		{"throttled", pi4.and("sys/devices/platform/soc/soc:firmware/get_throttled", "60006\n"), nil, "supply", Warn, "throttled", "cool the board"},
		{"a display's bus", pi4, func(p *Patient) { p.Cfg.Sensors[0].Bus = "20" },
			"bus 20", Fail, "i2c-20 is fef04500.i2c, a display", "the header is i2c-1: write bus: 1"},
		{"a channel by its number", pi4.and("sys/devices/platform/i2c-7/name", "i2c-1-mux (chan_id 3)\n", "sys/class/i2c-dev/i2c-7", "-> sys/devices/platform/i2c-7", "dev/i2c-7", " "), func(p *Patient) { p.Cfg.Sensors[0].Bus = "7" },
			"bus 7", Warn, "i2c-7 is i2c-1-mux (chan_id 3), a multiplexer's channel", "write bus: i2c-1-mux (chan_id 3)"},
		{"no such bus", pi4, func(p *Patient) { p.Cfg.Sensors[0].Bus = "7" }, "bus 7", Fail, "/dev/i2c-7 is not there", "write bus: 1"},
		{"permission", pi4, func(p *Patient) { permission(p); p.User.member = nil; p.User.groups = nil },
			"bus 1", Fail, "alice may not use /dev/i2c-1, which is for the group " + groupOfMine(t), "sudo usermod -aG " + groupOfMine(t) + " alice, then log out and in"},
		{"an old shell", pi4, func(p *Patient) {
			permission(p)
			p.User.member, p.User.groups = []string{groupOfMine(t)}, nil
		}, "bus 1", Fail, "alice may not use", "log out and in: this shell began before alice was in the group " + groupOfMine(t)},
		{"SDA held", pi4.and("dev/gpiomem", gpiomem(4, 4, 1<<3)), nil, "bus 1 lines", Fail, "SDA is low all the time", "take the sensors' power away"},
		{"SCL held", pi4.and("dev/gpiomem", gpiomem(4, 4, 1<<2)), nil, "bus 1 lines", Fail, "SCL is low all the time", "take the sensors' power away"},
		{"no 3.3 V", pi4.and("dev/gpiomem", gpiomem(4, 4, 0)), nil, "bus 1 lines", Fail, "both low", "connect 3.3 V (pin 1)"},
		{"the pins taken", pi4.and("dev/gpiomem", gpiomem(1, 4, 1<<2|1<<3)), nil, "bus 1 lines", Fail, "GPIO 2 has function 1, not a0", "pinctrl set 2,3 a0"},
		{"no gpiomem", pi4.and("dev/gpiomem", ""), nil, "bus 1 lines", Skip, "no such file", ""},
		{"another program", pi4.and("proc/77/fd/4", "-> /dev/i2c-1", "proc/77/comm", "python3\n"), nil,
			"users", Warn, "python3 (process 77) has /dev/i2c-1 open", "stop it"},
		{"the kernel has seen it", pi4, func(p *Patient) {
			before := p.Command
			p.Command = func(name string, args ...string) (string, error) {
				if name == "journalctl" {
					return "Booting Linux\ni2c-bcm2835 fe804000.i2c: i2c transfer timed out\ni2c-bcm2835 fe804000.i2c: i2c transfer timed out\n", nil
				}
				return before(name, args...)
			}
		}, "kernel log", Warn, "2 times: i2c-bcm2835 fe804000.i2c: i2c transfer timed out", "see the checks"},
		{"the kernel's log is closed", pi4, func(p *Patient) {
			before := p.Command
			p.Command = func(name string, args ...string) (string, error) {
				if name == "journalctl" {
					return "", nil
				}
				return before(name, args...)
			}
		}, "kernel log", Skip, "systemd-journal", ""},
		{"the clock", pi4, func(p *Patient) { p.Synced = func() bool { return false } }, "clock", Warn, "not synchronised, no real-time clock", "set-ntp true"},
		{"a line in use", pi4, func(p *Patient) {
			p.Line = func(name string) (pins.LineState, error) { return header(name, "pigpiod"), nil }
		},
			"fan", Fail, `GPIO26 is held by "pigpiod"`, "stop that program"},
		{"no such line", pi4, func(p *Patient) {
			p.Line = func(string) (pins.LineState, error) {
				return pins.LineState{}, errors.New("no such line; fix: gpioinfo lists them")
			}
		}, "fan", Fail, "no such line", "gpioinfo lists them"},
		{"a relay at boot", pi4, drives(motor.Spec{Kind: motor.OnOff, Pin: "GPIO4"}), "fan", Warn, "GPIO4 is high from power-up until the gateway starts, which turns fan on", "use one of GPIO9 to 27, or write gpio=4=op,dl into /boot/firmware/config.txt and reboot"},
		{"a relay that is on when low", pi4, drives(motor.Spec{Kind: motor.OnOff, Pin: "GPIO17", ActiveLow: true}), "fan", Warn, "GPIO17 is low from power-up", "use one of GPIO0 to 8, or write gpio=17=op,dh into"},
		{"a bridge at boot", pi4, drives(motor.Spec{Kind: motor.HBridge, In1: "GPIO9", In2: "GPIO8"}), "fan", Warn, "GPIO8 is high from power-up", "use one of GPIO9 to 27"},
		{"an enabled bridge", pi4, drives(motor.Spec{Kind: motor.HBridge, In1: "GPIO5", In2: "GPIO6", Enable: "GPIO7"}), "fan", Warn, "GPIO7 is high from power-up", "use one of GPIO9 to 27"},
		{"the clock is not stretched", pi4.and(stretching, "10\n"), nil, "bus 1 SCL", Warn, "may stretch the clock for 10 ms only", "clk_tout_ms=35"},
		{"stretching that cannot be read", pi4.and(stretching, "?\n"), nil, "bus 1 SCL", Skip, "clk_tout_ms", ""},
		{"no such channel", pi4.and("sys/class/pwm/pwmchip0/npwm", "1\n"), drives(motor.Spec{Kind: motor.DirPWM, Dir: "GPIO26", PWM: "pwmchip0/1"}), "fan", Fail, "pwmchip0 has 1 channels, numbered from 0", "write another channel"},
		{"no such channel on another board", pi4.and("sys/class/pwm/pwmchip0/npwm", "1\n", model, orange), drives(motor.Spec{Kind: motor.DirPWM, Dir: "GPIO26", PWM: "pwmchip0/1"}), "fan", Fail, "numbered from 0", "write another channel"},
		{"no PWM", pi4.and("sys/class/pwm/pwmchip0/npwm", "", export[1:], ""), nil, "fan", Fail, "there is no pwmchip0: /sys/class/pwm has none", "write dtoverlay=pwm into"},
		{"no PWM on another board", pi4.and("sys/class/pwm/pwmchip0/npwm", "", export[1:], "", model, orange), nil, "fan", Fail, "there is no pwmchip0", "enable a PWM controller in the device tree of this board, Xunlong Orange Pi Zero"},
		{"PWM of a group", pi4, pwm(export, "gpio"), "fan", Fail, "alice may not write " + export + ", which is for the group gpio", "sudo usermod -aG gpio alice, then log out and in"},
		{"PWM, and an old shell", pi4, pwm(export, "gpio", "gpio"), "fan", Fail, "alice may not write " + export, "log out and in: this shell began before alice was in the group gpio"},
		{"PWM of nobody", pi4, pwm(export, "root"), "fan", Fail, "which is for the group root", "/etc/udev/rules.d/99-pwm.rules"},
		{"PWM, exported before", pi4.and(enable[1:], "0\n", "sys/class/pwm/pwmchip0/pwm0/period", "0\n", "sys/class/pwm/pwmchip0/pwm0/duty_cycle", "0\n"), pwm(enable, "gpio"),
			"fan", Fail, "alice may not write " + enable, "sudo usermod -aG gpio alice"},
		{"PWM without files", pi4.and(export[1:], ""), nil, "fan", Fail, export + ": no such file", "journalctl -k"},
		{"the port", pi4, func(p *Patient) { p.Cfg.Listen = "203.0.113.7:8765" }, "port", Fail, "no such address", "ip addr"},
		{"a gateway ahead of the network", pi4, func(p *Patient) { p.Gateway, p.Cfg.Listen = "http://203.0.113.7:8765", "203.0.113.7:8765" }, "port", Fail, "no such address", "ip addr"},
		{"no state", pi4, func(p *Patient) { p.Cfg.State = "/var/lib/nope" }, "state", Fail, "/var/lib/nope: ", "sudo install -d"},
		{"read-only", pi4.and("proc/self/mounts", "/dev/root / ext4 ro,noatime 0 0\n"), nil, "state", Fail, "read-only", "replace it"},
		{"a bad card", pi4.and("sys/fs/ext4/mmcblk0p2/errors_count", "3\n"), nil, "state", Warn, "3 errors of the file system on mmcblk0p2", "back up the card"},
		{"a worn card", pi4.and("sys/block/mmcblk0/device/life_time", "0x0a 0x01\n"), nil, "state", Warn, "100 % of its life", "replace the card"},
		{"the service restarts", pi4, unit("ActiveState=activating\nNRestarts=7"), "service", Fail, "activating, ", "journalctl -u gateway"},
		{"its groups", pi4, unit("SupplementaryGroups=gpio"), "service", Fail, "not in the group i2c", "SupplementaryGroups=i2c"},
		{"its groups, for motors", pi4, unit("SupplementaryGroups=i2c"), "service", Fail, "not in the group gpio", "SupplementaryGroups=gpio"},
		{"its devices", pi4, unit("DeviceAllow=char-gpiochip rw"), "service", Fail, "may not use I²C devices", "DeviceAllow=char-89 rw"},
		{"its devices, for motors", pi4, unit("DeviceAllow=char-89 rw"), "service", Fail, "may not use GPIO lines", "DeviceAllow=char-gpiochip rw"},
		{"its PWM chips", pi4, unit("ReadWritePaths=-/sys/class/pwm/pwmchip1"), "service", Fail, "may not write to /sys/class/pwm/pwmchip0", "add ReadWritePaths=-/sys/class/pwm/pwmchip0"},
		{"no service", pi4, unit("LoadState=not-found"), "service", Skip, "no gateway.service", ""},
		{"the file", pi4, func(p *Patient) {
			p.CfgErr, p.Cfg = config.Error{{File: "gateway.yaml", Line: 3, Text: "sensors[0].nope: unknown key"}}, &config.Config{}
		}, "config", Fail, "gateway.yaml:3: sensors[0].nope: unknown key", "gateway check"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := examined(t, tt.files, tt.change)
			for _, c := range r {
				if tt.files[model] == orange && strings.Contains(c.Fix, "dtoverlay") {
					t.Errorf("an overlay of a Raspberry Pi on another board: %+v", c)
				}
				if c.Name == tt.check && c.Verdict == tt.verdict && strings.Contains(c.Evidence, tt.evidence) && strings.Contains(c.Fix, tt.fix) &&
					(tt.fix != "") == (c.Fix != "") {
					if other := slices.DeleteFunc(r.troubles(), func(o Check) bool { return o == c || o.Verdict == Skip }); len(other) > 0 {
						t.Errorf("and besides: %+v", other)
					}
					return
				}
			}
			t.Errorf("not found in %+v", r.troubles())
		})
	}
}

// With the sensors on another bus, the header's bus is not needed.
func TestDoctorOfAnotherBus(t *testing.T) {
	onGPIO := headerOff.and("sys/devices/platform/i2c-3/name", "i2c-gpio\n", "sys/class/i2c-dev/i2c-3", "-> sys/devices/platform/i2c-3", "dev/i2c-3", " ")
	r := examined(t, onGPIO, func(p *Patient) { p.Cfg.Sensors[0].Bus = "3" })
	if bad := r.troubles(); len(bad) > 0 {
		t.Errorf("%+v", bad)
	}
}

// If a gateway runs, this user needs no permission for its devices.
func TestChannelOfAGateway(t *testing.T) {
	r := examined(t, pi4, func(p *Patient) { p.Gateway, p.Open = "http://localhost:8765", refused("/sys/") })
	if c := r[slices.IndexFunc(r, func(c Check) bool { return c.Name == "fan" })]; c.Verdict != Pass {
		t.Errorf("%+v", c)
	}
}

// refused opens everything but the files with a part in their names.
func refused(part string) func(string, int) error {
	return func(path string, flag int) error {
		if strings.Contains(path, part) {
			return &fs.PathError{Op: "open", Path: path, Err: fs.ErrPermission}
		}
		return open(path, flag)
	}
}

const stretching = "sys/module/i2c_bcm2835/parameters/clk_tout_ms"

// header is the state of a line of the header that somebody has.
func header(name, holder string) pins.LineState {
	n, _ := strconv.Atoi(strings.TrimPrefix(name, "GPIO"))
	return pins.LineState{Chip: "gpiochip0 (pinctrl-bcm2711)", Header: true, Offset: n, Holder: holder}
}

// drives makes the motor another.
func drives(o motor.Spec) func(*Patient) {
	return func(p *Patient) { p.Cfg.Motors[0].Output = o }
}

// A line that the firmware sets right, or that alone turns no motor on, is no trouble.
func TestLinesAtBoot(t *testing.T) {
	for name, tt := range map[string]struct {
		config string
		output motor.Spec
		want   string
	}{
		"the firmware":      {"gpio=2-5,9=op,dl\r\n", motor.Spec{Kind: motor.OnOff, Pin: "GPIO4"}, "GPIO4 of gpiochip0 (pinctrl-bcm2711), an input, nobody has it"},
		"pulled down":       {"gpio=4=pd", motor.Spec{Kind: motor.OnOff, Pin: "GPIO4"}, "GPIO4 of "},
		"low":               {"", motor.Spec{Kind: motor.OnOff, Pin: "GPIO17"}, "GPIO17 of "},
		"high, on when low": {"", motor.Spec{Kind: motor.OnOff, Pin: "GPIO4", ActiveLow: true}, "GPIO4 of "},
		"a direction":       {"", motor.Spec{Kind: motor.DirPWM, Dir: "GPIO4", PWM: "GPIO12"}, "GPIO4 of "},
		"a sleeping bridge": {"", motor.Spec{Kind: motor.HBridge, In1: "GPIO5", In2: "GPIO6", Enable: "GPIO12", Standby: "GPIO7"}, "GPIO5 of "},
	} {
		r := examined(t, pi4.and("boot/firmware/config.txt", tt.config, "sys/module/pinctrl_bcm2835/parameters/persist_gpio_outputs", "N\n"), drives(tt.output))
		i := slices.IndexFunc(r, func(c Check) bool { return c.Name == "fan" })
		if c := r[i]; c.Verdict != Pass || !strings.HasPrefix(c.Evidence, tt.want) || !strings.HasSuffix(c.Evidence, "(strict_gpiod)") {
			t.Errorf("%s: %+v", name, c)
		}
	}
}

// gpiomem5 is the registers of a Raspberry Pi 5's pins.
func gpiomem5(function, levels uint32) string {
	page := make([]byte, 0x30000)
	for _, at := range []int{2*8 + 4, 3*8 + 4} {
		binary.NativeEndian.PutUint32(page[at:], function)
	}
	binary.NativeEndian.PutUint32(page[0x10008:], levels)
	return string(page)
}

// unit changes what systemd says of the service.
func unit(lines string) func(*Patient) {
	return func(p *Patient) {
		before := p.Command
		p.Command = func(name string, args ...string) (string, error) {
			text, err := before(name, args...)
			for line := range strings.SplitSeq(lines, "\n") {
				key, _, _ := strings.Cut(line, "=")
				var kept []string
				for old := range strings.SplitSeq(text, "\n") {
					if !strings.HasPrefix(old, key+"=") {
						kept = append(kept, old)
					}
				}
				text = strings.Join(append(kept, line), "\n")
			}
			return text, err
		}
	}
}

// groupOfMine is the group that a new file has.
func groupOfMine(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "x")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	return groupOf(path)
}

func TestOlder(t *testing.T) {
	for release, want := range map[string]bool{
		"6.6.22-rpi": true, "6.6.23": false, "6.6.24+rpt": false, "6.7.1": false, "6.1.99": true, "5.15": true, "6.12": false, "": false, "six": false, "6.6": false,
	} {
		if older(release, 6, 6, 23) != want {
			t.Errorf("%q", release)
		}
	}
}
