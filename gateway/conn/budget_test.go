package conn

import (
	"errors"
	"net"
	"net/http"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// fakeConn is a connection from an address whose client sends nothing.
type fakeConn struct {
	net.Conn
	from  net.Addr
	close sync.Once
	ended chan struct{}
	reads chan struct{} // a byte of the client
}

func from(addr string) *fakeConn {
	return &fakeConn{from: net.TCPAddrFromAddrPort(netip.MustParseAddrPort(addr)), ended: make(chan struct{}), reads: make(chan struct{})}
}

func (c *fakeConn) RemoteAddr() net.Addr { return c.from }
func (c *fakeConn) Close() error         { c.close.Do(func() { close(c.ended) }); return nil }
func (c *fakeConn) Read([]byte) (int, error) {
	select {
	case <-c.reads:
		return 1, nil
	case <-c.ended:
		return 0, net.ErrClosed
	}
}

func (c *fakeConn) isClosed() bool {
	select {
	case <-c.ended:
		return true
	default:
		return false
	}
}

// fakeListener accepts what it is given.
type fakeListener chan any // a net.Conn or an error

func (l fakeListener) Accept() (net.Conn, error) {
	switch next := (<-l).(type) {
	case net.Conn:
		return next, nil
	case error:
		return nil, next
	}
	return nil, net.ErrClosed
}
func (l fakeListener) Addr() net.Addr {
	return net.TCPAddrFromAddrPort(netip.MustParseAddrPort("127.0.0.1:8765"))
}
func (l fakeListener) Close() error { close(l); return nil }

// reception accepts connections, and reads from each as net/http does.
type reception struct {
	*Budget
	in       fakeListener
	accepted chan net.Conn
	refused  map[string]int
}

func receive(limits Limits) *reception {
	r := &reception{in: make(fakeListener), accepted: make(chan net.Conn, 100), refused: map[string]int{}}
	limits.Refused = func(reason, _, _ string) { r.refused[reason]++ }
	r.Budget = NewBudget(limits)
	l := r.Budget.Listen(r.in)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() { _, _ = c.Read(make([]byte, 1)) }()
			r.accepted <- c
		}
	}()
	return r
}

// come lets connections come, one after the other.
func (r *reception) come(addrs ...string) (all []*fakeConn) {
	for _, addr := range addrs {
		c := from(addr)
		r.in <- c
		synctest.Wait()
		all = append(all, c)
	}
	return all
}

func open(all []*fakeConn) (open []int) {
	for i, c := range all {
		if !c.isClosed() {
			open = append(open, i)
		}
	}
	return open
}

func (r *reception) want(t *testing.T, what string, all []*fakeConn, want ...int) {
	t.Helper()
	got := open(all)
	if len(got) != len(want) {
		t.Errorf("%s: open are %v, want %v", what, got, want)
		return
	}
	for i := range got {
		if got[i] != want[i] {
			t.Errorf("%s: open are %v, want %v", what, got, want)
			return
		}
	}
}

func TestOldestThatWaitsIsEvicted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := receive(Limits{Connections: 4, PerHost: 2, Exempt: func(a netip.Addr) bool { return a == netip.MustParseAddr("192.0.2.100") }})
		defer r.in.Close()
		all := r.come("192.0.2.1:1", "192.0.2.1:2", "192.0.2.1:3", "192.0.2.2:1")
		r.want(t, "one host has two", all, 1, 2, 3)
		all = append(all, r.come("[2001:db8::1]:1", "[2001:db8::2]:1", "[2001:db8::3]:1")...)
		r.want(t, "a /64 is one host, and there are four", all, 2, 3, 5, 6)
		if r.refused[ReasonHost] != 2 || r.refused[ReasonConnections] != 1 {
			t.Errorf("refused %v", r.refused)
		}
		all = append(all, r.come("192.0.2.100:1", "192.0.2.100:2", "192.0.2.100:3")...)
		r.want(t, "a proxy has as many as there are", all, 6, 7, 8, 9)
		for _, c := range all {
			c.Close()
		}
		for range len(r.accepted) {
			_ = (<-r.accepted).Close()
		}
		if got := r.Counts()[0].Current; got != 0 || len(r.hosts) != 0 {
			t.Errorf("%d are counted after all have ended, of %v", got, r.hosts)
		}
	})
}

func TestServedIsNotEvicted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := receive(Limits{Connections: 2})
		defer r.in.Close()
		all := r.come("192.0.2.1:1", "192.0.2.2:1")
		first := <-r.accepted
		r.State(first, http.StateActive)
		all = append(all, r.come("192.0.2.3:1")...)
		r.want(t, "the first is served", all, 0, 2)
		r.State(first, http.StateIdle)
		all = append(all, r.come("192.0.2.4:1")...)
		r.want(t, "it is answered", all, 2, 3)
		for range 3 {
			r.State(<-r.accepted, http.StateActive)
		}
		all = append(all, r.come("192.0.2.5:1")...)
		r.want(t, "all are served: the new one is refused", all, 2, 3)
		for _, c := range all {
			c.Close()
		}
	})
}

// Neither a lack of descriptors nor one of memory ends the server, and both are
// reported while they last.
func TestOutOfDescriptors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := receive(Limits{})
		all := r.come("192.0.2.1:1", "192.0.2.2:1")
		time.Sleep(requestTime)
		all = append(all, r.come("192.0.2.4:1")...)
		for _, errno := range []syscall.Errno{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM} {
			r.in <- &net.OpError{Op: "accept", Err: os.NewSyscallError("accept4", errno)}
			synctest.Wait()
			if err := r.Exhausted(); !errors.Is(err, errno) {
				t.Errorf("%v is reported as %v", errno, err)
			}
		}
		r.want(t, "who has waited for long gives its descriptor back, not who has just come", all, 2)
		all = append(all, r.come("192.0.2.3:1")...)
		r.want(t, "the next is accepted", all, 2, 3)
		time.Sleep(exhaustedFor)
		if err := r.Exhausted(); err != nil {
			t.Errorf("it lasts: %v", err)
		}
		if r.refused[ReasonDescriptors] != 4 {
			t.Errorf("refused %v", r.refused)
		}
		all[2].Close()
		all[3].Close()
		r.in.Close()
	})
}

// What is queued for all clients together is bounded, and there is something left for each.
func TestQueuesAreBounded(t *testing.T) {
	const most = 1 << 20
	b := NewBudget(Limits{Queues: most})
	clients := make([]int, 5000)
	for range 100 {
		for i := range clients {
			if b.queue(clients[i], 1000) {
				clients[i] += 1000
			}
		}
	}
	if got := b.queued.Load(); got > most || got < most/2 {
		t.Errorf("%d bytes are queued, of %d", got, most)
	}
	if b.queue(32<<10, 1) {
		t.Error("one client has more than it may")
	}
	for _, n := range clients {
		b.dequeue(n)
	}
	if b.queued.Load() != 0 || !b.queue(0, 4000) {
		t.Errorf("%d bytes are queued after all have left", b.queued.Load())
	}
}
