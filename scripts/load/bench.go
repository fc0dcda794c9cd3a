//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"sensorgateway/scripts/load/process"
	"sensorgateway/scripts/load/swarm"
)

const (
	// settle is how long clients read, at least, before they are measured.
	settle = time.Second
	// patience is how much later than planned a tick may come.
	patience = 10 * time.Second
)

// A kind is a kind of client and the gateway that it is for.
type kind struct {
	name     string
	protocol string
	readings int           // in a tick
	interval time.Duration // between ticks
	config   string
}

var (
	oneSensor    = single("readings.v1", 100*time.Millisecond)
	fastSensor   = single("readings.v1 at 50 Hz", 20*time.Millisecond)
	eightSensors = eight()
)

func single(name string, interval time.Duration) kind {
	return kind{name, "readings.v1", 1, interval,
		fmt.Sprintf("sensors:\n  - {name: s, chip: sht3x, bus: 1, address: 0x44, interval: %v}\n", interval)}
}

// eight returns the kind of clients for eight sensors, on two buses.
func eight() kind {
	k := kind{"readings.v2, 8 sensors", "readings.v2", 8, 100 * time.Millisecond, "sensors:\n"}
	for bus := 1; bus <= 2; bus++ {
		for _, address := range []int{0x44, 0x45, 0x76, 0x77} {
			chip := "sht3x"
			if address >= 0x76 {
				chip = "bme280"
			}
			k.config += fmt.Sprintf("  - {name: s%d-%x, chip: %s, bus: %d, address: %#x, interval: %v}\n",
				bus, address, chip, bus, address, k.interval)
		}
	}
	return k
}

// bench is the whole measurement.
type bench struct {
	ctx     context.Context
	program string
	window  time.Duration
	only    string // the measurement to make; "": all of them
	out     io.Writer
}

// run measures everything and prints it. If a measurement fails, for example because a
// tick came late on a busy machine, the others still run; its error is returned.
func (b *bench) run() error {
	fmt.Fprintf(b.out, "%s. Gateway and clients on the same machine, over loopback, %v a row.\n", process.Describe(), b.window)
	var errs []error
	for _, m := range []struct {
		name    string
		measure func() error
	}{{"rest", b.rest}, {"beside", b.beside}, {"fanout", b.fanout}, {"stalled", b.stalled}, {"storm", b.storm}, {"churn", b.churn}} {
		if b.only != "" && b.only != m.name {
			continue
		}
		fmt.Fprintln(b.out)
		if err := m.measure(); err != nil {
			errs = append(errs, err)
		}
		if b.ctx.Err() != nil {
			break
		}
	}
	return errors.Join(errs...)
}

// with starts a gateway for clients of a kind, measures it and stops it.
func (b *bench) with(k kind, measure func(*gateway) error) (err error) {
	dir, err := os.MkdirTemp("", "load")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	g, err := startGateway(b.ctx, b.program, dir, k.config+limits)
	if err != nil {
		return err
	}
	if err = measure(g); err != nil {
		err = fmt.Errorf("%s: %w", k.name, err)
	}
	return errors.Join(err, g.Stop())
}

// clients connects n clients and lets them read until ticks come to all.
func (b *bench) clients(g *gateway, k kind, n int) (*swarm.Swarm, error) {
	s, err := swarm.Dial(swarm.Options{Addr: g.addr, Protocol: k.protocol, Clients: n, Readings: k.readings, Age: sinceDue})
	if err != nil {
		return nil, err
	}
	begin := time.Now()
	for whole := false; !whole || time.Since(begin) < settle; {
		seen, err := s.Read(1, patience)
		switch {
		case err == nil && len(seen) == 0:
			err = fmt.Errorf("no tick for %v", patience)
		case err == nil:
			err = b.ctx.Err()
		}
		if err != nil {
			s.Close()
			return nil, err
		}
		whole = len(seen) > 0 && seen[len(seen)-1:].Delivered(n) == nil
	}
	return s, nil
}

// watch lets n clients read for the given time. Each of them must get each tick.
func (b *bench) watch(s *swarm.Swarm, n int, d, interval time.Duration) (swarm.Ticks, error) {
	ticks := int(d / interval)
	seen, err := s.Read(ticks, d+patience)
	switch {
	case err != nil:
		return nil, err
	case b.ctx.Err() != nil:
		return nil, b.ctx.Err()
	case len(seen) < ticks:
		return nil, fmt.Errorf("%d of %d ticks came", len(seen), ticks)
	}
	return seen, seen.Delivered(n)
}

// sinceDue returns how long ago the tick with this time, in Unix milliseconds,
// was due: then the measurement begins.
func sinceDue(stamp int64) time.Duration {
	return time.Duration(time.Now().UnixNano() - stamp*int64(time.Millisecond))
}

// head prints a table's head, row a row of it.
func (b *bench) head(cells ...string) {
	b.row(cells...)
	fmt.Fprintln(b.out, strings.Repeat("|---", len(cells))+"|")
}

func (b *bench) row(cells ...string) { fmt.Fprintln(b.out, "| "+strings.Join(cells, " | ")+" |") }

func ms(d time.Duration) string { return fmt.Sprintf("%.1f ms", float64(d)/1e6) }
