package gateway

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"
)

// Clients that ask for much and read nothing keep nobody from the past, not even
// from their own address.
func TestQueriesOfSlowClients(t *testing.T) {
	s := start(t, endless{newShelf()}.options)
	var slow []net.Conn
	defer func() {
		for _, c := range slow {
			c.Close()
		}
	}()
	const many = 2 * maxQueries
	for range many {
		c, err := net.Dial("tcp", s.addr)
		if err != nil {
			t.Fatal(err)
		}
		slow = append(slow, c)
		fmt.Fprint(c, "GET /api/v1/readings?sensor=indoor HTTP/1.1\r\nHost: x\r\nAccept: application/octet-stream\r\n\r\n")
	}
	deadline := time.Now().Add(patience)
	for waiting := 0; waiting < many; runtime.Gosched() { // until all wait for their clients
		if time.Now().After(deadline) {
			t.Fatalf("%d of %d queries are under way, %d of them work", waiting, many, len(s.queries.all))
		}
		s.queries.mu.Lock()
		waiting = s.queries.open - len(s.queries.all)
		s.queries.mu.Unlock()
	}
	if code, _, body := s.get("/api/v1/readings?sensor=indoor&from=0&to=10&step=5", ""); code != http.StatusOK || !strings.HasSuffix(body, "]}\n") {
		t.Errorf("while others do not read: %d %s", code, body)
	}
	// Who reads on has all of it.
	if _, err := io.CopyN(io.Discard, slow[0], 16<<20); err != nil {
		t.Error(err)
	}
}

// However many hosts ask, no more queries are open than there is memory for, and
// a host with many leaves the others room.
func TestQueriesAreBounded(t *testing.T) {
	q := newQueries()
	var open []*place
	enter := func(host int) bool {
		p, ok := q.enter(t.Context(), fmt.Sprint("10.0.0.", host))
		if ok {
			open = append(open, p)
			p.pause()
		}
		return ok
	}
	for host := range maxOpen / hostOpen {
		for n := range hostOpen {
			if !enter(host) {
				t.Fatalf("query %d of host %d is refused", n, host)
			}
		}
		if enter(host) {
			t.Fatalf("host %d has more than %d", host, hostOpen)
		}
	}
	if enter(1000) {
		t.Errorf("there are more than %d", maxOpen)
	}
	open[0].leave()
	if !enter(1000) {
		t.Error("refused, although one has left")
	}
	for _, p := range open[1:] {
		p.leave()
	}
	if q.open != 0 || len(q.hosts) != 0 || len(q.all) != 0 {
		t.Errorf("left behind: %d queries, %d hosts, %d places", q.open, len(q.hosts), len(q.all))
	}
}
