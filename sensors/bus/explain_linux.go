package bus

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// node is the owner, the group and the mode of a device file.
type node struct {
	owner, group string
	mode         fs.FileMode
}

// explain makes err, from opening a bus's device file, say why and what to do.
func (s *system) explain(path string, err error) error {
	err = fmt.Errorf("open %s: %w", path, err)
	switch {
	case errors.Is(err, syscall.EACCES):
		return s.explainPermission(path, err)
	case errors.Is(err, syscall.EPERM): // the file's mode would answer EACCES
		return fmt.Errorf("%w: this service may not use the device; fix: DeviceAllow=%s rw in its systemd unit", err, path)
	case errors.Is(err, syscall.ENOENT):
		if others := s.others(); path != "/dev/i2c-1" && len(others) > 0 {
			return fmt.Errorf("%w: there is no such bus; there are %s", err, strings.Join(others, ", "))
		}
		return fmt.Errorf("%w: %s", err, noBus(s.root, len(s.others()) > 0))
	}
	return err
}

// noBus says why a machine whose root directory is root has no /dev/i2c-N, or only
// others, and what to do.
func noBus(root string, others bool) string {
	const load = "sudo modprobe i2c-dev; echo i2c-dev | sudo tee /etc/modules-load.d/i2c.conf"
	read := func(path string) string {
		b, _ := os.ReadFile(filepath.Join(root, path)) // "" where there is none
		return strings.Trim(string(b), "\x00\n")
	}
	status := "" // of the header's bus, as the device tree has it
	if node := read("proc/device-tree/aliases/i2c1"); node != "" {
		status = read(filepath.Join("proc/device-tree", node, "status"))
	}
	_, missing := os.Stat(filepath.Join(root, "sys/module/i2c_dev"))
	model := read("proc/device-tree/model")
	pi := strings.Contains(model, "Raspberry Pi")
	switch {
	case pi && status == "okay" && missing != nil && !others:
		return "I²C is enabled, but the module i2c-dev is not loaded; fix: " + load
	case pi:
		return "I²C is not enabled; fix: sudo raspi-config nonint do_i2c 0 && sudo reboot"
	case others:
		return "there is no such bus; see which there are: ls /dev/i2c-*"
	case model != "": // another board
		return model + " has no I²C bus enabled; fix: enable one as its maker says, mostly by a device tree overlay, then " + load
	}
	return "this machine has no I²C bus; fix: if it has an adapter: " + load + "; without hardware: --simulate"
}

// explainPermission says how to get into the device's group, which is i2c
// wherever udev's rules for it are installed.
func (s *system) explainPermission(path string, err error) error {
	who := s.user()
	n, statErr := s.stat(path)
	if statErr != nil {
		return fmt.Errorf("%w: you are %q; fix: sudo usermod -aG i2c %s, then log in again", err, who, who)
	}
	err = fmt.Errorf("%w: the device is %s:%s %04o, you are %q", err, n.owner, n.group, n.mode.Perm(), who)
	if n.group == "root" || n.mode.Perm()&0o060 != 0o060 {
		return fmt.Errorf("%w; fix: sudo apt install i2c-tools (its udev rule opens the device to the group i2c), "+
			"then sudo usermod -aG i2c %s && sudo reboot", err, who)
	}
	return fmt.Errorf("%w; fix: sudo usermod -aG %s %s, then log in again", err, n.group, who)
}

func statNode(path string) (node, error) {
	info, err := os.Stat(path)
	if err != nil {
		return node{}, err
	}
	n := node{owner: "?", group: "?", mode: info.Mode()}
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		n.owner, n.group = strconv.Itoa(int(st.Uid)), strconv.Itoa(int(st.Gid))
		if u, err := user.LookupId(n.owner); err == nil {
			n.owner = u.Username
		}
		if g, err := user.LookupGroupId(n.group); err == nil {
			n.group = g.Name
		}
	}
	return n, nil
}

// busUser returns who needs access to the buses: the effective user, by name or else by number.
func busUser() string {
	id := strconv.Itoa(os.Geteuid())
	if u, err := user.LookupId(id); err == nil {
		return u.Username
	}
	return id
}

// deviceFiles returns the I²C devices that there are, such as "/dev/i2c-1".
func deviceFiles() []string {
	names, err := filepath.Glob("/dev/i2c-*")
	if err != nil {
		return nil // only for a bad pattern
	}
	return names
}
