//go:build linux

package main

import (
	"fmt"

	"sensorgateway/scripts/load/swarm"
)

// stalled measures how much clients that read are delayed by as many that never read:
// before these connect, while they are connected, and after they have left.
func (b *bench) stalled() error {
	const clients = 500
	k := fastSensor
	return b.with(k, func(g *gateway) error {
		s, err := b.clients(g, k, clients)
		if err != nil {
			return err
		}
		defer s.Close()
		before, err := b.watch(s, clients, b.window/2, k.interval)
		if err != nil {
			return err
		}
		stalled, err := swarm.Dial(swarm.Options{Addr: g.addr, Protocol: k.protocol, Clients: clients, Readings: k.readings, Stalled: true})
		if err != nil {
			return err
		}
		defer stalled.Close()
		if _, err := b.watch(s, clients, 2*settle, k.interval); err != nil { // while they fill up
			return err
		}
		with, err := b.watch(s, clients, b.window, k.interval)
		if err != nil {
			return err
		}
		stalled.Close()
		if _, err := b.watch(s, clients, settle, k.interval); err != nil {
			return err
		}
		after, err := b.watch(s, clients, b.window/2, k.interval)
		if err != nil {
			return err
		}
		alone := append(before, after...)
		b.head(fmt.Sprintf("%d clients of %s, tick → last client", clients, k.name), "p50", "p99")
		b.row("alone", ms(alone.Last(0.50)), ms(alone.Last(0.99)))
		b.row(fmt.Sprintf("beside %d that never read", clients), ms(with.Last(0.50)), ms(with.Last(0.99)))
		b.row("change", change(alone, with, 0.50), change(alone, with, 0.99))
		return nil
	})
}

func change(from, to swarm.Ticks, p float64) string {
	return fmt.Sprintf("%+.1f %%", 100*(float64(to.Last(p))/float64(from.Last(p))-1))
}
