package metrics

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"sensorgateway/gateway/host"
)

const (
	// hostSeldom is how often the machine's numbers are read, in seconds, while nobody asks
	// for them: they are in a dozen files.
	hostSeldom = 4
	// hostFresh is how old the machine's numbers can be: if the machine cannot
	// be read any more, they are absent and not frozen.
	hostFresh = 5 * time.Second
)

// process is this program, and the machine that it runs on.
type process struct {
	version string
	host    func() host.Stats
	logLost func() int64 // lines
	begin   time.Time
	machine atomic.Pointer[machine]
	asked   atomic.Bool             // for the machine's numbers, since they were read
	seconds func() <-chan time.Time // returns a channel with a value once a second

	startMu sync.Mutex
	start   time.Time
}

// machine is the machine at a moment.
type machine struct {
	at time.Time
	host.Stats
}

// begun sets it up as the program begins. seconds may be nil: the runtime's ticker.
func (p *process) begun(version string, read func() host.Stats, logLost func() int64, seconds func() <-chan time.Time) {
	if seconds == nil {
		seconds = func() <-chan time.Time { return time.Tick(time.Second) }
	}
	now := time.Now()
	p.version, p.host, p.logLost, p.seconds, p.begin, p.start = version, read, logLost, seconds, now, now
	p.readHost()
}

// Run reads the machine's numbers until ctx ends, once a second while somebody asks for
// them, so that nobody who reads the metrics waits for files, the broadcast least of all.
func (p *process) Run(ctx context.Context) error {
	second := p.seconds()
	for age := 1; ; age++ { // of the numbers, at the next second
		select {
		case <-second:
		case <-ctx.Done():
			return nil
		}
		if p.asked.Swap(false) || age >= hostSeldom {
			p.readHost()
			age = 0
		}
	}
}

func (p *process) readHost() { p.machine.Store(&machine{time.Now(), p.host()}) }

// stats returns the machine's numbers, empty if they are too old.
func (p *process) stats() host.Stats {
	p.asked.Store(true)
	if now := p.machine.Load(); time.Since(now.at) < hostFresh {
		return now.Stats
	}
	return host.Stats{}
}

// Machine returns the machine's numbers for a hub, which asks seldom: no sums, and nothing of
// this program.
func (p *process) Machine() host.Stats {
	s := p.stats()
	s.Received, s.Sent, s.ProcessCPU, s.ProcessMemory, s.ProcessFiles = nil, nil, nil, nil, nil
	return s
}

// started returns when the program started, by the system clock as it is now.
func (p *process) started() time.Time {
	p.startMu.Lock()
	defer p.startMu.Unlock()
	now := time.Now()
	p.start = startedAt(p.start, now.Round(0), now.Sub(p.begin))
	return p.start
}

// startedAt returns when a program started that has run for running: a machine
// without a clock of its own starts in the past, and learns the time later. The time
// that was said before is kept unless it is wrong by more than a second: another
// start time looks like a restart.
func startedAt(said, now time.Time, running time.Duration) time.Time {
	if start := now.Add(-running); start.Sub(said).Abs() > time.Second {
		return start
	}
	return said
}

// writeName writes what the gateway is called.
func writeName(t *expositionText, name string) {
	t.family("gateway_info", "gauge", "What the gateway is called.")
	t.sample("", label("name", name), 1)
}

// writeProgram writes what the program is, and since when it runs.
func (p *process) writeProgram(t *expositionText) {
	t.family("gateway_build_info", "gauge", "The version that runs.")
	t.sample("", label("version", p.version)+","+label("goversion", runtime.Version()), 1)
	t.gauge("gateway_start_time_seconds", "When the gateway started, Unix time.", float64(p.started().UnixMilli())/1000)
	t.counter("gateway_log_lost_total", "Log lines that were lost because whatever reads them took none for too long, or refused them.", float64(p.logLost()))
}

// writeMachine writes what the program takes, and what the machine has.
func (p *process) writeMachine(t *expositionText) {
	t.gauge("go_goroutines", "Goroutines of the gateway.", float64(runtime.NumGoroutine()))
	writeHost(t, p.stats())
}
