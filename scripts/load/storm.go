//go:build linux

package main

import (
	"fmt"
	"time"

	"sensorgateway/scripts/load/swarm"
)

// storm measures how much clients are delayed by thousands of others that connect
// at once.
func (b *bench) storm() error {
	const stay, come = 500, 5000
	k := oneSensor
	return b.with(k, func(g *gateway) error {
		s, err := b.clients(g, k, stay)
		if err != nil {
			return err
		}
		defer s.Close()
		quiet, err := b.watch(s, stay, b.window/2, k.interval)
		if err != nil {
			return err
		}
		var others *swarm.Swarm
		begin, took, here := time.Now(), time.Duration(0), make(chan error, 1)
		go func() {
			var err error
			others, err = swarm.Dial(swarm.Options{Addr: g.addr, Protocol: k.protocol, Clients: come, Readings: k.readings})
			took = time.Since(begin)
			here <- err
		}()
		during, err := b.readUntil(s, stay, here)
		if others != nil {
			defer others.Close()
		}
		if err != nil {
			return err
		}
		b.head(fmt.Sprintf("%d clients, tick → last client", stay), "p50", "p99")
		b.row("alone", ms(quiet.Last(0.50)), ms(quiet.Last(0.99)))
		b.row(fmt.Sprintf("while %d come within %.1f s", come, took.Seconds()), ms(during.Last(0.50)), ms(during.Last(0.99)))
		return nil
	})
}
