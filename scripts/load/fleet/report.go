//go:build linux

package main

import (
	"fmt"
	"io"
	"runtime"
	"sync"
	"time"

	"sensorgateway/scripts/load/process"
)

const (
	month = 30 * 24 * time.Hour
	large = 100_000 // gateways
)

// report prints what was found, as Markdown.
func (m *measurement) report(out io.Writer) {
	n := float64(len(m.gateways))
	fmt.Fprintf(out, "%s. %d gateways with %d sensors at 10 Hz, %d dashboards at two hubs, %s. All on this machine, over loopback with an MTU of 1500;\n", process.Describe(), len(m.gateways), len(sensors), m.o.dashboards, m.broker.name)
	fmt.Fprintf(out, "%v with dashboards, after %v without. %d readings in the logs of gateways", m.after.at.Sub(m.watched.at).Round(time.Second), m.rest.at.Sub(m.begin.at).Round(time.Second), m.records)
	if len(m.wrong) == 0 {
		fmt.Fprintf(out, ", of which each hub has each once; %d came to dashboards, each once.\n\n", m.came)
	} else {
		fmt.Fprintf(out, "; WHAT HUBS AND DASHBOARDS HAVE IS NOT THE SAME.\n\n")
	}
	row := func(what string, form string, values ...any) {
		fmt.Fprintf(out, "| %s | "+form+" |\n", append([]any{what}, values...)...)
	}
	fmt.Fprintln(out, "| a hub | nobody looks | with dashboards |\n|---|---|---|")
	for i, h := range m.hubs {
		a, b, c, d := m.begin.hubs[i], m.rest.hubs[i], m.watched.hubs[i], m.after.hubs[i]
		each := func(u usage) float64 { return float64(u.rss-h.started.rss) / 1024 / n }
		row(fmt.Sprintf("memory of %s for each gateway, above the %.1f MiB that it has with none", h.name, float64(h.started.rss)/(1<<20)), "%.1f KiB RSS | %.1f KiB", each(b), each(d))
		row("CPU of "+h.name+", of one core; for each gateway", "%.1f %%; %.3f %% | %.1f %%; %.3f %%", 100*b.since(a), 100*b.since(a)/n, 100*d.since(c), 100*d.since(c)/n)
	}
	atRest, under := m.rest.at.Sub(m.begin.at).Seconds(), m.after.at.Sub(m.watched.at).Seconds()
	quiet, kept := between(m.begin.connections, m.rest.connections)
	busy, _ := between(m.watched.connections, m.after.connections)
	row("messages that gateways publish, a second", "%.1f | %.1f", float64(m.rest.messages-m.begin.messages)/atRest, float64(m.after.messages-m.watched.messages)/under)
	row("on the lines of gateways, by the kernel's counters, IP, both ways", "%.1f kB/s | %.1f kB/s", quiet/atRest/1e3, busy/under/1e3)
	cores := float64(runtime.NumCPU()) // of which a process's time is the sum
	row("work of this machine; of it the gateways", "%.0f %%; %.0f %% | %.0f %%; %.0f %%", 100*m.rest.machine.Since(m.begin.machine), 100*m.rest.self.since(m.begin.self)/cores, 100*m.after.machine.Since(m.watched.machine), 100*m.after.self.since(m.watched.self)/cores)

	fmt.Fprintln(out, "\n| | |\n|---|---|")
	each := quiet / atRest / max(float64(kept), 1)
	row("on the wire of a gateway at which nobody looks, a month of 30 days", "%.3f GB", each*month.Seconds()/1e9)
	if m.o.dashboards > 0 {
		looked := min(m.o.dashboards, len(m.gateways))
		row("and more for an hour that somebody looks", "%.1f MB", max(busy/under-quiet/atRest, 0)/float64(looked)*3600/1e6)
		live := m.live.all
		row("from when a measurement was due to the dashboard, live: p50, p99, p99.9, at most", "%d, %d, %d, %d ms", quantile(live, 0.5).Milliseconds(), quantile(live, 0.99).Milliseconds(), quantile(live, 0.999).Milliseconds(), quantile(live, 1).Milliseconds())
		row("not live, but from the log a little later", "%d of %d readings", m.late, m.came)
	}
	row("age of the newest durable reading of a gateway at a hub: p50, p99", "%.0f, %.0f s", quantile(m.stored, 0.5).Seconds(), quantile(m.stored, 0.99).Seconds())
	missed, late, ticks := int64(0), int64(0), int64(0)
	for _, g := range m.gateways {
		missed, late, ticks = missed+g.missed, late+g.late, ticks+int64(g.next-1)
	}
	row("ticks of gateways; left out because the one before took too long; written late", "%d; %d; %d", ticks, missed, late)
	row("events of uplinks", "%s", m.events)

	fmt.Fprintf(out, "\n%d gateways, by these figures:\n\n| | nobody looks | as many look as here |\n|---|---|---|\n", large)
	scale := large / n
	row("cores for one hub", "%.1f | %.1f", m.rest.hubs[0].since(m.begin.hubs[0])*scale, m.after.hubs[0].since(m.watched.hubs[0])*scale)
	row("memory of one hub", "%.1f GiB | %.1f GiB", float64(m.rest.hubs[0].rss-m.hubs[0].started.rss)*scale/(1<<30), float64(m.after.hubs[0].rss-m.hubs[0].started.rss)*scale/(1<<30))
	row("messages to the broker, a second", "%.0f | %.0f", float64(m.rest.messages-m.begin.messages)/atRest*scale, float64(m.after.messages-m.watched.messages)/under*scale)
	row("on the lines of gateways", "%.1f MB/s | %.1f MB/s", quiet/atRest*scale/1e6, busy/under*scale/1e6)
}

// maxSaid is how much of the gateways' log is shown, in bytes.
const maxSaid = 16 << 10

// sample passes the beginning on to out, and drops the rest.
type sample struct {
	mu   sync.Mutex
	out  io.Writer
	left int
}

func (s *sample) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.left > 0 {
		s.left -= len(b)
		if _, err := s.out.Write(b); err != nil {
			return 0, err
		}
		if s.left <= 0 {
			fmt.Fprintln(s.out, "what gateways log further is not shown")
		}
	}
	return len(b), nil
}
