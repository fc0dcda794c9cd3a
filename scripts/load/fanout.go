//go:build linux

package main

import (
	"errors"
	"fmt"
	"time"
)

// idleTime is how long the gateway is measured without clients.
const idleTime = 3 * time.Second

// usage is a gateway's use of the machine at one moment.
type usage struct {
	at         time.Time
	cpu        time.Duration
	rss        int // bytes
	goroutines int
}

func usageOf(g *gateway) (u usage, err error) {
	var errs [3]error
	u.goroutines, errs[0] = goroutines(g.addr)
	u.rss, errs[1] = g.RSS()
	u.cpu, errs[2] = g.CPU()
	u.at = time.Now()
	return u, errors.Join(errs[:]...)
}

// fanout measures what clients cost and how long they wait.
func (b *bench) fanout() error {
	b.head("clients", "", "CPU a frame", "of one core", "tick → first client, p50", "→ last client, p50", "p99", "memory a client", "goroutines a client")
	var errs []error
	for _, k := range []kind{oneSensor, eightSensors} {
		for _, clients := range []int{1000, 5000} {
			if err := b.with(k, func(g *gateway) error { return b.fan(g, k, clients) }); err != nil {
				errs = append(errs, fmt.Errorf("%d clients: %w", clients, err))
			}
		}
	}
	return errors.Join(errs...)
}

// fan measures a row. The CPU time of a frame is the gateway's CPU time less that
// without clients.
func (b *bench) fan(g *gateway, k kind, clients int) error {
	time.Sleep(settle)
	alone, err := usageOf(g)
	if err != nil {
		return err
	}
	time.Sleep(idleTime)
	idle, err := usageOf(g)
	if err != nil {
		return err
	}
	s, err := b.clients(g, k, clients)
	if err != nil {
		return err
	}
	defer s.Close()
	before, err := usageOf(g)
	if err != nil {
		return err
	}
	seen, err := b.watch(s, clients, b.window, k.interval)
	if err != nil {
		return err
	}
	after, err := usageOf(g)
	if err != nil {
		return err
	}
	share := busy(before, after)
	frame := (share - busy(alone, idle)) * float64(after.at.Sub(before.at)) / float64(len(seen)*clients)
	b.row(fmt.Sprint(clients), k.name,
		fmt.Sprintf("%.1f µs", frame/1e3), fmt.Sprintf("%.0f %%", 100*share),
		ms(seen.First(0.50)), ms(seen.Last(0.50)), ms(seen.Last(0.99)),
		fmt.Sprintf("%.1f KiB", float64(after.rss-idle.rss)/1024/float64(clients)),
		fmt.Sprintf("%.2f", float64(after.goroutines-idle.goroutines)/float64(clients)))
	return nil
}

// busy returns the share of one core that was used between two moments.
func busy(from, to usage) float64 { return float64(to.cpu-from.cpu) / float64(to.at.Sub(from.at)) }
