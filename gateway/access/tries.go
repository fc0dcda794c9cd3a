package access

import (
	"net/netip"
	"sync"
	"time"
)

const (
	freeTries = 10
	firstWait = time.Second
	maxWait   = time.Hour
	// maxTriers bounds the memory: when it is full, an old entry makes room.
	maxTriers = 4096
)

// tries are the failed tries of each address, one entry for all of a /64, which is
// what a host on IPv6 has.
type tries struct {
	mu sync.Mutex
	of map[netip.Addr]*try
}

type try struct {
	count int
	last  time.Time
	until time.Time // when the next one may come, for Retry-After
	wait  time.Duration
}

// fail counts a failed try, and returns how long the next one has to wait.
func (t *tries) fail(addr netip.Addr, now time.Time) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.of == nil {
		t.of = map[netip.Addr]*try{}
	}
	key := network(addr)
	n := t.of[key]
	if n != nil && now.Sub(n.last) > maxWait && now.After(n.until) {
		n = nil // long ago
	}
	if n == nil {
		if len(t.of) >= maxTriers {
			t.evict()
		}
		n = &try{}
		t.of[key] = n
	}
	n.last = now
	if n.count++; n.count < freeTries {
		return 0
	}
	if now.After(n.until) { // a try before that does not extend the wait
		n.wait = min(max(2*n.wait, firstWait), maxWait)
		n.until = now.Add(n.wait)
	}
	return n.until.Sub(now)
}

// evict removes an entry: of a few, taken in the map's random order, the one whose last try
// is the oldest. An attacker must not be able to cause a search of all of them.
func (t *tries) evict() {
	var oldest netip.Addr
	seen := 0
	for addr, n := range t.of {
		if seen == 0 || n.last.Before(t.of[oldest].last) {
			oldest = addr
		}
		if seen++; seen == 16 {
			break
		}
	}
	delete(t.of, oldest)
}

// network returns one address for all those from which a host can try.
func network(addr netip.Addr) netip.Addr {
	if !addr.Is6() {
		return addr
	}
	prefix, _ := addr.Prefix(64) // of an IPv6 address it cannot fail
	return prefix.Addr()
}
