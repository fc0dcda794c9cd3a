// Package limit bounds what clients may have, in all and each host: places before and
// after the upgrade, and queries; and what one client may send in a second.
//
// It refuses to know what the places are for, and how a host is found out.
package limit

import (
	"net/netip"
	"sync"
)

// ipv6Host is how many bits of an IPv6 address stand for one host: the network of a
// subscriber is a /64 at least, and every device in it has as many addresses as it
// likes (RFC 6177, RFC 8981).
const ipv6Host = 64

// Host returns what counts as one host: an IPv4 address, or the /64 of an IPv6 one.
func Host(addr netip.Addr) netip.Prefix {
	addr = addr.Unmap().WithZone("")
	bits := min(addr.BitLen(), ipv6Host)
	host, _ := addr.Prefix(bits) // the zero prefix for the zero address
	return host
}

// A Count is how much there is at present of what is limited.
type Count struct {
	Name             string
	Current, Maximum int64
}

// Places are places for clients. Reserved of them are kept for clients who have a right
// to one, whatever the others do. The zero Places have no bound.
type Places struct {
	Most     int // in all
	PerHost  int // for clients of one host without a right to a place
	Reserved int // of Most, for clients with a right to one; one host has at most Most-Reserved

	mu    sync.Mutex
	taken int
	hosts map[netip.Prefix]int
}

// Take takes a place for a client of a host, unless there is none for it: then full
// says which, "of this host" or "in all".
func (p *Places) Take(host netip.Prefix, right bool) (full string, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	most, perHost := p.Most-p.Reserved, p.PerHost
	if right {
		most, perHost = p.Most, p.Most-p.Reserved
	}
	switch {
	case perHost > 0 && p.hosts[host] >= perHost:
		return "of this host", false
	case p.Most > 0 && p.taken >= most:
		return "in all", false
	}
	if p.hosts == nil {
		p.hosts = map[netip.Prefix]int{}
	}
	p.taken++
	p.hosts[host]++
	return "", true
}

// Leave gives up the place of a client of a host.
func (p *Places) Leave(host netip.Prefix) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.taken--
	if p.hosts[host]--; p.hosts[host] == 0 {
		delete(p.hosts, host)
	}
}

// Taken is how many are taken.
func (p *Places) Taken() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.taken
}
