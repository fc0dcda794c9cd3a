//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"
)

const (
	restRounds   = 3
	restSettled  = 2 * settle
	restTime     = 4 * time.Second // within which the gateway reads the machine's numbers once
	besideRounds = 3
	// A client is pinged 3, 6, 12 and 24 s after it connected, and then about every 25 s:
	// so 25 s that begin after the third ping contain one ping, like any later 25 s.
	besideSettled = 13 * time.Second
	besideTime    = 25 * time.Second
)

// A rival is a server whose ticks are measured.
type rival struct {
	name    string
	start   func(b *bench, dir string) (*gateway, error)
	clients int
	samples []cost
}

// cost is what a tick costs.
type cost struct {
	switches float64 // of context, voluntary
	cpu      time.Duration
}

func (b *bench) startBare(string) (*gateway, error) { return b.startLoop() }

// startConverting starts a loop that is woken twice in each tick, as the gateway is: at
// the deadline, and when the chip has converted.
func (b *bench) startConverting(string) (*gateway, error) { return b.startLoop("-pause", "7ms") }

func (b *bench) startLoop(flags ...string) (*gateway, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return startServer(b.ctx, self, append(flags, "-bare")...)
}

func (b *bench) startWithoutLog(dir string) (*gateway, error) {
	return startGateway(b.ctx, b.program, dir, oneSensor.config+limits)
}

// startWithLog uses the smallest log, whose journal is filled with zeros within 2 s. With
// the usual size that takes 20 s, once in a gateway's life, and would disturb the measurement.
func (b *bench) startWithLog(dir string) (*gateway, error) {
	return startGateway(b.ctx, b.program, dir, "history: {size: 16MiB}\n"+oneSensor.config+limits, "--state", filepath.Join(dir, "state"))
}

// rest measures what a tick costs when nothing else happens, with one sensor and one
// client, in comparison with an idle timer.
func (b *bench) rest() error {
	timer := &rival{name: "an idle Go ticker at 10 Hz", start: (*bench).startBare}
	converting := &rival{name: "one that sleeps for 7 ms in each tick, as for a chip, and sends to one client", start: (*bench).startConverting, clients: 1}
	plain := &rival{name: "the gateway, one sensor, one client", start: (*bench).startWithoutLog, clients: 1}
	stored := &rival{name: "the same with its log on the disk", start: (*bench).startWithLog, clients: 1}
	if err := b.rounds(restRounds, restSettled, restTime, timer, converting, plain, stored); err != nil {
		return err
	}
	b.head("a tick at rest", "voluntary context switches", "to the ticker", "CPU time", "to the ticker")
	for _, r := range []*rival{timer, converting, plain, stored} {
		b.row(r.name, fmt.Sprintf("%.1f", r.switches()), fmt.Sprintf("%.2f", r.switches()/timer.switches()),
			fmt.Sprintf("%.2f ms", r.cpu()/1e6), fmt.Sprintf("%.2f", r.cpu()/timer.cpu()))
	}
	return nil
}

// beside measures the whole cost of a tick with many clients, in comparison with the
// bare loop of system calls.
func (b *bench) beside() error {
	b.head("clients", "bare `write`, CPU a frame", "the gateway", "to bare, median of the rounds")
	var errs []error
	for _, clients := range []int{100, 1000, 5000} {
		loop := &rival{name: "bare", start: (*bench).startBare, clients: clients}
		ours := &rival{name: "ours", start: (*bench).startWithLog, clients: clients}
		if err := b.rounds(besideRounds, besideSettled, besideTime, loop, ours); err != nil {
			errs = append(errs, fmt.Errorf("%d clients: %w", clients, err))
			continue
		}
		var ratios []float64
		for i := range ours.samples {
			ratios = append(ratios, float64(ours.samples[i].cpu)/float64(loop.samples[i].cpu))
		}
		b.row(fmt.Sprint(clients), fmt.Sprintf("%.2f µs", loop.cpu()/1e3/float64(clients)),
			fmt.Sprintf("%.2f µs", ours.cpu()/1e3/float64(clients)), fmt.Sprintf("%.2f", median(ratios)))
	}
	return errors.Join(errs...)
}

// rounds measures the rivals in turn, so that other work of the machine disturbs all of
// them equally.
func (b *bench) rounds(n int, settled, d time.Duration, rivals ...*rival) error {
	for round := range n {
		for i := range rivals {
			r := rivals[(i+round)%len(rivals)] // none is always first
			if err := b.measureRival(r, settled, d); err != nil {
				return fmt.Errorf("%s: %w", r.name, err)
			}
		}
	}
	return nil
}

// measureRival measures one for the given time, once it has settled.
func (b *bench) measureRival(r *rival, settled, d time.Duration) (err error) {
	dir, err := os.MkdirTemp("", "load")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	g, err := r.start(b, dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, g.Stop()) }()
	watch := func(d time.Duration) error { time.Sleep(d); return b.ctx.Err() }
	if r.clients > 0 {
		s, err := b.clients(g, oneSensor, r.clients)
		if err != nil {
			return err
		}
		defer s.Close()
		watch = func(d time.Duration) error { _, err := b.watch(s, r.clients, d, oneSensor.interval); return err }
	}
	if err := watch(settled); err != nil { // the start's work ends; unread ticks would shorten the measurement
		return err
	}
	before, err := g.Effort()
	if err != nil {
		return err
	}
	begin := time.Now()
	if err := watch(d); err != nil {
		return err
	}
	after, err := g.Effort()
	if err != nil {
		return err
	}
	ticks := float64(time.Since(begin)) / float64(oneSensor.interval)
	r.samples = append(r.samples, cost{
		switches: float64(after.Switches-before.Switches) / ticks,
		cpu:      time.Duration(float64(after.CPU-before.CPU) / ticks),
	})
	return nil
}

// switches and cpu, in nanoseconds, are the medians.
func (r *rival) switches() float64 {
	return r.median(func(c cost) float64 { return c.switches })
}

func (r *rival) cpu() float64 {
	return r.median(func(c cost) float64 { return float64(c.cpu) })
}

func (r *rival) median(of func(cost) float64) float64 {
	var all []float64
	for _, c := range r.samples {
		all = append(all, of(c))
	}
	return median(all)
}

func median(of []float64) float64 { return slices.Sorted(slices.Values(of))[len(of)/2] }
