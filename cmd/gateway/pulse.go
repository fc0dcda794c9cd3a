package main

import (
	"errors"
	"sync"
	"time"
)

// standstill is after which time without a beat /healthz says so.
const standstill = 5 * time.Second

// pulse watches counters that grow at least once a second while their owners work.
type pulse struct {
	mu            sync.Mutex
	ticks, hub    int64
	tickAt, hubAt time.Time
}

// check is given the counters as they are now, and returns what stands still.
func (p *pulse) check(ticks, hub int64) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	if ticks != p.ticks || p.tickAt.IsZero() {
		p.ticks, p.tickAt = ticks, now
	}
	if hub != p.hub || p.hubAt.IsZero() {
		p.hub, p.hubAt = hub, now
	}
	switch {
	case now.Sub(p.tickAt) >= standstill:
		return errors.New("the scheduler of ticks stands still")
	case now.Sub(p.hubAt) >= standstill:
		return errors.New("the hub stands still")
	}
	return nil
}
