package gateway

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"sensorgateway/gateway/access"
	"sensorgateway/wire"
)

// While another machine has not answered a command, the client's stop comes through, and
// what else it asks for; its commands are carried out in order, but none after it has left.
func TestRemoteHandlers(t *testing.T) {
	begun, answer := make(chan string, 30), make(chan struct{})
	handle := func(_ context.Context, _ Client, cmd wire.Command) (any, error) {
		begun <- cmd.Action + cmd.ID
		if !cmd.Stops() {
			<-answer
		}
		return wire.Ack{Action: cmd.Action, Status: "ok"}, nil
	}
	s := start(t, func(o *Options) {
		o.Remote, o.Handlers = true, map[string]Handler{wire.Start: handle, wire.Stop: handle}
		o.Access = access.Everybody{}
	})
	c := s.dial("/", wire.ReadingsV1)
	send := func(format string, args ...any) {
		t.Helper()
		if err := c.WriteMessage(websocket.TextMessage, fmt.Appendf(nil, format, args...)); err != nil {
			t.Fatal(err)
		}
	}
	text := func(want string) {
		t.Helper()
		_ = c.SetReadDeadline(time.Now().Add(patience))
		if got := string(c.read(websocket.TextMessage)); !strings.Contains(got, want) {
			t.Fatalf("%s, want %s", got, want)
		}
	}
	const command = `{"type":"command","id":%d,"payload":{"action":%q,"target":"fan"}}`
	send(command, 1, wire.Start)
	send(command, 2, wire.Start)
	send(`{"type":"ping","payload":{}}`)
	send(command, 3, wire.Stop)
	text(`"type":"pong"`)
	text(`"id":3`)
	answer <- struct{}{}
	text(`"id":1`)
	if got := <-begun + " " + <-begun + " " + <-begun; !strings.Contains(got, "start1") || !strings.Contains(got, "stop3") || !strings.HasSuffix(got, "start2") {
		t.Errorf("%s", got)
	}
	send(command, 4, wire.Start) // waits behind 2
	send(`{"type":"ping","payload":{}}`)
	text(`"type":"pong"`)
	_ = c.Close()
	again, late := time.NewTicker(time.Millisecond), time.After(patience)
	defer again.Stop()
	for s.Clients() > 0 {
		select {
		case <-again.C:
		case <-late:
			t.Fatal("the client has not left")
		}
	}
	close(answer)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := s.Shutdown(ctx); err != nil {
		t.Error(err)
	}
	if len(begun) > 0 {
		t.Errorf("%s of a client that has left", <-begun)
	}
}
