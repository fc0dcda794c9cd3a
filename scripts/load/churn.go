//go:build linux

package main

import (
	"errors"
	"fmt"
	"time"

	"sensorgateway/scripts/load/swarm"
)

// churn measures what clients that come and go leave behind in the gateway, and
// how much they delay those that stay.
func (b *bench) churn() error {
	const stay, wave, waves = 100, 500, 20
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
		start, err := usageOf(g)
		if err != nil {
			return err
		}
		usages, during, took := []usage{start}, swarm.Ticks(nil), time.Duration(0)
		for range 2 {
			begin, gone := time.Now(), make(chan error, 1)
			go func() { gone <- comeAndGo(g, k, wave, waves) }()
			seen, err := b.readUntil(s, stay, gone)
			if err != nil {
				return err
			}
			took += time.Since(begin)
			during = append(during, seen...)
			if _, err := b.watch(s, stay, settle, k.interval); err != nil {
				return err
			}
			u, err := usageOf(g)
			if err != nil {
				return err
			}
			usages = append(usages, u)
		}
		memory, goroutines := []string{"memory"}, []string{"goroutines"}
		for _, u := range usages {
			memory = append(memory, fmt.Sprintf("%.1f MiB", float64(u.rss)/(1<<20)))
			goroutines = append(goroutines, fmt.Sprint(u.goroutines))
		}
		b.head(fmt.Sprintf("%d clients stay, others come and go", stay), "before", fmt.Sprintf("after %d", wave*waves), fmt.Sprintf("after %d", 2*wave*waves))
		b.row(memory...)
		b.row(goroutines...)
		fmt.Fprintf(b.out, "\n%.0f came a second. Tick → last of those who stay: p50 %s, p99 %s; without the others %s, %s.\n",
			2*wave*waves/took.Seconds(), ms(during.Last(0.50)), ms(during.Last(0.99)), ms(quiet.Last(0.50)), ms(quiet.Last(0.99)))
		return nil
	})
}

// readUntil lets n clients read until done says how it ended. Each of them must
// get each tick.
func (b *bench) readUntil(s *swarm.Swarm, n int, done <-chan error) (all swarm.Ticks, err error) {
	for {
		seen, err := s.Read(1, patience)
		if err != nil {
			return nil, errors.Join(err, <-done)
		}
		all = append(all, seen...)
		select {
		case err := <-done:
			return all, errors.Join(err, b.ctx.Err(), all.Delivered(n))
		default:
		}
	}
}

// comeAndGo has clients connect in waves. Every other wave ends with a close
// frame, the others with the connection alone.
func comeAndGo(g *gateway, k kind, wave, waves int) error {
	for i := range waves {
		s, err := swarm.Dial(swarm.Options{Addr: g.addr, Protocol: k.protocol, Clients: wave, Readings: k.readings})
		if err != nil {
			return err
		}
		if i%2 == 0 {
			err = s.Leave()
		}
		s.Close()
		if err != nil {
			return err
		}
	}
	return nil
}
