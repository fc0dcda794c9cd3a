package gateway

import (
	"errors"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/gorilla/websocket"

	"sensorgateway/gateway/api"
	"sensorgateway/wire"
)

// Everything a client may ask for by HTTP or by upgrade: protocol.md, section 1.
func (s *Server) routes() http.Handler {
	plain := http.NewServeMux()
	plain.Handle("/", api.New(api.Options{
		Sensors: s.opts.Sensors, Live: s.broadcaster, History: s.opts.History, Alive: s.opts.Alive,
		Exposition: s.opts.Exposition, Else: s.opts.Page, Log: s.opts.Log,
	}))
	for _, path := range append([]string{"/echo", "/relay"}, slices.Collect(maps.Keys(s.opts.Rooms))...) {
		plain.HandleFunc(path, needsUpgrade)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := s.opts.Access.Check(r); err != nil {
			http.Error(w, err.Error(), http.StatusForbidden)
			return
		}
		if websocket.IsWebSocketUpgrade(r) {
			s.upgrade(w, r)
			return
		}
		plain.ServeHTTP(w, r)
	})
}

// needsUpgrade answers a plain request for what is WebSocket only.
func needsUpgrade(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Upgrade", "websocket")
	w.Header().Set("Connection", "Upgrade")
	http.Error(w, "this is a WebSocket endpoint", http.StatusUpgradeRequired)
}

// endpoint returns the conversation of a WebSocket path, and subscribes the
// session to what a stream begins with: all sensors for "/" (or the primary one
// on readings.v1), one for "/sensors/NAME". ?since=UNIXMS has the past first.
func (s *Server) endpoint(c *session, u *url.URL, protocol string) conversation {
	path := u.Path
	c.protocol = protocol
	own := s.opts.Primary
	c.sensors = sensorSet(1)<<len(s.opts.Sensors) - 1
	if name, ok := strings.CutPrefix(path, "/sensors/"); ok {
		if own = s.broadcaster.index(name); own >= 0 {
			path, c.sensors = "/", 1<<own
		}
	}
	if path == "/" {
		if protocol == "" {
			c.protocol = wire.ReadingsV1
		}
		if c.protocol == wire.ReadingsV1 {
			c.sensors = 1 << own
		}
		t := &stream{own: own}
		var err error
		if t.since, t.past, err = sinceOf(u); err == nil && t.past && c.sensors != 1<<own {
			err = errors.New("since goes with one sensor: /sensors/NAME?since=UNIXMS")
		}
		if err == nil && c.protocol == wire.ReadingsV1 {
			err = s.broadcaster.carries(own)
		}
		if err != nil {
			c.feedKey = feedKey{}
			return nowhere{reason: err.Error()}
		}
		if t.past {
			c.sensors = 0 // until it has caught up
		}
		return t
	}
	c.feedKey = feedKey{} // no readings, no hello
	if enter := s.opts.Rooms[path]; enter != nil {
		return &visit{enter: enter}
	}
	switch {
	case path == "/echo":
		return echo{}
	case path == "/relay":
		return &s.relay
	case path == "/metrics" && s.opts.Metrics != nil:
		return watch{}
	}
	return nowhere{reason: "Unknown endpoint"}
}

// sinceOf reads the time that a client wants the past from. ok is false if it
// names none.
func sinceOf(u *url.URL) (since int64, ok bool, err error) {
	values, ok := u.Query()["since"]
	if ok {
		since, err = api.UnixMilli("since", values)
	}
	return since, ok, err
}
