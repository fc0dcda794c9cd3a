package conn

import (
	"container/list"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"sensorgateway/gateway/limit"
)

// The reasons for which [Limits.Refused] is called.
const (
	ReasonConnections = "connections" // too many that are not upgraded, in all
	ReasonHost        = "connections_per_address"
	ReasonDescriptors = "descriptors" // or memory in the kernel
	ReasonQueues      = "queues"      // too much is queued for clients that take little
)

// Limits are what connections may take. 0 is no limit.
type Limits struct {
	Connections int                   // that are not upgraded
	PerHost     int                   // of them, of one host
	Exempt      func(netip.Addr) bool // from PerHost: a proxy has many clients
	Queues      int64                 // bytes that may be queued for all clients together
	// Refused is called for each connection that ends for a limit.
	Refused func(reason, client, why string)
}

// A Budget is what the connections of its listeners share. Before the upgrade a
// connection costs a goroutine with buffers, whoever it is from. So their number is
// limited: one more closes the oldest that waits for its client. One whose request is
// being answered, or that is upgraded, is not closed for this.
type Budget struct {
	limits Limits
	gate   gate
	queued atomic.Int64 // bytes, for all clients
	poller poller       // of clients that are parked

	mu     sync.Mutex
	order  list.List // of *socket: those that are not upgraded, the oldest first
	hosts  map[netip.Prefix]int
	failed time.Time // when the last connection could not be accepted
	why    error
}

// seat is the place of a connection in the budget. A connection that is upgraded or has
// ended has none. The budget's mu guards it.
type seat struct {
	element *list.Element
	host    netip.Prefix
	since   time.Time
	waits   bool // for its client
	served  bool // its request is being answered
}

// NewBudget returns a budget of which nothing is used.
func NewBudget(limits Limits) *Budget {
	if limits.Exempt == nil {
		limits.Exempt = func(netip.Addr) bool { return false }
	}
	if limits.Refused == nil {
		limits.Refused = func(string, string, string) {}
	}
	return &Budget{limits: limits, gate: newGate(), hosts: map[netip.Prefix]int{}}
}

// Close ends the goroutine that waits for parked clients, of which there must be none any more.
func (b *Budget) Close() { b.poller.close() }

// Counts returns how much of each limit is used.
func (b *Budget) Counts() []limit.Count {
	b.mu.Lock()
	defer b.mu.Unlock()
	return []limit.Count{
		{Name: "connections", Current: int64(b.order.Len()), Maximum: int64(b.limits.Connections)},
		{Name: "queued_bytes", Current: b.queued.Load(), Maximum: b.limits.Queues},
	}
}

// admit makes room for a connection that was accepted, and returns whether it could.
func (b *Budget) admit(s *socket) bool {
	addr, _ := netip.ParseAddrPort(s.RemoteAddr().String())
	host, exempt := limit.Host(addr.Addr()), b.limits.Exempt(addr.Addr().Unmap())
	var reason, why string
	var evicted *socket
	b.mu.Lock()
	switch {
	case !exempt && b.limits.PerHost > 0 && b.hosts[host] >= b.limits.PerHost:
		reason, why = ReasonHost, fmt.Sprintf("this address has %d connections that are not upgraded to WebSocket; a new one closes the oldest of them (connections_per_address: under limits: in the configuration)", b.limits.PerHost)
		evicted = b.evict(func(o *socket) bool { return o.seat.host == host })
	case b.limits.Connections > 0 && b.order.Len() >= b.limits.Connections:
		reason, why = ReasonConnections, fmt.Sprintf("there are %d connections that are not upgraded to WebSocket; a new one closes the oldest of them (connections: under limits: in the configuration)", b.limits.Connections)
		evicted = b.evict(func(*socket) bool { return true })
	}
	admitted := reason == "" || evicted != nil
	if admitted {
		s.seat = &seat{element: b.order.PushBack(s), host: host, since: time.Now()}
		b.hosts[host]++
	}
	b.mu.Unlock()
	if reason != "" {
		if evicted == nil {
			evicted = s
		}
		b.end(evicted, reason, why)
	}
	return admitted
}

// evict removes the oldest connection that waits for its client, of those for which
// these returns true, and returns it; if there is none, the oldest of them whose
// request is not being answered yet; nil if there is none either. b.mu is held.
func (b *Budget) evict(these func(*socket) bool) *socket {
	var busy *socket
	for e := b.order.Front(); e != nil; e = e.Next() {
		switch s := e.Value.(*socket); {
		case s.seat.served || !these(s):
		case s.seat.waits:
			b.remove(s)
			return s
		case busy == nil:
			busy = s
		}
	}
	if busy != nil {
		b.remove(busy)
	}
	return busy
}

// end closes a connection that there is no room for. No lock is held.
func (b *Budget) end(s *socket, reason, why string) {
	client := s.RemoteAddr().String()
	_ = s.Close()
	b.limits.Refused(reason, client, why)
}

// remove gives a connection's place back. b.mu is held.
func (b *Budget) remove(s *socket) {
	if s.seat == nil {
		return
	}
	b.order.Remove(s.seat.element)
	if b.hosts[s.seat.host]--; b.hosts[s.seat.host] == 0 {
		delete(b.hosts, s.seat.host)
	}
	s.seat = nil
}

// release gives a connection's place back, if it has one: it is upgraded, or ends.
func (b *Budget) release(s *socket) {
	b.mu.Lock()
	b.remove(s)
	b.mu.Unlock()
}

// waits notes whether a connection waits for its client.
func (b *Budget) waits(s *socket, waits bool) {
	b.mu.Lock()
	if s.seat != nil {
		s.seat.waits = waits
	}
	b.mu.Unlock()
}

// leaving notes that nothing more is sent on a connection that is not upgraded.
func (b *Budget) leaving(s *socket) {
	b.mu.Lock()
	if s.seat != nil {
		s.seat.waits, s.seat.served = true, false
	}
	b.mu.Unlock()
}

// State notes when a request is read and when it is answered. It is the
// [http.Server.ConnState] of the server that accepts from the budget's listeners.
func (b *Budget) State(c net.Conn, state http.ConnState) { serve(c, state == http.StateActive) }

// serve notes whether a request of a connection is being answered.
func serve(c net.Conn, served bool) {
	if secure, ok := c.(*tls.Conn); ok {
		c = secure.NetConn()
	}
	s, ok := c.(*socket)
	if !ok {
		return
	}
	s.budget.mu.Lock()
	if s.seat != nil {
		s.seat.served = served
	}
	s.budget.mu.Unlock()
}

type connKey struct{}

// WithConn is the [http.Server.ConnContext] of a server whose requests are given to [ReadsBody].
func WithConn(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, c)
}

// ReadsBody notes that the handler of a request waits for its body: meanwhile the connection
// can be closed to make room, as while the header was incomplete.
func ReadsBody(r *http.Request) {
	if c, ok := r.Context().Value(connKey{}).(net.Conn); ok {
		serve(c, false)
	}
}

// queue counts n more bytes for a client that has held bytes queued already, and
// returns whether that is allowed. How many one client may have follows from what all
// together have left, so that there is something for each (the dynamic threshold of
// Choudhury and Hahne, 1998).
func (b *Budget) queue(held, n int) bool {
	if held+n > b.queueLimit() {
		return false
	}
	b.queued.Add(int64(n))
	return true
}

// dequeue counts that n of those bytes are queued no more.
func (b *Budget) dequeue(n int) { b.queued.Add(-int64(n)) }

// queueShare is the part of what is left that one client may have.
const queueShare = 256

// queueLimit is how many bytes may be queued for one client now.
func (b *Budget) queueLimit() int {
	if b.limits.Queues == 0 {
		return queueLimit
	}
	return int(max(min(queueLimit, (b.limits.Queues-b.queued.Load())/queueShare), 0))
}
