//go:build linux

package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// process is a process's id.
type process int

// clockTick is the unit of CPU time in /proc (USER_HZ), the same wherever Go
// runs on Linux.
const clockTick = 10 * time.Millisecond

// cpu returns the CPU time that it has used.
func (p process) cpu() (time.Duration, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p))
	if err != nil {
		return 0, err
	}
	// After the name, which may hold anything: fields 14 and 15, utime and stime.
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	if len(fields) < 13 {
		return 0, fmt.Errorf("/proc/%d/stat: %q", p, stat)
	}
	user, err1 := strconv.ParseInt(fields[11], 10, 64)
	system, err2 := strconv.ParseInt(fields[12], 10, 64)
	return time.Duration(user+system) * clockTick, errors.Join(err1, err2)
}

// effort returns what its threads have used, as the scheduler counts it, to the
// nanosecond. Those of a Go program stay.
func (p process) effort() (e effort, err error) {
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*", p))
	if err != nil || len(threads) == 0 {
		return e, fmt.Errorf("/proc/%d/task: no threads, %w", p, err)
	}
	for _, thread := range threads {
		stat, err := os.ReadFile(filepath.Join(thread, "schedstat"))
		if err != nil {
			return e, err
		}
		fields := strings.Fields(string(stat))
		if len(fields) < 1 {
			return e, fmt.Errorf("%s/schedstat: %q", thread, stat)
		}
		ran, err := strconv.ParseInt(fields[0], 10, 64)
		if err != nil {
			return e, fmt.Errorf("%s/schedstat: %w", thread, err)
		}
		status, err := os.ReadFile(filepath.Join(thread, "status"))
		if err != nil {
			return e, err
		}
		switches, err := number(string(status), "voluntary_ctxt_switches:")
		if err != nil {
			return e, fmt.Errorf("%s/status: %w", thread, err)
		}
		e.cpu += time.Duration(ran)
		e.switches += float64(switches)
	}
	return e, nil
}

// processors is how long all processors together have worked and have been idle,
// in units of clockTick.
type processors struct{ busy, idle float64 }

// processorTime returns that since the machine has started; zero if it cannot be read.
func processorTime() (t processors) {
	stat, err := os.ReadFile("/proc/stat")
	if err != nil {
		return t
	}
	line, _, _ := strings.Cut(string(stat), "\n")
	for i, field := range strings.Fields(line) {
		n, err := strconv.ParseFloat(field, 64)
		switch {
		case i < 1 || i > 8 || err != nil: // "cpu"; guests are in user
		case i == 4 || i == 5: // idle, iowait
			t.idle += n
		default:
			t.busy += n
		}
	}
	return t
}

// since returns the part of the time since before that was work.
func (t processors) since(before processors) float64 {
	busy, idle := t.busy-before.busy, t.idle-before.idle
	return busy / max(busy+idle, 1)
}

// rss returns its resident memory in bytes.
func (p process) rss() (int, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p))
	if err != nil {
		return 0, err
	}
	kb, err := number(string(status), "VmRSS:")
	return kb << 10, err
}

// goroutines asks a gateway how many it has.
func goroutines(addr string) (int, error) { return metric(addr, "go_goroutines ") }

// metric asks a gateway for a number of its metrics.
func metric(addr, name string) (int, error) {
	r, err := http.Get("http://" + addr + "/metrics")
	if err != nil {
		return 0, err
	}
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	if err != nil {
		return 0, err
	}
	return number(string(text), name)
}

// number returns the whole number behind a name at the beginning of a line.
func number(text, name string) (int, error) {
	for line := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(line, name); ok {
			return strconv.Atoi(strings.Fields(rest)[0])
		}
	}
	return 0, fmt.Errorf("no %q", name)
}

// machine describes what all this runs on.
func machine() string {
	model := "unknown processor"
	if info, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(info)) {
			name, value, _ := strings.Cut(line, ":")
			if name = strings.TrimSpace(name); name == "model name" || name == "Model" { // the latter on a Raspberry Pi, last
				model = strings.TrimSpace(value)
			}
		}
	}
	kernel := "unknown"
	if b, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		kernel = strings.TrimSpace(string(b))
	}
	return fmt.Sprintf("%s, %d cores, Linux %s, %s", model, runtime.NumCPU(), kernel, runtime.Version())
}
