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

// lossNoted notes which clients were lost.
type lossNoted struct {
	noMotors
	lost chan string
}

func (m lossNoted) Lost(client, _ string) { m.lost <- client }

// While another machine has not answered a command, the client's stop comes through, and
// what else it asks for. Its commands are carried out in order, but no start that waited when
// the stop came, and none after it has left. What was under way then is known to have lost
// its client.
func TestRemoteHandlers(t *testing.T) {
	begun, answer := make(chan string, 30), make(chan struct{})
	handle := func(ctx context.Context, _ Client, cmd wire.Command) (any, error) {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		begun <- cmd.Action + cmd.ID
		if !cmd.Stops() {
			<-answer
		}
		return wire.Ack{Action: cmd.Action, Status: "ok"}, nil
	}
	motors := lossNoted{lost: make(chan string, 30)}
	s := start(t, func(o *Options) {
		o.Remote, o.Handlers = true, map[string]Handler{wire.Start: handle, wire.Stop: handle, wire.Status: handle}
		o.Access, o.Motors = access.Everybody{}, motors
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
	if got := <-begun; got != "start1" { // the stop is not to come before it has begun
		t.Errorf("%s, want start1", got)
	}
	send(command, 2, wire.Start)
	send(command, 3, wire.Status)
	send(`{"type":"ping","payload":{}}`)
	send(command, 4, wire.Stop)
	text(`"type":"pong"`)
	text(`"id":4`)
	answer <- struct{}{}
	text(`"id":1`)
	text(`"id":2,"payload":{"code":409,"message":"a stop came`)
	answer <- struct{}{}
	text(`"id":3`)
	if got := <-begun + " " + <-begun; got != "stop4 status3" {
		t.Errorf("%s", got)
	}
	send(command, 5, wire.Start) // not before the stop
	send(command, 6, wire.Start) // waits behind it
	send(`{"type":"ping","payload":{}}`)
	text(`"type":"pong"`)
	if got := <-begun; got != "start5" {
		t.Errorf("%s, want start5", got)
	}
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
	for len(motors.lost) > 0 {
		<-motors.lost
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
	if len(motors.lost) == 0 {
		t.Error("what was carried out after the client had left keeps running")
	}
}
