package pins

import (
	"os"
	"path/filepath"
	"strings"
)

// pwmClass is where the kernel has its PWM chips, below the machine's root directory.
const pwmClass = "sys/class/pwm"

// NoChip returns why a machine does not have a PWM chip, such as pwmchip0, and the fix
// there. root is the machine's root directory.
func NoChip(root, chip string) (why, fix string) {
	var has []string
	entries, _ := os.ReadDir(filepath.Join(root, pwmClass)) // it is missing where there is no driver
	for _, e := range entries {
		has = append(has, e.Name())
	}
	model, _ := os.ReadFile(filepath.Join(root, "proc/device-tree/model")) // "" on a PC
	switch board := strings.Trim(string(model), "\x00\n"); {
	case strings.Contains(board, "Raspberry Pi"):
		fix = "write dtoverlay=pwm into /boot/firmware/config.txt, and reboot"
	case board != "":
		fix = "enable a PWM controller in the device tree of this board, " + board + ", as its maker says, mostly by an overlay, and reboot: /" + pwmClass + " shows its chips then"
	default:
		fix = "if this machine has a PWM controller, load its driver: /" + pwmClass + " shows its chips then; else name a line, such as GPIO18, which is pulsed by software"
	}
	if len(has) == 0 {
		return "there is no " + chip + ": /" + pwmClass + " has none", fix
	}
	return "there is no " + chip + ": /" + pwmClass + " has " + strings.Join(has, ", "),
		"take one of those (ls -l /" + pwmClass + " shows whose each is), or " + fix
}
