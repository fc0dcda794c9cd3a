package gateway

import (
	"context"
	"sync"
	"time"
)

const (
	maxQueries = 8  // under way at a time,
	perHost    = 4  // and of one host,
	maxWaiting = 64 // which may have so many in all, for a page asks for all sensors at once
	queryWait  = 5 * time.Second
)

// queries limits how many there are at a time, so that one who asks much leaves
// the others something.
type queries struct {
	all chan struct{}

	mu    sync.Mutex
	hosts map[string]*asker
}

// asker is a host with queries.
type asker struct {
	slots chan struct{}
	here  int // under way or waiting
}

func newQueries() *queries {
	return &queries{all: make(chan struct{}, maxQueries), hosts: map[string]*asker{}}
}

// enter waits for a place, and returns what leaves it; ok is false if none got
// free in time.
func (q *queries) enter(ctx context.Context, host string) (leave func(), ok bool) {
	ctx, cancel := context.WithTimeout(ctx, queryWait)
	defer cancel()
	q.mu.Lock()
	a := q.hosts[host]
	if a == nil {
		a = &asker{slots: make(chan struct{}, perHost)}
		q.hosts[host] = a
	}
	a.here++
	crowded := a.here > maxWaiting
	q.mu.Unlock()
	gone := func() {
		q.mu.Lock()
		defer q.mu.Unlock()
		if a.here--; a.here == 0 {
			delete(q.hosts, host)
		}
	}
	if crowded || !take(ctx, a.slots) {
		gone()
		return nil, false
	}
	if !take(ctx, q.all) {
		<-a.slots
		gone()
		return nil, false
	}
	return func() { <-q.all; <-a.slots; gone() }, true
}

func take(ctx context.Context, slots chan<- struct{}) bool {
	select {
	case slots <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}
