package hub

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"sensorgateway/gateway/fleet"
	"sensorgateway/wire"
)

// TestWatch holds that a gateway is asked for ticks while somebody listens, again and again and
// when it is back, and told when nobody does.
func TestWatch(t *testing.T) {
	t.Parallel()
	broker := startBroker(t)
	h := newHub(t, t.TempDir())
	h.run(broker)
	d := h.startDevice(broker, "n1", nil)
	d.here(1)
	r := h.remote()
	quiet := r.Listen(Listener{Event: func(wire.Event) {}})
	defer quiet()
	first := r.Listen(Listener{Records: func([]wire.SensorInfo, []wire.Record) {}})
	second := r.Listen(Listener{Records: func([]wire.SensorInfo, []wire.Record) {}})
	hz := func() float64 {
		t.Helper()
		v, err := d.next(fleet.Watch).View()
		if err != nil {
			t.Error(err)
		}
		return v.Hz
	}
	if hz() != 10 {
		t.Error("no watch")
	}
	first()
	h.ahead.Add(int64(fleet.WatchRepeat) + 1)
	if hz() != 10 {
		t.Error("it is not repeated while one listens still")
	}
	d.here(2)
	if hz() != 10 {
		t.Error("it is not repeated when the gateway is back")
	}
	second()
	h.await("the end", func() bool { r.mu.Lock(); defer r.mu.Unlock(); return !r.unwatched.IsZero() })
	h.ahead.Add(int64(lingering) + 1)
	for hz() != 0 { // hello and online may each have repeated it
	}
	h.await("rest", func() bool { h.g.mu.Lock(); defer h.g.mu.Unlock(); return len(h.g.attended) == 0 })
}

// TestWatchAfterRestart holds that a restarted gateway is asked for ticks when its hello has
// come, and not before: it accepts only orders that are made with that hello.
func TestWatchAfterRestart(t *testing.T) {
	h := newHub(t, t.TempDir())
	r := h.g.remote(pi)
	r.news(notice(t, helloOf("n1", 1)), false)
	defer r.Listen(Listener{Records: func([]wire.SensorInfo, []wire.Record) {}})()
	watched := func() bool {
		due := r.due(h.g.o.Now())
		r.mu.Lock()
		defer r.mu.Unlock()
		r.sending = false
		return len(due) == 1 && due[0].Kind == fleet.Watch
	}
	if !watched() || watched() {
		t.Fatal("it is not watched, or twice")
	}
	r.here(fleet.Presence{Online: true, Connection: 2})
	if watched() {
		t.Error("an order is made for the start before")
	}
	r.news(notice(t, helloOf("n2", 2)), false)
	if !watched() {
		t.Error("it is not watched after its restart")
	}
}

// TestUnsentIsSaidOnce holds that it is logged once that watches cannot be sent to a gateway,
// however often that is tried: without a broker it fails for all gateways.
func TestUnsentIsSaidOnce(t *testing.T) {
	broker := startBroker(t)
	h := newHub(t, t.TempDir())
	stop := h.run(broker)
	h.startDevice(broker, "n1", nil).here(1)
	r := h.remote()
	h.await("hello", func() bool { _, some := r.Hello(); return some })
	stop()
	var log bytes.Buffer
	h.g.o.Log = slog.New(slog.NewTextHandler(&log, nil))
	defer r.Listen(Listener{Records: func([]wire.SensorInfo, []wire.Record) {}})()
	for range 3 {
		due := r.due(h.g.o.Now())
		if len(due) != 1 {
			t.Fatalf("%d orders are due", len(due))
		}
		r.sendDue(t.Context(), due)
		h.ahead.Add(int64(retryAfter))
	}
	if n := strings.Count(log.String(), "tried again"); n != 1 {
		t.Errorf("%d lines:\n%s", n, log.String())
	}
}
