package gateway

import (
	"errors"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/gorilla/websocket"

	"sensorgateway/wire"
)

// Everything a client may ask for by HTTP or by upgrade: protocol.md, section 1.
func (s *Server) routes() http.Handler {
	plain := http.NewServeMux()
	plain.Handle("/sensors/{name}", getOnly(s.newest))
	plain.Handle("/api/v1/sensors", getOnly(s.apiSensors))
	plain.Handle("/api/v1/motors", getOnly(s.apiMotors))
	plain.Handle("/api/v1/readings", getOnly(s.apiReadings))
	plain.Handle("/healthz", getOnly(s.healthz))
	plain.Handle("/readyz", getOnly(s.readyz))
	plain.Handle("/", s.opts.Page)
	plain.Handle("/metrics", getOnly(s.metrics))
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

// getOnly refuses what would change something. (A pattern with a method would
// leave the refusal to "/", which takes the rest.)
func getOnly(h http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			writeJSON(w, http.StatusMethodNotAllowed, errorEnvelope(http.StatusMethodNotAllowed, "Only GET here"))
			return
		}
		h(w, r)
	})
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
		if own = s.hub.index(name); own >= 0 {
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
			err = s.hub.carries(own)
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

// metrics answers Prometheus.
func (s *Server) metrics(w http.ResponseWriter, _ *http.Request) {
	if s.opts.Exposition == nil {
		http.NotFound(w, nil)
		return
	}
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	s.opts.Exposition(w)
}

// newest answers with the last record of a sensor as a readings.json message.
func (s *Server) newest(w http.ResponseWriter, r *http.Request) {
	i := s.hub.index(r.PathValue("name"))
	if i < 0 {
		writeJSON(w, http.StatusNotFound, errorEnvelope(http.StatusNotFound, "Unknown sensor: "+r.PathValue("name")))
		return
	}
	record, ok := s.hub.newest(i)
	if !ok {
		w.Header().Set("Retry-After", "1")
		writeJSON(w, http.StatusServiceUnavailable, errorEnvelope(http.StatusServiceUnavailable, "No reading yet"))
		return
	}
	jsonHeaders(w, http.StatusOK)
	_, _ = w.Write(append(wire.AppendSensorJSON(nil, &s.opts.Sensors[i], record), '\n')) // who left, left
}

// healthz says whether the process does its work: ticks are made and spread.
func (s *Server) healthz(w http.ResponseWriter, _ *http.Request) {
	if err := s.opts.Alive(); err != nil {
		writeStatus(w, http.StatusServiceUnavailable, err.Error())
		return
	}
	writeStatus(w, http.StatusOK, "ticks are made and spread")
}

// readyz says whether a client would get something worth having, which takes at
// least one sensor that measures, and whether that is kept durably.
func (s *Server) readyz(w http.ResponseWriter, _ *http.Request) {
	reason, ok := s.hub.quality()
	if s.stopping.Load() {
		reason, ok = "shutting down", false
	}
	code := http.StatusOK
	if !ok {
		code = http.StatusServiceUnavailable
	}
	answer := map[string]any{"ok": ok, "reason": reason, "durable": false, "storage": "nothing is kept"}
	if s.opts.History != nil {
		delete(answer, "storage")
		if err := s.opts.History.Durable(); err != nil {
			answer["storage"] = err.Error()
		} else {
			answer["durable"] = true
		}
	}
	writeJSON(w, code, answer)
}

func writeStatus(w http.ResponseWriter, code int, reason string) {
	writeJSON(w, code, map[string]any{"ok": code == http.StatusOK, "reason": reason})
}

func jsonHeaders(w http.ResponseWriter, code int) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(code)
}

func writeJSON(w http.ResponseWriter, code int, v any) {
	jsonHeaders(w, code)
	_, _ = w.Write(append(wire.JSON(v), '\n')) // who left, left
}

func errorEnvelope(code int, message string) wire.Envelope {
	return wire.Envelope{Type: "error", Payload: wire.Errorf(code, "%s", message)}
}
