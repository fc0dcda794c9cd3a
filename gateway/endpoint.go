package gateway

import (
	"net/http"
	"sync"

	"github.com/gorilla/websocket"

	"sensorgateway/gateway/access"
	"sensorgateway/gateway/conn"
	"sensorgateway/gateway/inbox"
	"sensorgateway/gateway/limit"
	"sensorgateway/wire"
)

// An endpoint is what a client and the server do on one path. All its methods
// are called by the session's goroutine.
type endpoint interface {
	// begin is called once the broadcaster knows the session.
	begin(c *session)
	// message is given a message: UTF-8 if kind is text. It must not retain data.
	message(c *session, kind int, data []byte)
	// end is called when the client has left.
	end(c *session)
}

// rules are what each client of an endpoint may do.
type rules struct {
	inbox.Rules
	places *limit.Places // for its clients; nil if the server's are enough
}

const (
	readLimit = 4 << 10 // bytes in a message from a client
	echoSize  = 16 << 20
	maxEchoes = 4
	// maxRelayed is how many clients /relay may have: each has a queue in memory.
	maxRelayed = 256
)

var (
	streamRules   = &rules{Rules: inbox.Rules{Size: readLimit, Rate: true, Stops: make(chan struct{}, 32)}}
	listenerRules = &rules{Rules: inbox.Rules{Size: readLimit, Rate: true}}
)

// echoRules are those of /echo. Only one message over [inbox.LongMessage] is under way
// at a time, because it takes twice its length in memory while it grows.
func echoRules() *rules {
	return &rules{inbox.Rules{Size: echoSize, Binary: true, Long: make(chan struct{}, 1)}, &limit.Places{Most: maxEchoes}}
}

func relayRules() *rules {
	return &rules{inbox.Rules{Size: readLimit, Rate: true, Binary: true}, &limit.Places{Most: maxRelayed}}
}

// unknown is the endpoint of a path without one: a browser does not show the
// status of a refused handshake, so the client is closed with a reason.
type unknown struct{ reason string }

func (u unknown) begin(c *session)            { c.close(wire.ClosePolicy, u.reason) }
func (unknown) message(*session, int, []byte) {}
func (unknown) end(*session)                  {}

// echo sends every message back as it was.
type echo struct{}

func (echo) begin(*session) {}
func (echo) end(*session)   {}
func (echo) message(c *session, kind int, data []byte) {
	_ = c.out.WriteLong(opOf(kind), data) // the reader notices when the connection has ended
}

func opOf(kind int) byte {
	if kind == websocket.TextMessage {
		return conn.OpText
	}
	return conn.OpBinary
}

// relay sends every message to all its other clients.
type relay struct {
	mu      sync.Mutex
	members map[*session]struct{}
}

func (r *relay) begin(c *session) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.members == nil {
		r.members = map[*session]struct{}{}
	}
	r.members[c] = struct{}{}
}

func (r *relay) message(c *session, kind int, data []byte) {
	frame := conn.AppendFrame(nil, opOf(kind), data)
	r.mu.Lock()
	defer r.mu.Unlock()
	for m := range r.members {
		if m != c {
			_, _ = m.out.Write(frame) // as in session.send
		}
	}
}

func (r *relay) end(c *session) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.members, c)
}

// metrics is the endpoint /metrics: the client only listens, and the broadcaster
// sends to all sessions that have metrics set.
type metrics struct{}

func (metrics) begin(*session)                {}
func (metrics) message(*session, int, []byte) {}
func (metrics) end(*session)                  {}

// A Sender sends to the client of an endpoint of another package. Send does not wait.
// SendLong waits until the client has taken the text, whatever its length; only the
// goroutine that calls the Receiver may call it. After Close nothing is sent.
type Sender interface {
	Send(text []byte)
	SendLong(text []byte)
	Close(code int, reason string)
}

// A Receiver is the other side of such an endpoint: it gets what the client sends, and
// is told when the client has left.
type Receiver interface {
	Message(text []byte)
	Left()
}

// external is an endpoint of another package.
type external struct {
	enter    func(Sender, *http.Request, *access.Identity) Receiver
	request  *http.Request // until it has begun
	receiver Receiver
}

func (e *external) begin(c *session) {
	e.receiver, e.request = e.enter(sender{c}, e.request, c.Identity), nil
}
func (e *external) message(_ *session, _ int, text []byte) { e.receiver.Message(text) }
func (e *external) end(*session)                           { e.receiver.Left() }

// sender is a session as an external endpoint sees it.
type sender struct{ c *session }

func (s sender) Send(text []byte) { s.c.send(conn.OpText, text) }
func (s sender) SendLong(text []byte) {
	s.c.out.LeaveGate()                      // others need not wait for this client
	_ = s.c.out.WriteLong(conn.OpText, text) // the reader notices when the connection has ended
}
func (s sender) Close(code int, reason string) { s.c.close(code, reason) }
