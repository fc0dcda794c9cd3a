// Package host reads the machine's state: load, memory, network, temperature, and
// whether a Raspberry Pi's power supply is too weak.
//
// It knows the files of Linux's /proc and /sys, which it is given as an
// [fs.FS], and nothing else: not who asks, not how the numbers are shown, and
// not their limits. On other systems nearly everything is absent.
package host

import (
	"io/fs"
	"math"
	"strconv"
	"strings"
	"time"
)

// Stats is the state of the machine at one moment. What is not known is nil, and
// absent from the JSON.
type Stats struct {
	CPU            *float64   `json:"cpu_ratio,omitempty"` // busy part of all cores since the previous call, 0…1
	Load1          *float64   `json:"load1,omitempty"`     // tasks that run or wait, mean of a minute
	CPUTemperature *float64   `json:"cpu_temperature_celsius,omitempty"`
	Throttled      *Throttled `json:"throttled,omitempty"` // on a Raspberry Pi only

	MemoryTotal     *uint64  `json:"memory_total_bytes,omitempty"`
	MemoryAvailable *uint64  `json:"memory_available_bytes,omitempty"`
	DiskFree        *uint64  `json:"disk_free_bytes,omitempty"` // for this user, on the file system of the state directory
	Uptime          *float64 `json:"uptime_seconds,omitempty"`

	// Of all external interfaces together; the totals never decrease.
	Received     *uint64  `json:"network_receive_bytes,omitempty"`
	Sent         *uint64  `json:"network_transmit_bytes,omitempty"`
	ReceivedRate *float64 `json:"network_receive_bytes_per_second,omitempty"` // since the previous call
	SentRate     *float64 `json:"network_transmit_bytes_per_second,omitempty"`

	ProcessCPU    *float64 `json:"process_cpu_seconds,omitempty"` // of this process, user and system
	ProcessMemory *uint64  `json:"process_resident_memory_bytes,omitempty"`
	ProcessFiles  *uint64  `json:"process_open_fds,omitempty"`
}

// A Reader reads the state of the machine. It remembers the previous one, for the
// rates. One goroutine calls it.
type Reader struct {
	fsys     fs.FS
	stateDir string

	// Of the previous call; zero before the first.
	at    time.Time
	cpu   cpuTimes
	links map[string]link

	received, sent uint64 // over all interfaces together
	occurred       uint64 // bits of get_throttled that were ever seen
}

// NewReader returns a Reader of the machine whose root directory is fsys; in
// production that is Root("/"). The free space is that of stateDir, a path
// of the operating system; "" is none.
func NewReader(fsys fs.FS, stateDir string) *Reader {
	return &Reader{fsys: fsys, stateDir: stateDir}
}

// Read returns the machine as it is; the first time without rates. It reads
// files of the kernel, some dozens, and waits for no device.
func (r *Reader) Read() (s Stats) {
	now := time.Now()
	r.readCPU(&s)
	r.readMemory(&s)
	r.readNetwork(&s, now.Sub(r.at))
	r.readProcess(&s)
	s.CPUTemperature = r.temperature()
	s.Throttled = r.throttled()
	if r.stateDir != "" {
		s.DiskFree = diskFree(r.stateDir)
	}
	r.at = now
	return s
}

// text returns a file's content without the white space around it, "" if it
// cannot be read.
func (r *Reader) text(name string) string {
	b, err := fs.ReadFile(r.fsys, name)
	if err != nil {
		return "" // absent, by the contract of this package
	}
	return strings.TrimSpace(string(b))
}

// field returns the i-th of the words in s, "" if there are fewer.
func field(s string, i int) string {
	for word := range strings.FieldsSeq(s) {
		if i--; i < 0 {
			return word
		}
	}
	return ""
}

// decimal parses a finite number that is not negative; nil is none.
func decimal(s string) *float64 {
	v, err := strconv.ParseFloat(s, 64)
	if err != nil || math.IsInf(v, 0) || !(v >= 0) {
		return nil
	}
	return &v
}
