package doctor

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"sensorgateway/gateway/host"
	"sensorgateway/sensors/bus"
)

const (
	enableI2C = "sudo raspi-config nonint do_i2c 0 && sudo reboot"
	loadI2C   = "sudo modprobe i2c-dev; echo i2c-dev | sudo tee /etc/modules-load.d/i2c.conf"
)

// checkBoard says what the machine is, and whether its I²C is there at all.
func (p *Patient) checkBoard(r *Report) {
	model, release := p.text("proc/device-tree/model"), p.text("proc/sys/kernel/osrelease")
	enable := enableOn(model)
	if model == "" {
		model = runtime.GOOS + "/" + runtime.GOARCH + ", no device tree"
	}
	evidence := fmt.Sprintf("%s, Linux %s", model, release)
	if strings.Contains(p.text("proc/device-tree/compatible"), "bcm2712") && older(release, 6, 6, 23) {
		// raspberrypi/linux PR 6071, March 2024.
		r.Add("board", Warn, "sudo apt full-upgrade", "%s: this kernel cannot free a stuck I²C bus", evidence)
	} else {
		r.Add("board", Pass, "", "%s", evidence)
	}

	node := p.text("proc/device-tree/aliases/i2c1")
	status := p.text(filepath.Join("proc/device-tree", node, "status"))
	devices, _ := filepath.Glob(filepath.Join(p.Root, "dev/i2c-*")) // fails for a malformed pattern only
	for i := range devices {
		devices[i] = filepath.Base(devices[i])
	}
	switch {
	case len(p.Cfg.Sensors) > 0 && len(p.onBuses()) == 0:
		r.Add("i2c", Skip, "", "the kernel reads all sensors, none is on an I²C bus")
	case p.needsHeader() && node != "" && status != "" && status != "okay" && status != "ok":
		r.Add("i2c", Fail, enable, "the header's bus %s is %s in the device tree", node, status)
	case len(devices) == 0 && (node != "" && status != "" || len(bus.Adapters(p.Root)) > 0) && !p.Exists("sys/module/i2c_dev"):
		r.Add("i2c", Fail, loadI2C, "I²C is enabled, but the module i2c-dev is not loaded")
	case len(devices) == 0:
		r.Add("i2c", Fail, enable, "there is no /dev/i2c-*: no I²C bus is enabled")
	default:
		r.Add("i2c", Pass, "", "%s", strings.Join(devices, ", "))
	}
}

// needsHeader returns whether the header's bus is not there and is needed: a sensor is on
// it, or none is on any bus. Without it another adapter may have its number.
func (p *Patient) needsHeader() bool {
	buses := p.onBuses()
	return !p.Exists("dev/i2c-1") && (len(buses) == 0 || slices.ContainsFunc(buses, func(name string) bool { return numberOf(name) == "1" }))
}

// enableOn says how I²C is enabled on a board; model is that of the device tree.
func enableOn(model string) string {
	switch {
	case onPi(model):
		return enableI2C
	case model != "":
		return "enable it as the board's maker says, mostly by a device tree overlay, then " + loadI2C
	}
	return "if the machine has an adapter: " + loadI2C
}

// onPi returns whether the device tree's model is a Raspberry Pi.
func onPi(model string) bool { return strings.Contains(model, "Raspberry Pi") }

// older returns whether a kernel's release is before a version; false if that is not known.
func older(release string, version ...int) bool {
	parts := strings.FieldsFunc(release, func(c rune) bool { return c < '0' || c > '9' })
	for i, want := range version {
		if i >= len(parts) {
			return false
		}
		if n, err := strconv.Atoi(parts[i]); err != nil || n != want {
			return err == nil && n < want
		}
	}
	return false
}

// checkSupply says whether the firmware finds the supply too weak.
func (p *Patient) checkSupply(r *Report) {
	const fix = "use the supply that is made for this board, and a short cable; the sensors' 3.3 V comes from it"
	t := host.NewReader(host.Root(p.Root), "").Read().Throttled
	switch {
	case t == nil || t.UnderVoltage == nil:
		r.Add("supply", Skip, "", "this machine does not say whether its supply is too weak")
	case t.UnderVoltage.Now:
		r.Add("supply", Fail, fix, "the supply is below 4.63 V now")
	case t.UnderVoltage.Occurred:
		r.Add("supply", Warn, fix, "the supply was below 4.63 V since the start")
	case t.Throttled != nil && (t.Throttled.Now || t.FrequencyCapped.Now):
		r.Add("supply", Warn, "cool the board", "the supply is good; the processor is throttled, and on a Raspberry Pi 0 to 3 the I²C clock with it")
	default:
		r.Add("supply", Pass, "", "never too weak since the start")
	}
}

// kernelTrouble is how the kernel's drivers say that a bus has trouble.
var kernelTrouble = []string{"transfer timed out", "controller timed out", "lost arbitration", "SDA stuck at low", "Undervoltage detected"}

// checkKernelLog counts what the kernel said of I²C and of the supply.
func (p *Patient) checkKernelLog(r *Report) {
	text, err := p.Command("journalctl", "-k", "-b", "-o", "cat", "--no-pager")
	if err != nil || strings.Count(text, "\n") < 2 { // a kernel says more than that when it starts
		r.Add("kernel log", Skip, "", "journalctl -k shows nothing; it is for members of the groups adm and systemd-journal")
		return
	}
	counts, last := map[string]int{}, map[string]string{}
	for line := range strings.Lines(text) {
		for _, trouble := range kernelTrouble {
			if strings.Contains(line, trouble) {
				counts[trouble]++
				last[trouble] = strings.TrimSpace(line)
			}
		}
	}
	var seen []string
	for _, trouble := range kernelTrouble {
		if counts[trouble] > 0 {
			seen = append(seen, fmt.Sprintf("%d times: %s", counts[trouble], last[trouble]))
		}
	}
	if len(seen) > 0 {
		r.Add("kernel log", Warn, "see the checks of the bus and of the supply", "%s", strings.Join(seen, "\n"))
		return
	}
	r.Add("kernel log", Pass, "", "no trouble with I²C or the supply since the start")
}

// checkClock says whether readings have the right time.
func (p *Patient) checkClock(r *Report) {
	rtc := "no real-time clock"
	if p.Exists("sys/class/rtc/rtc0") {
		rtc = "with a real-time clock"
	}
	if p.Synced() {
		r.Add("clock", Pass, "", "synchronised, %s", rtc)
		return
	}
	r.Add("clock", Warn, "timedatectl says whether a time server is reached: sudo timedatectl set-ntp true", "not synchronised, %s: readings are marked", rtc)
}

// SpeedOf returns the clock of a bus in Hz as the device tree has it, 0 if it is unknown.
func (p *Patient) SpeedOf(number string) int {
	b, err := os.ReadFile(filepath.Join(p.Root, "sys/class/i2c-dev/i2c-"+number, "device/of_node/clock-frequency"))
	if err != nil || len(b) != 4 {
		return 0
	}
	return int(binary.BigEndian.Uint32(b))
}
