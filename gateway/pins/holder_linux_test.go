package pins

import (
	"strings"
	"syscall"
	"testing"
)

// Who holds a line can be asked without claiming it.
func TestHolder(t *testing.T) {
	f := pi(t)
	f.header().lines[17].holder = "pigpiod"
	for name, want := range map[string]string{"GPIO17": "pigpiod", "GPIO18": "", "17": "pigpiod", "gpiochip4/18": ""} {
		if got, err := f.kernel().holder(name); err != nil || got != want {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	f.denied["/dev/gpiochip4"] = syscall.EACCES
	for name, want := range map[string]string{"GPIO17": "fix: sudo usermod -aG gpio alice", "gpiochip0/9": "no such line", "GPIO 17": "is not a GPIO line"} {
		if got, err := f.kernel().holder(name); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	if len(f.fds) > 0 {
		t.Errorf("still open: %v", f.fds)
	}
}
