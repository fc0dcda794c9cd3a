package doctor

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"sensorgateway/gateway/pins"
)

// channel says why a channel of a PWM chip cannot be had, "" if it can, and the fix.
func (p *Patient) channel(pin string) (why, fix string) {
	chip, channel, _ := strings.Cut(pin, "/")
	dir := "/sys/class/pwm/" + chip
	if !p.Exists(dir) {
		return pins.NoChip(p.Root, chip)
	}
	number, _ := strconv.Atoi(channel) // its form is checked
	if has, err := strconv.Atoi(p.text(dir + "/npwm")); err == nil && number >= has {
		fix := "write another channel"
		if onPi(p.text("proc/device-tree/model")) {
			fix += "; dtoverlay=pwm-2chan in /boot/firmware/config.txt has two"
		}
		return fmt.Sprintf("%s has %d channels, numbered from 0", chip, has), fix
	}
	if p.Gateway != "" {
		return "", "" // that one has it
	}
	files := []string{dir + "/export"}
	if exported := dir + "/pwm" + channel; p.Exists(exported) {
		files = []string{exported + "/period", exported + "/duty_cycle", exported + "/enable"}
	}
	for _, file := range files {
		err := p.Open(filepath.Join(p.Root, file), os.O_WRONLY) // which changes nothing
		switch {
		case errors.Is(err, fs.ErrPermission):
			group := p.GroupOf(filepath.Join(p.Root, file))
			why = fmt.Sprintf("%s may not write %s, which is for the group %s", p.User.name, file, group)
			if group == "root" {
				return why, pwmRule
			}
			return why, p.join(group)
		case err != nil:
			return fmt.Sprintf("%s: %v", file, errors.Unwrap(err)), "see the kernel's log: journalctl -k"
		}
	}
	return "", ""
}

// pwmRule gives PWM chips and their channels to the group gpio, as Raspberry Pi OS does.
const pwmRule = `echo 'SUBSYSTEM=="pwm", ACTION!="remove", RUN+="/bin/chgrp -R gpio /sys%p", RUN+="/bin/chmod -R g=u /sys%p"' | sudo tee /etc/udev/rules.d/99-pwm.rules, and reboot`
