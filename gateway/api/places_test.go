package api

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"sensorgateway/wire"
)

// held is an answer to a client that reads nothing until it is let go.
type held struct {
	header   http.Header
	waits    chan<- struct{}
	let      <-chan struct{}
	written  int
	deadline time.Time
}

func (h *held) Header() http.Header                 { return h.header }
func (h *held) WriteHeader(int)                     {}
func (h *held) SetWriteDeadline(at time.Time) error { h.deadline = at; return nil }
func (h *held) Write(b []byte) (int, error) {
	if h.written == 0 {
		h.waits <- struct{}{}
		<-h.let
	}
	h.written += len(b)
	return len(b), nil
}

// patientRecorder takes a deadline, as a connection does.
type patientRecorder struct{ *httptest.ResponseRecorder }

func (patientRecorder) SetWriteDeadline(time.Time) error { return nil }

// Clients that ask for much and read nothing keep no other client from reading the past,
// not even one of their own address. When they read on, they get all of it.
func TestQueriesOfSlowClients(t *testing.T) {
	g := &gateway{}
	for seq := range uint32(1000) {
		g.records = append(g.records, wire.Record{Seq: seq})
	}
	a := g.api()
	waits, let := make(chan struct{}, 3*maxQueries), make(chan struct{})
	var slow sync.WaitGroup
	for range cap(waits) {
		slow.Go(func() {
			h := &held{header: http.Header{}, waits: waits, let: let}
			r := httptest.NewRequest("GET", "/api/v1/readings?sensor=indoor&from=0", nil)
			r.RemoteAddr = "127.0.0.1:1"
			r.Header.Set("Accept", formatBinary)
			a.ServeHTTP(h, r)
			if h.written != 1000*wire.RecordSize || h.deadline.IsZero() {
				t.Errorf("it got %d bytes, want %d; deadline %v", h.written, 1000*wire.RecordSize, h.deadline)
			}
		})
	}
	for range cap(waits) {
		<-waits
	}
	quick := httptest.NewRecorder()
	if a.ServeHTTP(patientRecorder{quick}, httptest.NewRequest("GET", "/api/v1/readings?sensor=indoor", nil)); quick.Code != http.StatusOK {
		t.Errorf("while others do not read: %d %s", quick.Code, quick.Body)
	}
	close(let)
	slow.Wait()
}

// However many hosts ask, the number of open queries is limited, and a host with many
// queries leaves room for the others.
func TestQueriesAreBounded(t *testing.T) {
	q := newQueries(nil)
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

// A client that seems to have left gets a place that is free, and sees its answer
// cut off instead of one that says there was no place.
func TestPlaceOfAClientThatSeemsToHaveLeft(t *testing.T) {
	q := newQueries(nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range 100 { // a choice at random would fail
		p, ok := q.enter(ctx, "host")
		if !ok {
			t.Fatal("a free place was refused")
		}
		p.leave()
	}
}
