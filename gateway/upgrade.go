package gateway

import (
	"bufio"
	"net"
	"net/http"
	"strconv"
	"strings"

	"github.com/gorilla/websocket"

	"sensorgateway/wire"
)

const (
	readLimit  = 4 << 10 // bytes in a message from a client
	readBuffer = 288     // bytes; gorilla makes one of its own if it is not above 256
)

// noBuffers is gorilla's write buffer pool: we never use its writer, so it
// never needs one.
type noBuffers struct{}

func (noBuffers) Get() any { return nil }
func (noBuffers) Put(any)  {}

// upgrade makes a session of a request, or refuses it.
func (s *Server) upgrade(w http.ResponseWriter, r *http.Request) {
	if code, reason := s.refuse(r); code != 0 {
		switch code {
		case http.StatusServiceUnavailable:
			unavailable(w, reason)
			return
		case http.StatusMethodNotAllowed:
			w.Header().Set("Allow", "GET") // RFC 9110, section 15.5.6
		}
		w.Header().Set("Sec-WebSocket-Version", "13")
		http.Error(w, reason, code)
		return
	}
	s.sessions.Add(1)
	if s.clients.Add(1) > int64(s.opts.MaxClients) {
		s.left()
		unavailable(w, "too many clients")
		return
	}

	protocol := choose(r)
	c := &session{s: s, Client: Client{
		ID: "c" + strconv.FormatInt(s.ids.Add(1), 10), Name: r.RemoteAddr, MayCommand: s.opts.Access.MayCommand(r),
	}}
	c.talk = s.endpoint(c, r.URL, protocol)
	if _, ok := c.talk.(echo); ok && s.echoes.Add(1) > maxEchoes {
		s.echoes.Add(-1)
		s.left()
		unavailable(w, "too many clients of /echo")
		return
	}
	header := http.Header{}
	if _, ok := c.talk.(*stream); ok && protocol != "" {
		header.Set("Sec-WebSocket-Protocol", protocol)
	}
	upgrader := websocket.Upgrader{
		WriteBufferPool: noBuffers{},
		CheckOrigin:     func(*http.Request) bool { return true }, // done
	}
	h := &hijacker{ResponseWriter: w}
	ws, err := upgrader.Upgrade(h, r, header)
	if err != nil { // Upgrade has answered
		if _, ok := c.talk.(echo); ok {
			s.echoes.Add(-1)
		}
		s.left()
		return
	}
	c.ws, c.out = ws, h.out
	c.out.session = c
	// Outside the handler, whose goroutine's stack and buffers are large.
	go c.run()
}

// left ends what an upgrade began.
func (s *Server) left() {
	s.clients.Add(-1)
	s.sessions.Done()
}

func unavailable(w http.ResponseWriter, reason string) {
	w.Header().Set("Retry-After", "5")
	http.Error(w, reason, http.StatusServiceUnavailable)
}

// refuse returns the status and the reason for which a request is not even
// given to gorilla, 0 if there is none.
func (s *Server) refuse(r *http.Request) (int, string) {
	switch {
	case !r.ProtoAtLeast(1, 1) || r.ProtoMajor != 1:
		return http.StatusHTTPVersionNotSupported, "WebSocket needs HTTP/1.1"
	case r.Method != http.MethodGet:
		return http.StatusMethodNotAllowed, "WebSocket needs GET"
	case len(r.Header.Values("Sec-WebSocket-Key")) != 1 || len(r.Header.Values("Sec-WebSocket-Version")) != 1:
		return http.StatusBadRequest, "one Sec-WebSocket-Key and one Sec-WebSocket-Version, please"
	case r.Header.Get("Sec-WebSocket-Version") != "13":
		return http.StatusUpgradeRequired, "WebSocket version 13 is spoken here"
	case s.stopping.Load():
		return http.StatusServiceUnavailable, "restarting"
	}
	return 0, ""
}

// choose returns the first subprotocol of the client's list that we speak.
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

// hijacker gives gorilla an outbox in the socket's place.
type hijacker struct {
	http.ResponseWriter
	out *outbox
}

func (h *hijacker) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	c, brw, err := http.NewResponseController(h.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	// A client in a hurry may have sent frames along with its request.
	var early []byte
	if n := brw.Reader.Buffered(); n > 0 {
		early = make([]byte, n)
		_, _ = brw.Reader.Read(early) // buffered: it cannot fail
	}
	if h.out, err = outboxOf(c, early); err != nil {
		_ = c.Close()
		return nil, nil, err
	}
	h.out.read = bufio.NewReaderSize(h.out, readBuffer)
	return h.out, bufio.NewReadWriter(h.out.read, bufio.NewWriterSize(h.out, 16)), nil
}
