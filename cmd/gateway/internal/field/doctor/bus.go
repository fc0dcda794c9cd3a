package doctor

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"sensorgateway/cmd/gateway/internal/machine/lines"
	"sensorgateway/sensors/bus"
)

// checkBuses looks at each bus of the configuration: is it there, is it the right
// one, may we use it, are its lines high.
func (p *Patient) checkBuses(r *Report) {
	for _, name := range p.onBuses() {
		title, number := "bus "+name, numberOf(name)
		path := "/dev/i2c-" + number
		a, known := p.adapter(name)
		if devices, _ := filepath.Glob(filepath.Join(p.Root, "dev/i2c-*")); len(devices) == 0 {
			r.Add(title, Skip, "", "%s is not there, nor any other: see the check of i2c", path)
			continue
		}
		if !p.Exists(path) {
			r.Add(title, Fail, p.otherBus(), "%s is not there", path)
			continue
		}
		switch {
		case known && !a.Kind.ForSensors():
			r.Add(title, Fail, p.otherBus(), "i2c-%s is %s, %s", number, a.Name, a.Kind)
		case known && a.Kind == bus.USB && number == name:
			r.Add(title, Warn, "write bus: "+firstWord(a.Name)+", or its USB port", "i2c-%s is %s, %s: its number changes from plug to plug", number, a.Name, a.Kind)
		case known && a.Kind == bus.Mux && number == name && p.alone(a):
			r.Add(title, Warn, "write bus: "+a.Name, "i2c-%s is %s, %s: its number may change from boot to boot", number, a.Name, a.Kind)
		case known:
			speed := ""
			if hz := p.SpeedOf(number); hz > 0 {
				speed = fmt.Sprintf(", %d kHz", hz/1000)
			}
			r.Add(title, Pass, "", "i2c-%s is %s, %s%s", number, a.Name, a.Kind, speed)
		default:
			r.Add(title, Pass, "", "%s is there; the kernel does not say what it is", path)
		}
		p.checkPermission(r, title, path)
		if a.Kind == bus.Header {
			p.checkLines(r, title)
			p.checkStretching(r, title)
		}
	}
}

func firstWord(s string) string {
	word, _, _ := strings.Cut(s, " ")
	return word
}

// alone reports whether no other bus has the same name.
func (p *Patient) alone(a bus.Adapter) bool {
	return !slices.ContainsFunc(bus.Adapters(p.Root), func(b bus.Adapter) bool { return b.Name == a.Name && b != a })
}

// otherBus names the buses that sensors can be on.
func (p *Patient) otherBus() string {
	var list []string
	for _, a := range bus.Adapters(p.Root) {
		if a.Kind == bus.Header {
			return "the header is i2c-" + a.Number + ": write bus: " + a.Number
		}
		if a.Kind.ForSensors() {
			list = append(list, fmt.Sprintf("bus: %s (%s, %s)", a.Number, a.Name, a.Kind))
		}
	}
	if len(list) == 0 {
		return "see the check of i2c: there is no bus for sensors"
	}
	return "write " + strings.Join(list, ", or ")
}

// Identity is the user who runs the checks.
type Identity struct {
	name   string
	groups []string // of this process
	member []string // of the file /etc/group, which a login reads
}

func whoAmI(root string) (id Identity) {
	me, err := user.Current()
	if err != nil {
		return Identity{name: strconv.Itoa(os.Geteuid())}
	}
	id.name = me.Username
	numbers, _ := os.Getgroups() // none on Windows
	for _, gid := range numbers {
		if g, err := user.LookupGroupId(strconv.Itoa(gid)); err == nil {
			id.groups = append(id.groups, g.Name)
		}
	}
	f, err := os.Open(filepath.Join(root, "etc/group"))
	if err != nil {
		return id // nothing to compare with
	}
	defer f.Close()
	for in := bufio.NewScanner(f); in.Scan(); {
		if parts := strings.Split(in.Text(), ":"); len(parts) == 4 && slices.Contains(strings.Split(parts[3], ","), id.name) {
			id.member = append(id.member, parts[0])
		}
	}
	return id
}

// checkPermission opens a bus, which makes no transfer.
func (p *Patient) checkPermission(r *Report, title, path string) {
	err := p.Open(filepath.Join(p.Root, path), os.O_RDWR)
	switch {
	case err == nil:
		r.Add(title, Pass, "", "%s may read and write %s", p.User.name, path)
	case errors.Is(err, fs.ErrPermission):
		group := p.GroupOf(filepath.Join(p.Root, path))
		evidence := fmt.Sprintf("%s may not use %s, which is for the group %s", p.User.name, path, group)
		if p.Gateway != "" {
			r.Add(title, Pass, "", "%s; the gateway that runs may", evidence)
			return
		}
		r.Add(title, Fail, p.join(group), "%s", evidence)
	default:
		r.Add(title, Fail, "see the kernel's log: journalctl -k", "%v", err)
	}
}

// join says how the user gets into a group.
func (p *Patient) join(group string) string {
	if slices.Contains(p.User.member, group) && !slices.Contains(p.User.groups, group) {
		return fmt.Sprintf("log out and in: this shell began before %s was in the group %s", p.User.name, group)
	}
	return fmt.Sprintf("sudo usermod -aG %s %s, then log out and in", group, p.User.name)
}

// checkLines looks at the levels of SDA and SCL without claiming them: to claim a line
// through the GPIO chip would take its pin from the I²C bus until that is bound again.
func (p *Patient) checkLines(r *Report, title string) {
	pi5 := strings.Contains(p.text("proc/device-tree/compatible"), "bcm2712")
	l, err := lines.Watch(p.Root, pi5)
	if err != nil {
		r.Add(title+" lines", Skip, "", "%v; pinctrl get 2,3 prints them", err)
		return
	}
	const power = "take the sensors' power away for a second; if a line stays low with them unplugged, it is a short or a wrong pin"
	switch {
	case l.Function != "":
		r.Add(title+" lines", Fail, "stop the program that took the pins (pigpiod, rpio), then: pinctrl set 2,3 "+l.Want+", or reboot", "the pins are not the bus's: %s", l.Function)
	case !l.SDA && !l.SCL:
		r.Add(title+" lines", Fail, "connect 3.3 V (pin 1) to the module", "SDA and SCL are both low: no 3.3 V on the pull-ups, or a module without power")
	case !l.SDA:
		r.Add(title+" lines", Fail, power, "SDA is low all the time: a chip holds it, most often one that was cut off in the middle of a read or has no power")
	case !l.SCL:
		r.Add(title+" lines", Fail, power, "SCL is low all the time: a chip stretches the clock for ever, or has no power")
	default:
		r.Add(title+" lines", Pass, "", "SDA and SCL are high when idle")
	}
}

// enough is for how many milliseconds a chip may hold SCL (SMBus 3.2, table 1: 35 ms).
const enough = 35

// checkStretching looks at how long the controller of a Raspberry Pi 0 to 4 waits for a
// chip that holds SCL while it works.
func (p *Patient) checkStretching(r *Report, title string) {
	const (
		parameter = "sys/module/i2c_bcm2835/parameters/clk_tout_ms"
		fix       = "echo options i2c_bcm2835 clk_tout_ms=35 | sudo tee /etc/modprobe.d/i2c.conf, and reboot; for a chip that needs longer: dtoverlay=i2c-gpio,bus=3 in /boot/firmware/config.txt, and bus: 3"
	)
	if !p.Exists(parameter) {
		return // of a Raspberry Pi 5, or another machine: there is none
	}
	ms, err := strconv.Atoi(p.text(parameter))
	switch {
	case err != nil:
		r.Add(title+" SCL", Skip, "", "/%s: %v", parameter, err)
	case ms < enough:
		r.Add(title+" SCL", Warn, fix, "a chip may stretch the clock for %d ms only", ms)
	default:
		r.Add(title+" SCL", Pass, "", "a chip may stretch the clock for %d ms", ms)
	}
}

// checkUsers looks for other programs that have a bus open.
func (p *Patient) checkUsers(r *Report) {
	if p.Gateway != "" {
		r.Add("users", Pass, "", "the gateway that runs at %s has the buses; it is asked for its sensors", p.Gateway)
		return
	}
	var names []string
	for _, u := range bus.Users(p.Root) {
		names = append(names, fmt.Sprintf("%s (process %s) has %s open", u.Name, u.PID, u.Device))
	}
	who := "no other program that we may see has a bus open"
	if os.Geteuid() != 0 {
		who += " (with sudo all are seen)"
	}
	if len(names) == 0 {
		r.Add("users", Pass, "", "%s", who)
		return
	}
	slices.Sort(names)
	r.Add("users", Warn, "stop it, or give its device a bus of its own: a display's long transfers make readings late", "%s", strings.Join(slices.Compact(names), "\n"))
}

// groupOf returns the group of a file, "its owner's" if it cannot be told.
func groupOf(path string) string {
	if info, err := os.Stat(path); err == nil {
		if name := groupName(info); name != "" {
			return name
		}
	}
	return "its owner's"
}
