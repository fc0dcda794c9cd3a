package e2e

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/gorilla/websocket"

	"sensorgateway/wire"
)

// unfit are the conversations that the clients to copy cannot have, and why.
var unfit = map[string]string{
	"a replay is over after a minute in which nothing came of it":                                 "they do not count what is missing, so they need not know the end of a replay",
	"a slow replay is not over while something comes of it":                                       "the same",
	"an unclean stop of the gateway skips numbers":                                                "the same",
	"a gateway whose numbers are behind, in the same epoch":                                       "the same",
	"another epoch: all of it is replayed, and what is missing of the one before cannot be known": "the same",
	"over the end of 32 bits":                                                                     "numbers end after 13 years of ten a second",
	"a replay over the end of 32 bits":                                                            "the same",
	"another epoch, and a connection that ends before anything of it was replayed":                "they ask from another number, which brings the same",
	"what a hub gets late comes when it has it, in order and once, over another connection too":   "they are for a gateway itself, which has nothing late",
}

// conversationStep is a step of gateway/client/testdata/conversations.json.
type conversationStep struct {
	Hello    json.RawMessage
	Records  [][]uint32
	Asks     json.RawMessage
	Answers  json.RawMessage
	Refuses  json.RawMessage
	Ends     int
	PassesMS int `json:"passes_ms"`
}

// In every conversation, the clients to copy that resume print the readings that the
// project's own clients deliver.
func TestClientsResume(t *testing.T) {
	t.Parallel()
	var file struct {
		Conversations []struct {
			Name     string
			Steps    []conversationStep
			Readings []string
		}
	}
	if err := json.Unmarshal([]byte(mustRead(t, projectRoot+"/gateway/client/testdata/conversations.json")), &file); err != nil {
		t.Fatal(err)
	}
	skipped := 0
	for _, c := range file.Conversations {
		if unfit[c.Name] != "" {
			skipped++
			continue
		}
		for name, start := range map[string]func(*testing.T, string) *exec.Cmd{"client.py": pythonClient, "client.mjs": nodeClient} {
			t.Run(name+"/"+c.Name, func(t *testing.T) {
				t.Parallel()
				g := &scriptedGateway{t: t, steps: c.Steps, played: make(chan struct{})}
				server := httptest.NewServer(g)
				t.Cleanup(func() { server.Close(); g.connections.Wait() }) // once the client has ended
				out := startClient(t, start(t, strings.Replace(server.URL, "http", "ws", 1)+"/"), 0)
				var want []string
				for _, r := range c.Readings {
					want = append(want, strings.TrimSuffix(r, " replayed"))
				}
				if diff := cmp.Diff(want, out.readings(len(want))); diff != "" {
					t.Errorf("(-want +printed):\n%s", diff)
				}
				select {
				case <-g.played:
				case <-time.After(patience):
					t.Error("the conversation has not come to its end")
				}
			})
		}
	}
	if skipped != len(unfit) {
		t.Errorf("%d conversations are skipped, of %d that are named", skipped, len(unfit))
	}
}

// readings returns the sensor and the number of the next n lines.
func (p *printed) readings(n int) (all []string) {
	late := time.After(patience)
	for range n {
		var line string
		ok := false
		select {
		case line, ok = <-p.lines:
		case <-late:
		}
		words := strings.Fields(line)
		if !ok || len(words) < 3 {
			p.t.Errorf("printed %q", line)
			return all
		}
		all = append(all, words[1]+" "+words[2])
	}
	return all
}

// scriptedGateway plays the steps of a conversation, one connection after the other.
type scriptedGateway struct {
	t     *testing.T
	mu    sync.Mutex // held while a connection plays
	steps []conversationStep

	played      chan struct{} // closed when no steps are left
	connections sync.WaitGroup
}

func (g *scriptedGateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	g.connections.Add(1) // the server does not wait for upgraded connections
	defer g.connections.Done()
	upgrader := websocket.Upgrader{Subprotocols: []string{wire.ReadingsV2}}
	ws, err := upgrader.Upgrade(w, r, nil)
	if err != nil {
		g.t.Error(err)
		return
	}
	defer ws.Close()
	g.mu.Lock()
	more := g.play(ws)
	g.mu.Unlock()
	if !more {
		ws.ReadMessage() // until the client ends
	}
}

// play plays a connection, and returns whether it ended it.
func (g *scriptedGateway) play(ws *websocket.Conn) bool {
	send := func(kind string, payload json.RawMessage) {
		if err := ws.WriteJSON(wire.Envelope{Type: kind, Payload: payload}); err != nil {
			g.t.Error(err)
		}
	}
	for len(g.steps) > 0 {
		s := g.steps[0]
		if g.steps = g.steps[1:]; len(g.steps) == 0 {
			defer close(g.played)
		}
		switch {
		case s.Hello != nil:
			send(wire.TypeHello, s.Hello)
		case s.Records != nil:
			var message []byte
			for _, r := range s.Records {
				record := wire.Record{Sensor: uint16(r[0]), Seq: r[1]}
				if len(r) > 2 {
					record.Flags = wire.Flags(r[2])
				}
				message = record.Append(message)
			}
			if err := ws.WriteMessage(websocket.BinaryMessage, message); err != nil {
				g.t.Error(err)
			}
		case s.Asks != nil:
			g.asked(ws, s.Asks)
		case s.Answers != nil:
			send(wire.TypeSubscribed, s.Answers)
		case s.Refuses != nil:
			send(wire.TypeError, s.Refuses)
		case s.Ends == websocket.CloseAbnormalClosure:
			return true
		case s.Ends > 0:
			if err := ws.WriteMessage(websocket.CloseMessage, websocket.FormatCloseMessage(s.Ends, "Service restart; retry_ms=50")); err != nil {
				g.t.Error(err)
			}
			ws.ReadMessage() // its close frame
			return true
		}
	}
	return false
}

// asked wants the client to ask for what it missed.
func (g *scriptedGateway) asked(ws *websocket.Conn, want json.RawMessage) {
	var got, ours any
	if err := ws.ReadJSON(&got); err != nil {
		g.t.Error(err)
		return
	}
	if err := json.Unmarshal(want, &ours); err != nil {
		g.t.Error(err)
	}
	if diff := cmp.Diff(map[string]any{"type": wire.TypeSubscribe, "payload": ours}, got); diff != "" {
		g.t.Errorf("it asks (-want +got):\n%s", diff)
	}
}
