package host

import (
	"io/fs"
	"strconv"
	"strings"
	"time"
)

// userHZ is the unit of processor times in /proc on every architecture that Go
// runs on: proc(5).
const userHZ = 100

// cpuTimes are those of all cores since the machine started, in 1/userHZ s.
type cpuTimes struct{ busy, total uint64 }

// readCPU reads the first line of /proc/stat: user, nice, system, idle, iowait,
// irq, softirq, steal; what follows is contained in the first two. proc_stat(5).
func (r *Reader) readCPU(s *Stats) {
	s.Load1 = decimal(field(r.text("proc/loadavg"), 0))
	s.Uptime = decimal(field(r.text("proc/uptime"), 0))

	line, _, _ := strings.Cut(r.text("proc/stat"), "\n")
	if field(line, 0) != "cpu" {
		return
	}
	before := r.cpu
	r.cpu = cpuTimes{}
	for i := 1; i <= 8; i++ {
		n, _ := strconv.ParseUint(field(line, i), 10, 64) // old kernels have fewer columns
		r.cpu.total += n
		if i != 4 && i != 5 {
			r.cpu.busy += n
		}
	}
	// The kernel's own notes say that the idle times can decrease.
	if before.total > 0 && r.cpu.total > before.total && r.cpu.busy >= before.busy {
		s.CPU = new(min(float64(r.cpu.busy-before.busy)/float64(r.cpu.total-before.total), 1))
	}
}

// readMemory reads /proc/meminfo: proc_meminfo(5).
func (r *Reader) readMemory(s *Stats) {
	for line := range strings.Lines(r.text("proc/meminfo")) {
		switch key, value, _ := strings.Cut(line, ":"); key {
		case "MemTotal":
			s.MemoryTotal = kilobytes(value)
		case "MemAvailable":
			s.MemoryAvailable = kilobytes(value)
			return
		}
	}
}

// readProcess reads what concerns this process: proc_pid_stat(5),
// proc_pid_status(5).
func (r *Reader) readProcess(s *Stats) {
	// The second field is a name in parentheses, which may contain any of them.
	stat := r.text("proc/self/stat")
	stat = stat[strings.LastIndexByte(stat, ')')+1:]
	user, system := decimal(field(stat, 11)), decimal(field(stat, 12))
	if user != nil && system != nil {
		s.ProcessCPU = new((*user + *system) / userHZ)
	}
	for line := range strings.Lines(r.text("proc/self/status")) {
		if value, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			s.ProcessMemory = kilobytes(value)
			break
		}
	}
	s.ProcessFiles = r.files()
}

// files returns how many files this process has open: proc_pid_fd(5).
func (r *Reader) files() *uint64 {
	const open = "proc/self/fd"
	// Since Linux 6.2 that is the directory's size: for thousands of clients, a list
	// would be half a megabyte.
	if dir, err := fs.Stat(r.fsys, open); err == nil && dir.Size() > 0 {
		return new(uint64(dir.Size()))
	}
	files, err := fs.ReadDir(r.fsys, open)
	if err != nil || len(files) == 0 {
		return nil
	}
	return new(uint64(len(files) - 1)) // without the one that lists them
}

// kilobytes returns the bytes of a value such as "  1234 kB", nil for none.
func kilobytes(value string) *uint64 {
	n, err := strconv.ParseUint(field(value, 0), 10, 54)
	if err != nil {
		return nil
	}
	return new(n * 1024)
}

// link is a network interface, with its counters in bytes.
type link struct {
	received, sent uint64
	hardware       bool
}

// readNetwork reads /proc/self/net/dev: proc_pid_net(5).
//
// The increases of each interface are summed up here: an interface that disappears,
// appears again at zero or wraps (at 4 GiB with some drivers of 32-bit kernels) must
// not look like traffic, nor make the sum decrease.
func (r *Reader) readNetwork(s *Stats, elapsed time.Duration) {
	links, hardware := r.interfaces()
	if len(links) == 0 {
		return
	}
	var received, sent uint64
	for name, now := range links {
		if now.hardware == hardware {
			before := r.links[name]
			received += increase(before.received, now.received)
			sent += increase(before.sent, now.sent)
		}
	}
	r.received += received
	r.sent += sent
	s.Received, s.Sent = new(r.received), new(r.sent)
	if seconds := elapsed.Seconds(); r.links != nil && seconds > 0 {
		s.ReceivedRate = new(float64(received) / seconds)
		s.SentRate = new(float64(sent) / seconds)
	}
	r.links = links
}

// increase is how much a counter grew; it started again if it is smaller now.
func increase(before, now uint64) uint64 {
	if now < before {
		return now
	}
	return now - before
}

// interfaces returns all but the loopback, and whether those of the hardware
// (modems on serial lines are among them) are what counts: bridges, tunnels and
// the like carry the same bytes again. In a container there is no hardware.
func (r *Reader) interfaces() (links map[string]link, hardware bool) {
	links = map[string]link{}
	for line := range strings.Lines(r.text("proc/self/net/dev")) {
		name, counters, _ := strings.Cut(line, ":")
		name = strings.TrimSpace(name)
		received, err1 := strconv.ParseUint(field(counters, 0), 10, 64)
		sent, err2 := strconv.ParseUint(field(counters, 8), 10, 64)
		if name == "lo" || err1 != nil || err2 != nil {
			continue // the two lines of the heading, too
		}
		_, err := fs.Stat(r.fsys, "sys/class/net/"+name+"/device")
		l := link{received, sent, err == nil || strings.HasPrefix(name, "ppp")}
		links[name] = l
		hardware = hardware || l.hardware
	}
	return links, hardware
}
