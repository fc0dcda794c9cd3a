//go:build linux

// Package process runs programs that are measured, and reads what they use from /proc.
//
// It refuses to know what they do.
package process

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// ID is a process's.
type ID int

// clockTick is the unit of CPU time in /proc (USER_HZ), the same wherever Go
// runs on Linux.
const clockTick = 10 * time.Millisecond

// CPU returns the CPU time that it has used.
func (p ID) CPU() (time.Duration, error) {
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

// Effort is what a process has used.
type Effort struct {
	CPU      time.Duration
	Switches int // of context, voluntary: how often its threads went to sleep
}

// Effort returns what its threads have used, as the scheduler counts it, to the
// nanosecond. Those of a Go program stay.
func (p ID) Effort() (e Effort, err error) {
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*", p))
	if err != nil || len(threads) == 0 {
		return e, fmt.Errorf("process %d has no threads: %w", p, errors.Join(err, os.ErrNotExist))
	}
	for _, thread := range threads {
		stat, err := os.ReadFile(filepath.Join(thread, "schedstat"))
		if err != nil {
			return e, err
		}
		ran, _, _ := strings.Cut(string(stat), " ")
		cpu, err := strconv.ParseInt(ran, 10, 64)
		if err != nil {
			return e, fmt.Errorf("%s/schedstat: %w", thread, err)
		}
		status, err := os.ReadFile(filepath.Join(thread, "status"))
		if err != nil {
			return e, err
		}
		switches, err := Number(string(status), "voluntary_ctxt_switches:")
		if err != nil {
			return e, fmt.Errorf("%s/status: %w", thread, err)
		}
		e.CPU += time.Duration(cpu)
		e.Switches += switches
	}
	return e, nil
}

// Processors is how long all processors together have worked and have been idle,
// in units of clockTick.
type Processors struct{ busy, idle float64 }

// Machine returns these times since the machine has started; zero if they cannot be read.
func Machine() (t Processors) {
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

// Since returns the share of the time since before in which processors worked.
func (t Processors) Since(before Processors) float64 {
	busy, idle := t.busy-before.busy, t.idle-before.idle
	return busy / max(busy+idle, 1)
}

// RSS returns its resident memory in bytes.
func (p ID) RSS() (int, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p))
	if err != nil {
		return 0, err
	}
	kb, err := Number(string(status), "VmRSS:")
	return kb << 10, err
}

// Number returns the integer after a name at the beginning of a line.
func Number(text, name string) (int, error) {
	for line := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(line, name); ok {
			return strconv.Atoi(strings.Fields(rest)[0])
		}
	}
	return 0, fmt.Errorf("no %q", name)
}

// Describe describes the machine.
func Describe() string {
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
