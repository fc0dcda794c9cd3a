package api

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"sensorgateway/gateway/access"
)

// A download ends when the identity of its client does, whether the client reads or
// not, and what was sent does not pass for the whole.
func TestRevokedWhileDownloading(t *testing.T) {
	for _, reads := range []bool{true, false} {
		id := access.Anybody("127.0.0.1:1")
		valid, revoke := context.WithCancel(t.Context())
		id.Valid = valid
		api, answered := (&gateway{endless: true}).api(), make(chan struct{})
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			defer close(answered)
			r, done := id.With(r)
			defer done()
			api.ServeHTTP(w, r)
		}))
		t.Cleanup(s.Close)
		c, err := net.Dial("tcp", s.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		fmt.Fprintf(c, "GET /api/v1/readings?sensor=indoor HTTP/1.1\r\nHost: x\r\n\r\n")
		response, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		if reads {
			go func() { _, err := io.Copy(io.Discard, response.Body); ended <- err }()
		} else if _, err := io.CopyN(io.Discard, response.Body, 1<<20); err != nil {
			t.Fatal(err)
		}
		revoke()
		select {
		case <-answered:
		case <-time.After(queryWrite / 2): // by itself it ends after that time, for a client that does not read
			t.Fatalf("reads %t: it is still answered", reads)
		}
		if reads && <-ended == nil {
			t.Error("half an answer passes for a whole one")
		}
	}
}

// revokedBefore ends the identity before a write of the answer.
type revokedBefore struct {
	*httptest.ResponseRecorder
	writes int
	revoke func()
}

func (w *revokedBefore) SetWriteDeadline(time.Time) error {
	if w.writes--; w.writes == 0 {
		w.revoke()
	}
	return nil
}

// An identity that ends between two writes cuts the answer off too, also where each
// write that was made has succeeded.
func TestRevokedBetweenWrites(t *testing.T) {
	for writes := 1; writes < 10; writes++ {
		ctx, revoke := context.WithCancel(t.Context())
		w := &revokedBefore{httptest.NewRecorder(), writes, revoke}
		func() {
			defer func() {
				if got := recover(); got != http.ErrAbortHandler {
					t.Errorf("before write %d: it ended with %v, want the connection to break off", writes, got)
				}
			}()
			(&gateway{endless: true}).api().ServeHTTP(w, httptest.NewRequestWithContext(ctx, http.MethodGet, "/api/v1/readings?sensor=indoor", nil))
		}()
	}
}
