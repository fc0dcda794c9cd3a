package pins

import (
	"strings"
	"syscall"
	"testing"
)

// What a line is, and who holds it, can be asked without claiming it.
func TestLook(t *testing.T) {
	f := pi(t)
	f.header().lines[17].holder = "pigpiod"
	of := func(offset int, holder string) LineState {
		return LineState{Chip: "gpiochip4 (pinctrl-rp1)", Header: true, Offset: offset, Holder: holder}
	}
	for name, want := range map[string]LineState{
		"GPIO17": of(17, "pigpiod"), "GPIO18": of(18, ""), "17": of(17, "pigpiod"), "gpiochip4/18": of(18, ""),
		"gpiochip0/3": {Chip: "gpiochip0 (gpio-brcmstb@107d508500)", Offset: 3},
	} {
		if got, err := f.kernel().look(name); err != nil || got != want {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	f.denied["/dev/gpiochip4"] = syscall.EACCES
	for name, want := range map[string]string{"GPIO17": "fix: sudo usermod -aG gpio alice", "gpiochip0/9": "no such line", "GPIO 17": "is not a GPIO line"} {
		if got, err := f.kernel().look(name); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	if len(f.fds) > 0 {
		t.Errorf("still open: %v", f.fds)
	}
}
