package gateway

import (
	"encoding/json"
	"net/http"
	"strings"

	"github.com/gorilla/websocket"

	"sensorgateway/wire"
)

// Everything a client may ask for by HTTP or by upgrade: protocol.md, section 1.
func (s *Server) routes() http.Handler {
	plain := http.NewServeMux()
	plain.Handle("/sensors/{name}", getOnly(s.newest))
	plain.Handle("/healthz", getOnly(s.healthz))
	plain.Handle("/readyz", getOnly(s.readyz))
	plain.Handle("/", s.opts.Page)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if websocket.IsWebSocketUpgrade(r) {
			s.upgrade(w, r)
			return
		}
		plain.ServeHTTP(w, r)
	})
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

// endpoint returns the sensors that a WebSocket path stands for: all of them for
// "/", one for "/sensors/NAME".
func (s *Server) endpoint(path, protocol string) (set sensorSet, ok bool) {
	if name, found := strings.CutPrefix(path, "/sensors/"); found {
		i := s.hub.index(name)
		return sensorSet(1) << max(i, 0), i >= 0
	}
	if path != "/" {
		return 0, false
	}
	if protocol == wire.ReadingsV1 {
		return 1 << s.opts.Primary, true
	}
	return sensorSet(1)<<len(s.opts.Sensors) - 1, true
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
	_, _ = w.Write(append(wire.AppendSensorJSON(nil, s.opts.Sensors[i].Name, record), '\n')) // who left, left
}

// healthz says whether the process does its work: ticks are made and spread.
func (s *Server) healthz(w http.ResponseWriter, _ *http.Request) {
	if err := s.opts.Alive(); err != nil {
		writeStatus(w, http.StatusServiceUnavailable, err.Error())
		return
	}
	writeStatus(w, http.StatusOK, "ticks are made and spread")
}

// readyz says whether a client would get something worth having: at least one
// sensor that measures.
func (s *Server) readyz(w http.ResponseWriter, _ *http.Request) {
	reason, ok := s.hub.quality()
	switch {
	case s.stopping.Load():
		writeStatus(w, http.StatusServiceUnavailable, "shutting down")
	case !ok:
		writeStatus(w, http.StatusServiceUnavailable, reason)
	default:
		writeStatus(w, http.StatusOK, reason)
	}
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
	_ = json.NewEncoder(w).Encode(v) // who left, left
}

func errorEnvelope(code int, message string) wire.Envelope {
	return wire.Envelope{Type: "error", Payload: wire.Error{Code: code, Message: message}}
}
