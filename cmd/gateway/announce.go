package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"time"

	"sensorgateway/cmd/gateway/internal/machine"
	"sensorgateway/cmd/gateway/internal/notify"
	"sensorgateway/sensors"
	"sensorgateway/wire"
)

// firstWait is how long the announcement waits for sensors that do not answer.
const firstWait = 1500 * time.Millisecond

// firsts are the first records of all sensors, for the announcement.
type firsts struct {
	notify.Nop
	mu      sync.Mutex
	records []wire.Record
	missing map[uint16]bool // sensors
	all     chan struct{}   // closed when none is missing
}

func newFirsts(n int) *firsts {
	f := &firsts{records: make([]wire.Record, n), missing: map[uint16]bool{}, all: make(chan struct{})}
	for i := range n {
		f.missing[uint16(i)] = true
	}
	return f
}

// Tick takes the first record of each sensor.
func (f *firsts) Tick(records []wire.Record, _ int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.missing) == 0 {
		return
	}
	for _, r := range records {
		if f.missing[r.Sensor] {
			f.records[r.Sensor] = r
			delete(f.missing, r.Sensor)
		}
	}
	if len(f.missing) == 0 {
		close(f.all)
	}
}

// wait waits until all sensors have a record or had enough time. It returns false
// if ctx ended.
func (f *firsts) wait(ctx context.Context) bool {
	timer := time.NewTimer(firstWait)
	defer timer.Stop()
	select {
	case <-f.all:
	case <-timer.C:
	case <-ctx.Done():
		return false
	}
	return true
}

// of returns a sensor's first record, if it has one.
func (f *firsts) of(i int) (wire.Record, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.records[i], !f.missing[uint16(i)]
}

// urls returns the addresses for a browser and for a client of the readings.
func (g *running) urls() (page, readings string) {
	host, _, _ := net.SplitHostPort(g.cfg.Listen)
	if host == "" {
		host = "localhost"
	}
	_, port, _ := net.SplitHostPort(g.sockets[0].Addr().String())
	where := net.JoinHostPort(host, port) + "/"
	if g.certificates != nil {
		return "https://" + where, "wss://" + where
	}
	return "http://" + where, "ws://" + where
}

// source returns where the configuration came from.
func (g *running) source() string {
	switch {
	case g.simulate != nil && g.cfg.File == "":
		return "built-in simulation, no hardware"
	case g.simulate != nil:
		return g.cfg.File + ", its chips emulated"
	}
	return g.cfg.File
}

// printReady prints what somebody who has started the gateway wants to know.
func (g *running) printReady(w io.Writer, took time.Duration) {
	var b strings.Builder
	fmt.Fprintf(&b, "gateway %s on %s · %s\n\n", version, machine.Model(), g.source())
	for i, c := range g.cfg.Sensors {
		fmt.Fprintf(&b, "  %-12s %-7s bus %d 0x%02x   ", c.Name, c.Chip, c.Bus, c.Address)
		switch r, ok := g.first.of(i); {
		case !ok:
			fmt.Fprintf(&b, "no reading yet, %s\n", schedule(c.Interval, time.Now()))
		case r.Fault != wire.Good:
			fmt.Fprintf(&b, "%s\n               %s\n", problem(r.Fault), g.why(i))
		default:
			for k, q := range g.sensors[i].Quantities() {
				b.WriteString(q.Text(r.Values[k]) + "  ")
			}
			fmt.Fprintf(&b, " %s\n", schedule(c.Interval, time.Now()))
		}
	}
	page, readings := g.urls()
	fmt.Fprintf(&b, "\n  page      %s\n  readings  %s\n", page, readings)
	fmt.Fprintf(&b, "\nready in %d ms · stop with Ctrl-C\n", took.Milliseconds())
	_, _ = io.WriteString(w, b.String()) // a closed terminal is no reason to stop
}

// schedule says how often a sensor is read, and of a slow one when it is next.
func schedule(interval time.Duration, now time.Time) string {
	if at, slow := due(interval, now); slow {
		return fmt.Sprintf("every %v, next at %s", interval, at.Format(time.TimeOnly))
	}
	return fmt.Sprintf("every %v", interval)
}

// due returns when a sensor is read next, if it is so slow that people would wait
// for it: deadlines are whole multiples of the interval since 1970.
func due(interval time.Duration, now time.Time) (at time.Time, slow bool) {
	return now.Add(interval - time.Duration(now.UnixNano())%interval), interval > sensors.SlowInterval
}

// logReady writes the same as log lines.
func (g *running) logReady(took time.Duration) {
	for i, c := range g.cfg.Sensors {
		args := []any{"sensor", c.Name, "chip", c.Chip, "bus", c.Bus, "address", fmt.Sprintf("0x%02x", c.Address), "interval", c.Interval}
		if at, slow := due(c.Interval, time.Now()); slow {
			args = append(args, "next", at.Format(time.TimeOnly))
		}
		switch r, ok := g.first.of(i); {
		case !ok:
			g.log.Info("sensor configured", args...)
		case r.Fault != wire.Good:
			g.log.Warn("sensor fails", append(args, "cause", r.Fault, "err", g.why(i))...)
		default:
			for k, q := range g.sensors[i].Quantities() {
				args = append(args, q.Name, q.Text(r.Values[k]))
			}
			g.log.Info("sensor measures", args...)
		}
	}
	page, readings := g.urls()
	g.log.Info("ready", "version", version, "machine", machine.Model(), "configuration", g.source(), "page", page, "readings", readings, "ms", took.Milliseconds())
}

// why returns the error behind a failed first reading, with what helps.
func (g *running) why(i int) string {
	err := g.sampler.Err(i)
	if err == nil {
		return "it measures now"
	}
	if f := wire.FaultOf(err); f == wire.NoAck || f == wire.Absent {
		c := g.cfg.Sensors[i]
		return fmt.Sprintf("%v (check wiring, power and address; see which addresses answer: i2cdetect -y %d)", err, c.Bus)
	}
	return err.Error()
}

// problem is a fault in words.
func problem(f wire.Fault) string { return "✗ " + strings.ReplaceAll(f.String(), "_", " ") }
