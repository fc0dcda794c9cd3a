package e2e

import (
	"fmt"
	"math/rand/v2"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestHubKilledInBacklog: a hub is killed five times, at random moments, while it gets an hour
// of readings. In the end it has all of them, record for record, and its export equals the
// gateway's, byte for byte.
func TestHubKilledInBacklog(t *testing.T) {
	long(t, "it waits for an hour of readings over 64 kbit/s")
	t.Parallel()
	m := startMosquitto(t, "allow_anonymous true", "set_tcp_nodelay true", "max_inflight_messages 500")
	h := startHub(t, "--broker", "mqtt://"+m.Address, "--site", "lab")
	s := newSlowMember(t, h, "pi-1", &url.URL{Scheme: "mqtt", Host: m.Address})
	token := h.want("gwt_", "token", "add", "root", "--role", "admin", "--state", h.state)
	s.start(t)
	h.await(t, "connected to the broker")
	for range 5 {
		until := s.line.Sent() + 1000 + rand.Int64N(20_000)
		moving(t, patience, func() (string, bool) {
			return fmt.Sprintf("%d bytes of %d are on the line", s.line.Sent(), until), s.line.Sent() >= until
		})
		h.Kill(t)
		h.start()
	}
	for of, all := range s.past {
		h.awaitAll(t, token, "pi-1", strings.TrimPrefix(of, "pi-1/"), all)
	}
	if err := s.Stop(t); err != nil {
		t.Fatal(err)
	}
	if err := h.Stop(t); err != nil {
		t.Fatal(err)
	}
	h.compare(s.past)
	indoor := s.past["pi-1/indoor"]
	span := []string{"--from", stamp(indoor[0].UnixMilli), "--to", stamp(indoor[len(indoor)-1].UnixMilli + 1)}
	export := func(state string) string {
		return h.want("indoor", append([]string{"export", "--state", state}, span...)...)
	}
	device, hub := export(s.state), export(filepath.Join(h.state, "gateways", "pi-1"))
	if lines := strings.Count(device, "\n"); device != hub || lines < 2*len(indoor) {
		t.Errorf("the hub exports %d bytes, the gateway %d, with %d lines", len(hub), len(device), lines)
	}
}

func stamp(ms int64) string { return time.UnixMilli(ms).UTC().Format("2006-01-02T15:04:05.000Z07:00") }
