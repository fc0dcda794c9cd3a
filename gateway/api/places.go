package api

import (
	"context"
	"sync"
	"time"

	"sensorgateway/gateway/limit"
)

const (
	maxQueries = 8   // that read at a time
	perHost    = 4   // of them for one host
	maxOpen    = 256 // most of which wait for their clients
	hostOpen   = 64  // of them for one host: a page queries all sensors at once
	queryWait  = 5 * time.Second
)

// queries limits how many queries there are at a time, so that a host that asks for
// much leaves something for others.
type queries struct {
	all   chan struct{} // one for each query that reads
	share *limit.Share

	mu    sync.Mutex
	hosts map[string]*asker
	open  int
}

// asker is a host with queries.
type asker struct {
	slots chan struct{} // one for each of its queries that reads
	open  int
}

func newQueries(share *limit.Share) *queries {
	return &queries{all: make(chan struct{}, maxQueries), share: share, hosts: map[string]*asker{}}
}

// place is that of an open query. It is free for others while the query waits for
// its client, so a client that reads slowly, or not at all, delays nobody.
type place struct {
	q     *queries
	host  string
	asker *asker
	taken bool
	slice limit.Slice // in which it reads
}

// enter waits for a place; ok is false if none was free in time.
func (q *queries) enter(ctx context.Context, host string) (p *place, ok bool) {
	ctx, cancel := context.WithTimeout(ctx, queryWait)
	defer cancel()
	q.mu.Lock()
	a := q.hosts[host]
	if a == nil {
		a = &asker{slots: make(chan struct{}, perHost)}
		q.hosts[host] = a
	}
	a.open++
	q.open++
	full := a.open > hostOpen || q.open > maxOpen
	q.mu.Unlock()
	p = &place{q: q, host: host, asker: a, slice: limit.Slice{Share: q.share}}
	if full || !p.take(ctx) {
		p.leave()
		return nil, false
	}
	return p, true
}

// take waits for the place until ctx ends, and reports whether it has it.
func (p *place) take(ctx context.Context) bool {
	if !take(ctx, p.asker.slots) {
		return false
	}
	if p.taken = take(ctx, p.q.all); !p.taken {
		<-p.asker.slots
		return false
	}
	p.slice.Begin(ctx)
	return true
}

// pause gives the place up until take.
func (p *place) pause() {
	if p.taken {
		p.slice.End()
		<-p.q.all
		<-p.asker.slots
		p.taken = false
	}
}

// yielding returns next, which lets others work between two batches.
func yielding[T any](ctx context.Context, p *place, next func() ([]T, error)) func() ([]T, error) {
	return func() ([]T, error) {
		p.slice.Yield(ctx)
		return next()
	}
}

// leave ends the query.
func (p *place) leave() {
	p.pause()
	p.q.mu.Lock()
	defer p.q.mu.Unlock()
	p.q.open--
	if p.asker.open--; p.asker.open == 0 {
		delete(p.q.hosts, p.host)
	}
}

// take takes a free slot, or waits for one until ctx ends. A free one is taken even
// if ctx has ended: a client that only seems to have left must not be answered that
// there is none.
func take(ctx context.Context, slots chan<- struct{}) bool {
	select {
	case slots <- struct{}{}:
		return true
	default:
	}
	select {
	case slots <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}
