package gateway

import (
	"sync"

	"github.com/gorilla/websocket"

	"sensorgateway/gateway/conn"
	"sensorgateway/wire"
)

// The conversations beside the stream: protocol.md, section 1.

// nowhere is the conversation of an address that there is not: a browser cannot
// see a refused upgrade's status, so it is told by a close code.
type nowhere struct{ reason string }

func (nowhere) limits() limits                { return limits{size: readLimit, rate: true} }
func (n nowhere) begin(c *session)            { c.close(wire.ClosePolicy, n.reason) }
func (nowhere) message(*session, int, []byte) {}
func (nowhere) end(*session)                  {}

const (
	echoSize  = 16 << 20
	maxEchoes = 4
)

// echo sends every message back as it was.
type echo struct{}

func (echo) limits() limits { return limits{size: echoSize, binary: true} }
func (echo) begin(*session) {}
func (echo) end(c *session) { c.s.echoes.Add(-1) }
func (echo) message(c *session, kind int, data []byte) {
	_ = c.out.WriteLong(opOf(kind), data) // who is gone is noticed by the reader
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

func (*relay) limits() limits { return limits{size: readLimit, binary: true, rate: true} }

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

// watch is the conversation of /metrics: the broadcaster sends, the client listens.
type watch struct{}

func (watch) limits() limits                { return limits{size: readLimit, rate: true} }
func (watch) begin(c *session)              { c.s.watchers.Add(1) }
func (watch) message(*session, int, []byte) {}
func (watch) end(c *session)                { c.s.watchers.Add(-1) }

// visit is the conversation in a room that somebody else keeps.
type visit struct {
	enter func(Peer) Guest
	guest Guest
}

func (*visit) limits() limits                           { return limits{size: readLimit, rate: true} }
func (v *visit) begin(c *session)                       { v.guest = v.enter(peer{c}) }
func (v *visit) message(_ *session, _ int, text []byte) { v.guest.Message(text) }
func (v *visit) end(*session)                           { v.guest.Left() }

// peer is a session as a room sees it.
type peer struct{ c *session }

func (p peer) Send(text []byte)              { p.c.send(conn.OpText, text) }
func (p peer) Close(code int, reason string) { p.c.close(code, reason) }
