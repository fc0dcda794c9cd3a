package gateway

import (
	"strings"
	"testing"

	"github.com/gorilla/websocket"

	"sensorgateway/wire"
)

// When time runs backwards, every stream of readings ends after the last record with an
// old time, and before the first with a new one.
func TestRestartStreams(t *testing.T) {
	s := start(t, (&motors{}).options)
	v1, v2 := s.dial("/"), s.dial("/", wire.ReadingsV2)
	v2.read(websocket.TextMessage)
	events := s.dial("/")
	events.ask(`{"type":"unsubscribe","payload":{"topic":"sensors"}}`)

	record := wire.Record{Sensor: 1, Seq: 7}
	s.broadcaster.mu.Lock() // the broadcaster is behind by many ticks
	for range 20 {
		record.UnixMilli = 1_000_000 + int64(record.Seq)
		s.Publish([]wire.Record{record})
		record.Seq++
	}
	done := make(chan struct{})
	go func() { s.RestartStreams(); close(done) }()
	s.broadcaster.mu.Unlock()
	<-done
	again := s.dial("/")
	record.UnixMilli = 5
	s.Publish([]wire.Record{record})

	for range 20 {
		v1.read(websocket.BinaryMessage)
		v2.read(websocket.BinaryMessage)
	}
	a, b := v1.wantClose(wire.CloseServiceRestart, "retry_ms="), v2.wantClose(wire.CloseServiceRestart, "retry_ms=")
	if a.Text == b.Text {
		t.Errorf("%q came twice", a.Text)
	}
	if got, err := wire.ParseReading(again.read(websocket.BinaryMessage)); err != nil || got.UnixMilli != 5 {
		t.Errorf("the first reading of a new stream is %+v, %v", got, err)
	}
	if got := events.ask(`{"type":"ping"}`); !strings.Contains(got, "pong") {
		t.Errorf("who gets no readings got %s", got)
	}
}
