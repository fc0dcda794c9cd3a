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
	hostEvery = time.Second
	// hostFresh is how old the machine's numbers can be: if the machine cannot
	// be read any more, they are absent and not frozen.
	hostFresh = 5 * time.Second
)

// process is this program, and the machine that it runs on.
type process struct {
	version string
	host    func() host.Stats
	begin   time.Time
	machine atomic.Pointer[machine]

	startMu sync.Mutex
	start   time.Time
}

// machine is the machine at a moment.
type machine struct {
	at time.Time
	host.Stats
}

// begun returns it as it begins.
func (p *process) begun(version string, read func() host.Stats) {
	now := time.Now()
	p.version, p.host, p.begin, p.start = version, read, now, now
	p.readHost()
}

// Run reads the machine's numbers once a second until ctx ends, so that nobody
// who reads the metrics waits for files, the broadcast least of all.
func (p *process) Run(ctx context.Context) error {
	tick := time.NewTicker(hostEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			p.readHost()
		case <-ctx.Done():
			return nil
		}
	}
}

func (p *process) readHost() { p.machine.Store(&machine{time.Now(), p.host()}) }

// stats returns the machine's numbers, empty if they are too old.
func (p *process) stats() host.Stats {
	if now := p.machine.Load(); time.Since(now.at) < hostFresh {
		return now.Stats
	}
	return host.Stats{}
}

// started returns when the program started, by the system clock as it is now.
func (p *process) started() time.Time {
	p.startMu.Lock()
	defer p.startMu.Unlock()
	now := time.Now()
	p.start = startedAt(p.start, now.Round(0), now.Sub(p.begin))
	return p.start
}

// startedAt returns when something started that has run for so long: a machine
// without a clock of its own starts in the past, and learns the time later. What
// was said before stands unless it is wrong by a second: a start that moves looks
// like a restart.
func startedAt(said, now time.Time, running time.Duration) time.Time {
	if start := now.Add(-running); start.Sub(said).Abs() > time.Second {
		return start
	}
	return said
}

// writeProgram writes what the program is, and since when it runs.
func (p *process) writeProgram(t *expositionText) {
	t.family("gateway_build_info", "gauge", "The version that runs.")
	t.sample("", label("version", p.version)+","+label("goversion", runtime.Version()), 1)
	t.gauge("gateway_start_time_seconds", "When the gateway started, Unix time.", float64(p.started().UnixMilli())/1000)
}

// writeMachine writes what the program takes, and what the machine has.
func (p *process) writeMachine(t *expositionText) {
	t.gauge("go_goroutines", "Goroutines of the gateway.", float64(runtime.NumGoroutine()))
	writeHost(t, p.stats())
}
