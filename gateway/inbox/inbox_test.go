package inbox

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"sensorgateway/gateway/conn"
)

// nobody is an owner that answers nothing.
type nobody struct{}

func (nobody) Message(int, []byte) {}
func (nobody) Stop([]byte) bool    { return false }
func (nobody) Exceeded()           {}

// A client that only listens and answers pings may do so for ever: each pong
// gives it room for the next.
func TestPongsForEver(t *testing.T) {
	upgraded := make(chan *Inbox, 1)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ws, out, err := conn.Upgrade(w, r, nil)
		if err != nil {
			t.Error(err)
		}
		in := new(Inbox)
		in.Open(nobody{}, &Rules{Size: 4 << 10}, ws, out)
		upgraded <- in
	}))
	server.Listener = conn.NewBudget(conn.Limits{}).Listen(server.Listener)
	server.Start()
	defer server.Close()
	client, _, err := websocket.DefaultDialer.Dial(strings.Replace(server.URL, "http", "ws", 1), nil)
	if err != nil {
		t.Fatal(err)
	}
	in := <-upgraded
	defer in.out.End(0)
	defer client.Close()
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

func TestLimiter(t *testing.T) {
	var l limiter
	now := time.Now()
	for i := range 20 {
		if !l.take(now.Add(time.Duration(i) * 10 * time.Millisecond)) {
			t.Fatalf("message %d of 20 was refused", i+1)
		}
	}
	if l.take(now.Add(999 * time.Millisecond)) {
		t.Error("the 21st within a second was taken")
	}
	if !l.take(now.Add(time.Second)) || l.take(now.Add(1009*time.Millisecond)) || !l.take(now.Add(1010*time.Millisecond)) {
		t.Error("the window does not slide")
	}
}
