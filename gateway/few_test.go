package gateway

import (
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"sensorgateway/wire"
)

// A tick for few clients is out when Publish returns. While somebody is at work on the
// sessions, the broadcaster's goroutine sends it; and none overtakes another.
func TestFewAtOnce(t *testing.T) {
	s := start(t)
	c := s.dial("/", wire.ReadingsV2)
	c.read(websocket.TextMessage)
	s.joined()
	s.Publish(records(7, 2))
	if got := s.Frames(); got != 1 {
		t.Errorf("%d frames are out when Publish returns, want 1", got)
	}
	want := uint32(7)
	for seq := want + 1; seq < 600; seq += 3 {
		s.broadcaster.mu.Lock()
		s.Publish(records(seq, 2))
		s.broadcaster.mu.Unlock()
		s.Publish(records(seq+1, 2)) // the one before is on its way, or out
		s.Publish(records(seq+2, 2))
		for ; want < seq+3; want++ {
			got, err := wire.ParseRecords(c.read(websocket.BinaryMessage))
			if err != nil || got[0].Seq != want {
				t.Fatalf("%+v, %v, want number %d", got, err, want)
			}
		}
	}
}

// More clients, or those of a hub, would delay the publisher. When ticks have the
// sessions checked, because nothing else does so often, checking that of an operator
// asks the motors, which may block.
func TestManyLater(t *testing.T) {
	s := start(t, (&motors{}).options)
	c := s.dial("/", wire.ReadingsV1)
	after := func(took time.Duration) bool { // the last tick
		s.broadcaster.mu.Lock()
		s.broadcaster.took = took
		s.broadcaster.mu.Unlock()
		return s.broadcaster.publishToFew(records(7, 2))
	}
	atOnce := func() bool { return after(0) }
	if !atOnce() {
		t.Error("with one client, a tick is not sent at once")
	}
	if got := c.read(websocket.BinaryMessage); len(got) != wire.ReadingSize {
		t.Errorf("% x", got)
	}
	c.ask(`{"type":"command","payload":{"action":"stop","target":"motor_1"}}`)
	if atOnce() {
		t.Error("with an operator there, a tick wakes nobody")
	}
	c.Close()
	s.until("the operator has left", func() bool { return s.Clients() == 0 })
	if !atOnce() {
		t.Error("when the operator has left, a tick is not sent at once")
	}
	if after(fewTime + 1) {
		t.Error("although that takes long, a tick is sent at once")
	}
	for range fewSessions + 1 {
		s.dial("/", wire.ReadingsV1)
	}
	if atOnce() {
		t.Error("with many clients, a tick is sent at once")
	}
	hub := start(t, func(o *Options) { o.Remote = true })
	if hub.broadcaster.publishToFew(records(7, 2)) {
		t.Error("on a hub, a tick is sent at once")
	}
}
