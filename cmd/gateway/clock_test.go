package main

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"sensorgateway/gateway"
	"sensorgateway/sensors"
	"sensorgateway/wire"
)

// A step is logged and is an event; one too far back ends the streams of readings.
func TestClockStep(t *testing.T) {
	var log bytes.Buffer
	g := &running{log: slog.New(slog.NewTextHandler(&log, nil)), server: gateway.New(gateway.Options{
		Epoch: "e", Sensors: []wire.SensorInfo{{Name: "a", Primary: true}}, ClockSynced: func() bool { return true },
		Page: http.NotFoundHandler(), Log: slog.New(slog.DiscardHandler),
	})}
	g.notify.Listen(broadcast{g})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- g.server.Serve(l) }()
	defer func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := errors.Join(g.server.Shutdown(ctx), <-served); err != nil {
			t.Error(err)
		}
	}()
	c, _, err := websocket.DefaultDialer.Dial("ws://"+l.Addr().String()+"/", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetReadDeadline(time.Now().Add(time.Minute))
	if err := c.WriteMessage(websocket.TextMessage, []byte(`{"type":"subscribe","payload":{"topic":"events"}}`)); err != nil {
		t.Fatal(err)
	}
	next := func() string { // but for stats
		for {
			_, message, err := c.ReadMessage()
			if err != nil {
				return err.Error()
			}
			if !strings.Contains(string(message), `"stats"`) {
				return string(message)
			}
		}
	}
	if got := next(); !strings.Contains(got, "subscribed") {
		t.Fatal(got)
	}
	at := time.UnixMilli(1782907200123)
	for _, step := range []sensors.Step{{By: 56*365*24*time.Hour + 499*time.Microsecond, At: at}, {By: -time.Hour, At: at, Back: true}} {
		g.clockStepped(step)
	}
	for _, want := range []string{
		`{"type":"event","payload":{"kind":"clock_corrected","step_ms":1766016000000,"ts":1782907200.123}}`,
		`{"type":"event","payload":{"kind":"clock_corrected","step_ms":-3600000,"ts":1782907200.123}}`,
		"websocket: close 1012: Service restart; retry_ms=500",
	} {
		if got := next(); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
	if got := log.String(); !strings.Contains(got, "by=490560h0m0s") || !strings.Contains(got, "by=-1h0m0s") {
		t.Errorf("log: %s", got)
	}
}
