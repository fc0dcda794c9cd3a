package inbox

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"sensorgateway/gateway/conn"
	"sensorgateway/wire"
)

// TestSearchesAreBounded: the input behind a refused message is buffered for a limited
// number of clients at a time.
func TestSearchesAreBounded(t *testing.T) {
	rules := &Rules{Size: 4 << 10, Stops: make(chan struct{})}
	in, client := pair(t, rules)
	read := make(chan error)
	go func() { read <- in.Read() }()
	if err := client.WriteMessage(websocket.BinaryMessage, nil); err != nil {
		t.Fatal(err)
	}
	select {
	case <-rules.Stops: // the place is taken
	case err := <-read:
		t.Fatalf("%v, without a place", err)
	}
	select {
	case rules.Stops <- struct{}{}: // and given back
	case err := <-read:
		t.Fatalf("%v, with the place", err)
	}
	if err := <-read; !errors.Is(err, ErrClosing) {
		t.Error(err)
	}
}

// nobody is an owner that answers nothing.
type nobody struct{}

func (nobody) Message(int, []byte) {}
func (nobody) Stop([]byte) bool    { return false }
func (nobody) Wake()               {}
func (nobody) Exceeded()           {}

// A client that only listens and answers pings may do so for ever: each pong
// gives it room for the next.
func TestPongsForEver(t *testing.T) {
	in, client := pair(t, &Rules{Size: 4 << 10})
	const pongs = 2000
	go func() {
		payload := make([]byte, 125)
		for range pongs {
			if client.WriteControl(websocket.PongMessage, payload, time.Time{}) != nil {
				return // the other end says why
			}
		}
		_ = client.WriteMessage(websocket.TextMessage, nil) // likewise
	}()
	if err := in.Read(); err != nil || in.Pongs() != pongs {
		t.Errorf("after %d pongs: %v", in.Pongs(), err)
	}
}

// pair returns the two ends of a connection.
func pair(t *testing.T, rules *Rules) (*Inbox, *websocket.Conn) {
	upgraded := make(chan *Inbox, 1)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ws, out, err := conn.Upgrade(w, r, nil)
		if err != nil {
			t.Error(err)
		}
		in := new(Inbox)
		in.Open(nobody{}, rules, ws, out)
		upgraded <- in
	}))
	server.Listener = conn.NewBudget(conn.Limits{}).Listen(server.Listener)
	server.Start()
	t.Cleanup(server.Close)
	client, _, err := websocket.DefaultDialer.Dial(strings.Replace(server.URL, "http", "ws", 1), nil)
	if err != nil {
		t.Fatal(err)
	}
	in := <-upgraded
	t.Cleanup(func() { _ = client.Close(); in.out.End(0) })
	return in, client
}

// TestOrdersAreBounded: a limited number of a client's orders may wait; the error of one more
// is 429, not that of a failure.
func TestOrdersAreBounded(t *testing.T) {
	var o Orders
	defer o.End(func() {})
	never := func(func()) {}
	for n := range maxOrders {
		if err := o.Do(never, func() {}); err != nil {
			t.Fatalf("order %d: %v", n, err)
		}
	}
	if err := o.Do(never, func() {}); wire.AsError(err).Code != http.StatusTooManyRequests {
		t.Errorf("one too many: %v", err)
	}
}
