package field

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

	"sensorgateway/cmd/gateway/internal/field/lines"
	"sensorgateway/sensors/bus"
)

// checkBuses looks at each bus of the configuration: is it there, is it the right
// one, may we use it, are its lines high.
func (p *patient) checkBuses(r *report) {
	for _, name := range p.onBuses() {
		title, number := "bus "+name, numberOf(name)
		path := "/dev/i2c-" + number
		a, known := p.adapter(name)
		if devices, _ := filepath.Glob(filepath.Join(p.root, "dev/i2c-*")); len(devices) == 0 {
			r.add(title, skip, "", "%s is not there, nor any other: see the check of i2c", path)
			continue
		}
		if !p.exists(path) {
			r.add(title, fail, p.otherBus(), "%s is not there", path)
			continue
		}
		switch {
		case known && !a.Kind.ForSensors():
			r.add(title, fail, p.otherBus(), "i2c-%s is %s, %s", number, a.Name, a.Kind)
		case known && a.Kind == bus.USB && number == name:
			r.add(title, warn, "write bus: "+firstWord(a.Name)+", or its USB port", "i2c-%s is %s, %s: its number changes from plug to plug", number, a.Name, a.Kind)
		case known:
			speed := ""
			if hz := p.speedOf(number); hz > 0 {
				speed = fmt.Sprintf(", %d kHz", hz/1000)
			}
			r.add(title, pass, "", "i2c-%s is %s, %s%s", number, a.Name, a.Kind, speed)
		default:
			r.add(title, pass, "", "%s is there; the kernel does not say what it is", path)
		}
		p.checkPermission(r, title, path)
		if a.Kind == bus.Header {
			p.checkLines(r, title)
		}
	}
}

func firstWord(s string) string {
	word, _, _ := strings.Cut(s, " ")
	return word
}

// otherBus names the buses that sensors can be on.
func (p *patient) otherBus() string {
	var list []string
	for _, a := range bus.Adapters(p.root) {
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

// identity is who asks.
type identity struct {
	name   string
	groups []string // of this process
	member []string // of the file /etc/group, which a login reads
}

func whoAmI(root string) (id identity) {
	me, err := user.Current()
	if err != nil {
		return identity{name: strconv.Itoa(os.Geteuid())}
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
func (p *patient) checkPermission(r *report, title, path string) {
	err := p.open(filepath.Join(p.root, path))
	switch {
	case err == nil:
		r.add(title, pass, "", "%s may read and write %s", p.user.name, path)
	case errors.Is(err, fs.ErrPermission):
		group := groupOf(filepath.Join(p.root, path))
		evidence := fmt.Sprintf("%s may not use %s, which is for the group %s", p.user.name, path, group)
		fix := fmt.Sprintf("sudo usermod -aG %s %s, then log out and in", group, p.user.name)
		if slices.Contains(p.user.member, group) && !slices.Contains(p.user.groups, group) {
			fix = fmt.Sprintf("log out and in: this shell began before %s was in the group %s", p.user.name, group)
		}
		if p.gateway != nil {
			r.add(title, pass, "", "%s; the gateway that runs may", evidence)
			return
		}
		r.add(title, fail, fix, "%s", evidence)
	default:
		r.add(title, fail, "see the kernel's log: journalctl -k", "%v", err)
	}
}

// checkLines looks at the levels of SDA and SCL without claiming them: to claim a line
// through the GPIO chip would take its pin from the I²C bus until that is bound again.
func (p *patient) checkLines(r *report, title string) {
	pi5 := strings.Contains(p.text("proc/device-tree/compatible"), "bcm2712")
	l, err := lines.Watch(p.root, pi5)
	if err != nil {
		r.add(title+" lines", skip, "", "%v; pinctrl get 2,3 prints them", err)
		return
	}
	const power = "take the sensors' power away for a second; if a line stays low with them unplugged, it is a short or a wrong pin"
	switch {
	case l.Function != "":
		r.add(title+" lines", fail, "stop the program that took the pins (pigpiod, rpio), then: pinctrl set 2,3 "+l.Want+", or reboot", "the pins are not the bus's: %s", l.Function)
	case !l.SDA && !l.SCL:
		r.add(title+" lines", fail, "connect 3.3 V (pin 1) to the module", "SDA and SCL are both low: no 3.3 V on the pull-ups, or a module without power")
	case !l.SDA:
		r.add(title+" lines", fail, power, "SDA is low all the time: a chip holds it, most often one that was cut off in the middle of a read or has no power")
	case !l.SCL:
		r.add(title+" lines", fail, power, "SCL is low all the time: a chip stretches the clock for ever, or has no power")
	default:
		r.add(title+" lines", pass, "", "SDA and SCL are high when idle")
	}
}

// checkUsers looks for other programs that have a bus open.
func (p *patient) checkUsers(r *report) {
	if p.gateway != nil {
		r.add("users", pass, "", "the gateway that runs at %s has the buses; it is asked for its sensors", p.gateway.base)
		return
	}
	links, _ := filepath.Glob(filepath.Join(p.root, "proc/[0-9]*/fd/*")) // fails for a malformed pattern only
	var names []string
	for _, link := range links {
		target, err := os.Readlink(link)
		if err != nil || !strings.HasPrefix(target, "/dev/i2c-") {
			continue
		}
		pid := strings.Split(strings.TrimPrefix(link, filepath.Join(p.root, "proc")), "/")[1]
		if pid == strconv.Itoa(os.Getpid()) {
			continue
		}
		names = append(names, fmt.Sprintf("%s (process %s) has %s open", p.text("proc/"+pid+"/comm"), pid, target))
	}
	who := "no other program that we may see has a bus open"
	if os.Geteuid() != 0 {
		who += " (with sudo all are seen)"
	}
	if len(names) == 0 {
		r.add("users", pass, "", "%s", who)
		return
	}
	slices.Sort(names)
	r.add("users", warn, "stop it, or give its device a bus of its own: a display's long transfers make readings late", "%s", strings.Join(slices.Compact(names), "\n"))
}

// groupOf returns the group of a file, "i2c" if it cannot be told.
func groupOf(path string) string {
	info, err := os.Stat(path)
	if err != nil {
		return "i2c"
	}
	return groupName(info)
}
