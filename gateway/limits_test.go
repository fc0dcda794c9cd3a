package gateway

import (
	"bufio"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"sensorgateway/gateway/access"
	"sensorgateway/wire"
)

// A body that is announced and does not come, or comes slowly, keeps nobody: the
// answer comes at once, and the connection ends.
func TestBodiesAreNotRead(t *testing.T) {
	t.Parallel()
	withAndWithoutTLS(t, func(t *testing.T, s *testServer) {
		t.Parallel()
		for _, tt := range []struct {
			name, head, body string
			status           int
		}{
			{"no byte of it", "POST /api/v1/sensors HTTP/1.1\r\nContent-Length: 100\r\n", "", 405},
			{"more than net/http reads", "POST /api/v1/sensors HTTP/1.1\r\nContent-Length: 9000000\r\n", "", 405},
			{"a part of it", "POST /api/v1/sensors HTTP/1.1\r\nContent-Length: 100\r\n", "{", 405},
			{"all of it", "GET /api/v1/sensors HTTP/1.1\r\nContent-Length: 2\r\n", "{}", 200},
			{"a GET", "GET /api/v1/sensors HTTP/1.1\r\nContent-Length: 100\r\n", "", 200},
			{"chunks", "POST /api/v1/sensors HTTP/1.1\r\nTransfer-Encoding: chunked\r\n", "", 405},
			{"a chunk that is not complete", "GET /api/v1/sensors HTTP/1.1\r\nTransfer-Encoding: chunked\r\n", "5\r\nab", 200},
			{"asked for", "POST /api/v1/sensors HTTP/1.1\r\nContent-Length: 100\r\nExpect: 100-continue\r\n", "", 405},
			{"an upgrade", "GET / HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nContent-Length: 100\r\n", "", 400},
		} {
			var c net.Conn = s.raw()
			if s.trust != nil {
				trust := s.trust.Clone()
				trust.ServerName = "example.com" // of httptest's certificate
				c = tls.Client(c, trust)
			}
			begin := time.Now()
			if _, err := io.WriteString(c, tt.head+"Host: "+s.addr+"\r\n\r\n"+tt.body); err != nil {
				t.Fatal(err)
			}
			answer := bufio.NewReader(c)
			res, err := http.ReadResponse(answer, nil)
			if err != nil {
				t.Errorf("%s: %v", tt.name, err)
				continue
			}
			_, _ = io.Copy(io.Discard, res.Body)
			_, err = answer.ReadByte()
			if res.StatusCode != tt.status || !res.Close && res.StatusCode != 400 || err == nil {
				t.Errorf("%s: status %d, close %t, then %v; want %d, and the end", tt.name, res.StatusCode, res.Close, err, tt.status)
			}
			if took := time.Since(begin); took > 4*time.Second { // of the 5 that a request has
				t.Errorf("%s: it ended after %v", tt.name, took)
			}
			c.Close()
		}
	})
}

// Requests whose bodies do not come take no place from others: the oldest is closed.
func TestBodiesOfLogins(t *testing.T) {
	waiting := make(chan struct{}, 4)
	s := start(t, func(o *Options) {
		o.Limits.Connections = 4
		o.Pages = map[string]http.Handler{"/login": http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			waiting <- struct{}{}
			_, _ = io.Copy(io.Discard, r.Body)
		})}
	})
	for range 4 {
		if _, err := io.WriteString(s.raw(), "POST /login HTTP/1.1\r\nContent-Length: 100\r\nHost: "+s.addr+"\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		<-waiting
	}
	s.dial("/", wire.ReadingsV2).read(websocket.TextMessage)
}

// A client that fills all places of one address keeps out neither other addresses nor
// those who may command.
func TestPlacesOfOneAddress(t *testing.T) {
	local := localOperators{}
	s := start(t, func(o *Options) {
		o.Access = local
		o.Limits = Limits{Clients: 10, ClientsPerAddress: 4, Reserved: 2}
	})
	dial := func(as string, want int) {
		t.Helper()
		c, res, err := websocket.DefaultDialer.Dial("ws://"+s.addr+"/", http.Header{"As": {as}})
		if err != nil && res == nil {
			t.Fatal(err)
		}
		if res.StatusCode != want {
			t.Errorf("%s: %s, want %d", as, res.Status, want)
		}
		if err == nil {
			t.Cleanup(func() { c.Close() })
		}
	}
	for range 4 {
		dial("192.0.2.1", 101)
	}
	dial("192.0.2.1", 503)
	dial("192.0.2.2", 101)
	for range 3 {
		dial("2001:db8::1", 101)
	}
	dial("2001:db8::2", 503) // 10 without the reserve
	dial("operator", 101)
	dial("operator", 101)
	dial("operator", 503)
	if got := s.Limits()[2]; got.Current != 10 || got.Maximum != 10 {
		t.Errorf("counted are %+v", got)
	}
}

// localOperators lets clients say who they are.
type localOperators struct{}

func (localOperators) Identify(r *http.Request) (*access.Identity, *access.Refusal) {
	id := access.Anybody(r.Header.Get("As"))
	id.Addr, _ = netip.ParseAddr(r.Header.Get("As"))
	if r.Header.Get("As") != "operator" {
		id.Denied = errors.New("it may not")
	}
	return id, nil
}
