package gateway

import (
	"net/http"
	"strconv"
	"strings"

	"sensorgateway/gateway/access"
	"sensorgateway/gateway/conn"
	"sensorgateway/wire"
)

// upgrade makes a session of a request, or refuses it.
func (s *Server) upgrade(w http.ResponseWriter, r *http.Request, id *access.Identity) {
	if code, reason := s.refuse(r); code != 0 {
		switch code {
		case http.StatusServiceUnavailable:
			s.unavailable(w, r, "restarting", reason)
			return
		case http.StatusMethodNotAllowed:
			w.Header().Set("Allow", "GET") // RFC 9110, section 15.5.6
		}
		w.Header().Set("Sec-WebSocket-Version", "13")
		s.refused(w, r, code, ReasonHandshake, reason)
		return
	}
	protocol := choose(r)
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
	if c.out = out; err != nil { // which has answered
		s.left(c)
		return
	}
	// Outside the handler, whose goroutine's stack and buffers are large.
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

// refuse returns the status and the reason for which a request is not even
// given to gorilla, 0 if there is none.
func (s *Server) refuse(r *http.Request) (int, string) {
	switch {
	case !r.ProtoAtLeast(1, 1) || r.ProtoMajor != 1:
		return http.StatusHTTPVersionNotSupported, "WebSocket needs HTTP/1.1"
	case r.Method != http.MethodGet:
		return http.StatusMethodNotAllowed, "WebSocket needs GET"
	case r.ContentLength != 0:
		return http.StatusBadRequest, "a handshake has no body"
	case len(r.Header.Values("Sec-WebSocket-Key")) != 1 || len(r.Header.Values("Sec-WebSocket-Version")) != 1:
		return http.StatusBadRequest, "a handshake has exactly one Sec-WebSocket-Key and one Sec-WebSocket-Version"
	case r.Header.Get("Sec-WebSocket-Version") != "13":
		return http.StatusUpgradeRequired, "unsupported WebSocket version: use 13"
	case s.stopping.Load():
		return http.StatusServiceUnavailable, "restarting"
	}
	return 0, ""
}

// choose returns the first subprotocol of the client's list that the server knows.
func choose(r *http.Request) string {
	for _, line := range r.Header.Values("Sec-WebSocket-Protocol") {
		for p := range strings.SplitSeq(line, ",") {
			switch p = strings.TrimSpace(p); p {
			case wire.ReadingsV1, wire.ReadingsV2, wire.ReadingsJSON:
				return p
			}
		}
	}
	return ""
}
