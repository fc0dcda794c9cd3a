package hil

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"sensorgateway/wire"
)

// listen returns a channel of the events from now on, which is closed when the connection
// has ended. When the channel is full, the connection ends.
func listen(t *testing.T) <-chan wire.Event {
	t.Helper()
	c := dial(t)
	if err := c.WriteJSON(wire.Envelope{Type: "subscribe", Payload: map[string]string{"topic": wire.TopicEvents}}); err != nil {
		t.Fatal(err)
	}
	subscribed, events := make(chan struct{}), make(chan wire.Event, 100)
	go func() {
		defer close(events)
		for {
			kind, msg, err := c.ReadMessage()
			if err != nil {
				return
			}
			var e wire.Event
			message := wire.Envelope{Payload: &e}
			if kind != websocket.TextMessage || json.Unmarshal(msg, &message) != nil {
				continue
			}
			switch message.Type {
			case "subscribed":
				close(subscribed)
			case "event":
				select {
				case events <- e:
				default:
					return
				}
			}
		}
	}()
	select {
	case <-subscribed:
	case <-time.After(limit):
		t.Fatalf("not subscribed to events within %v", limit)
	}
	return events
}

// untilEvent waits for an event of a kind.
func untilEvent(t *testing.T, events <-chan wire.Event, kind string) wire.Event {
	t.Helper()
	begin, end := time.Now(), time.After(limit)
	for {
		select {
		case e, open := <-events:
			if !open {
				t.Fatalf("no event %s before the connection ended", kind)
			}
			if e.Kind == kind {
				t.Logf("%+v after %v", e, time.Since(begin).Round(time.Millisecond))
				return e
			}
		case <-end:
			t.Fatalf("no event %s within %v", kind, limit)
		}
	}
}
