package hub

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sensorgateway/gateway/fleet"
	"sensorgateway/gateway/mqtt/mqtttest"
)

// TestAwayWithoutAWill holds that a gateway is found to be away whose will the broker has lost, as
// in a power cut of both: what the hub has stored says that it is here. One that is connected, and
// only silent, stays here.
func TestAwayWithoutAWill(t *testing.T) {
	t.Parallel()
	broker, dir := mqtttest.StartMosquitto(t, "allow_anonymous true").Address, t.TempDir()
	before := newHub(t, dir)
	before.g.remote(pi).news(notice(t, helloOf("n1", 17)), false)
	before.g.saveChanged(t.Context(), false)

	h := newHub(t, dir)
	var log bytes.Buffer
	h.g.o.Log = slog.New(slog.NewTextHandler(&log, nil))
	stop := h.run(broker)
	r := h.remote()
	if p := r.Overview().Presence; p.State != Here {
		t.Fatalf("%+v", p)
	}
	h.g.attendSilent()
	h.await("the end of the watch", func() bool { r.mu.Lock(); defer r.mu.Unlock(); return !r.unwatched.IsZero() })
	h.ahead.Add(int64(lingering) + 1)
	h.await("that it is away", func() bool { return r.Overview().Presence.State == Away })

	d := h.startDevice(broker, "n2", nil)
	d.here(18)
	h.await("hello", func() bool { hello, _ := r.Hello(); return hello.Connection == 18 })
	h.g.attendSilent()
	r.mu.Lock()
	watched := r.watched
	r.mu.Unlock()
	if watched {
		t.Error("an order is sent to a gateway from which something has just come")
	}
	h.g.attendSilent()
	if v, err := d.next(fleet.Watch).View(); err != nil || v.Hz != 0 {
		t.Errorf("%+v, %v", v, err)
	}
	stop()
	if p := r.Overview().Presence; p.State != Here {
		t.Errorf("a gateway that is connected is %+v", p)
	}
	if text := log.String(); strings.Contains(text, "tried again") {
		t.Errorf("it is said of each gateway that is away:\n%s", text)
	}
}

// TestSilentAreSentAnOrder holds that it is a gateway that seems to be here, and from which nothing
// comes for long, that is sent an order unasked.
func TestSilentAreSentAnOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHub(t, t.TempDir())
		in := New(Options{Registry: h.g, Site: "lab"}) // it has no client: orders cannot be sent
		r := h.g.remote(pi)
		r.news(notice(t, helloOf("n1", 17)), false)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go func() { _ = h.g.attendAll(ctx) }()
		tried := func(what string, want int64) {
			t.Helper()
			if got := h.g.Counts().Orders[2].Failed; got != want {
				t.Errorf("%s: %d watches, want %d", what, got, want)
			}
		}
		soon := lingering + 2*attendEvery
		time.Sleep(silence + soon)
		tried("without a connection to the broker", 0)
		in.connected(nil)
		for range 2 * silence / time.Minute {
			r.count(1)
			time.Sleep(time.Minute)
		}
		tried("while something comes", 0)
		time.Sleep(silence + soon)
		tried("of a silent gateway", 1)
	})
}
