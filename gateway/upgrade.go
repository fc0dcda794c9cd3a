package gateway

import (
	"net/http"
	"strconv"

	"sensorgateway/gateway/access"
	"sensorgateway/gateway/conn"
	"sensorgateway/wire"
)

// upgrade makes a session of a request, or refuses it.
func (s *Server) upgrade(w http.ResponseWriter, r *http.Request, id *access.Identity) {
	if code, reason := conn.Check(w, r); code != 0 {
		s.refused(w, r, code, ReasonHandshake, reason)
		return
	}
	if s.stopping.Load() {
		s.unavailable(w, r, "restarting", "restarting")
		return
	}
	protocol := conn.Protocol(r, wire.ReadingsV1, wire.ReadingsV2, wire.ReadingsJSON)
	c := &session{s: s, Client: Client{ID: "c" + strconv.FormatInt(s.ids.Add(1), 10), Name: id.Label(), Identity: id}}
	c.scope = s.broadcaster.scope(id)
	if err := s.outOfScope(c, r.URL.Path); err != nil {
		s.refused(w, r, http.StatusForbidden, access.ReasonScope, err.Error())
		return
	}
	s.route(c, r, protocol)
	s.sessions.Add(1)
	if err := s.admit(c, r.URL.Path); err != nil {
		s.sessions.Done()
		s.unavailable(w, r, ReasonLimit, err.Error())
		return
	}
	header := http.Header{}
	if protocol != "" { // on every path: without it, a browser fails the handshake and shows no close code
		header.Set("Sec-WebSocket-Protocol", protocol)
	}
	ws, out, err := conn.Upgrade(w, r, header)
	if c.out = out; err != nil { // Upgrade has answered
		s.left(c)
		return
	}
	// Not in the handler's goroutine, whose stack and buffers are large.
	go c.run(ws)
}

// unavailable refuses a request for a reason that will not last.
func (s *Server) unavailable(w http.ResponseWriter, r *http.Request, reason, why string) {
	w.Header().Set("Retry-After", "5")
	s.refused(w, r, http.StatusServiceUnavailable, reason, why)
}

// refused answers a request that is refused, and counts it.
func (s *Server) refused(w http.ResponseWriter, r *http.Request, code int, reason, why string) {
	s.opts.Refused(reason, access.Of(r).Label(), why)
	http.Error(w, why, code)
}
