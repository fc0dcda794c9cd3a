package hil

import (
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// lines are those of gateway.yaml's motors, and the level at which each is off.
var lines = []struct {
	name string
	line int
	off  string
}{
	{"relay", 17, "0"},
	{"lamp", 4, "1"}, // active low
	{"in1", 23, "0"},
	{"in2", 24, "0"},
	{"enable", 25, "0"},
	{"standby", 27, "0"},
	{"dir", 18, "0"},
}

const (
	estopLine  = 22
	pwmChannel = "/sys/class/pwm/pwmchip0/pwm0/"
)

// simulated returns the path of the emulator's file for a line.
func simulated(line int, file string) string {
	return fmt.Sprintf("%s/sim_gpio%d/%s", os.Getenv("sim"), line, file)
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(b))
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func level(t *testing.T, line int) string {
	t.Helper()
	return read(t, simulated(line, "value"))
}

// levels returns the levels of all outputs, as "relay=0 lamp=1 … pwm=0": for PWM it is the
// on-time in a period, in nanoseconds.
func levels(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	for _, l := range lines {
		fmt.Fprintf(&b, "%s=%s ", l.name, level(t, l.line))
	}
	pwm := 0
	if read(t, pwmChannel+"enable") != "0" {
		var err error
		if pwm, err = strconv.Atoi(read(t, pwmChannel+"duty_cycle")); err != nil {
			t.Fatal(err)
		}
	}
	fmt.Fprintf(&b, "pwm=%d", pwm)
	return b.String()
}

// off returns the levels of all outputs when they are off, except those in on: "relay=1".
func off(on ...string) string {
	all := []string{}
	for _, l := range lines {
		all = append(all, l.name+"="+l.off)
	}
	all = append(all, "pwm=0")
	for _, o := range on {
		name, _, _ := strings.Cut(o, "=")
		for i := range all {
			if strings.HasPrefix(all[i], name+"=") {
				all[i] = o
			}
		}
	}
	return strings.Join(all, " ")
}

// wantLevels checks that all outputs except those in on are off now.
func wantLevels(t *testing.T, on ...string) {
	t.Helper()
	if got, want := levels(t), off(on...); got != want {
		t.Fatalf("levels %s\nwant   %s", got, want)
	}
}

// untilLevels waits until all outputs except those in on are off.
func untilLevels(t *testing.T, on ...string) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	end := time.After(limit)
	for want := off(on...); ; {
		got := levels(t)
		if got == want {
			return
		}
		select {
		case <-tick.C:
		case <-end:
			t.Fatalf("levels %s after %v\nwant   %s", got, limit, want)
		}
	}
}

// untilPulses waits until a line has been seen low and high.
func untilPulses(t *testing.T, line int) {
	t.Helper()
	seen := map[string]bool{}
	for end := time.Now().Add(limit); len(seen) < 2; seen[level(t, line)] = true {
		if time.Now().After(end) {
			t.Fatalf("line %d has no pulses: %v", line, seen)
		}
	}
}

// contact closes or opens the contact of the e-stop button, between the pin and ground.
func contact(t *testing.T, state string) {
	t.Helper()
	pull := map[string]string{"closed": "pull-down", "open": "pull-up"}[state]
	write(t, simulated(estopLine, "pull"), pull)
}

// wantClaimed checks that the gateway holds the lines as outputs.
func wantClaimed(t *testing.T) {
	t.Helper()
	b, err := exec.Command("gpioinfo", os.Getenv("chip")).Output()
	if err != nil {
		t.Fatalf("gpioinfo: %v", err)
	}
	wantLine := func(line int, direction, active string) {
		t.Helper()
		form := regexp.MustCompile(fmt.Sprintf(`(?m)^\s*line +%d: +"GPIO%[1]d" +"gateway" +%s +%s +\[used`, line, direction, active))
		if !form.Match(b) {
			t.Errorf("line %d is not the gateway's %s, %s:\n%s", line, direction, active, b)
		}
	}
	for _, l := range lines {
		active := "active-high"
		if l.off == "1" {
			active = "active-low"
		}
		wantLine(l.line, "output", active)
	}
	wantLine(estopLine, "input", "active-high")
}
