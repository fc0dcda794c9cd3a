package gateway

import (
	"net/netip"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"

	"sensorgateway/gateway/conn"
	"sensorgateway/gateway/inbox"
	"sensorgateway/gateway/limit"
	"sensorgateway/gateway/window"
	"sensorgateway/wire"
)

// slowCloseTimeout is how long a client that was too slow has to answer the close
// frame: when it reads again, it must find out why it was closed.
const slowCloseTimeout = 20 * time.Second

// session is one client. Its goroutine reads from the client. That goroutine and the
// broadcaster send to the client, through its connection.
type session struct {
	Client
	s        *Server
	inbox    inbox.Inbox // what the client sends
	out      *conn.Conn  // what is sent to it
	endpoint endpoint
	rules    *rules

	// The broadcaster's, under its lock.
	feedKey                           // which readings it gets
	scope                   sensorSet // which it may get; never changes
	ended                   bool      // its identity no longer holds
	motors, events, metrics bool      // what else it gets
	slot                    int       // in broadcaster.sessions
	heartbeat
	window.Account         // of its readings
	replay         *replay // brings what it missed; nil when there is nothing to bring

	commanded atomic.Bool // it has sent a command: only then can it have a motor running
	controls  atomic.Bool // it has sent a control message: it has asked for the events about that
}

// host is the host that the client's place is counted for.
func (c *session) host() netip.Prefix { return limit.Host(c.Identity.Addr) }

// run begins the session, which goes on in steps, each in a goroutine that takes what
// the client has sent; there is one at a time. Between two steps there is no goroutine
// or, if one has to wait for the client, one with a very small stack. So a client that
// only listens costs little memory.
func (c *session) run(ws *websocket.Conn) {
	c.inbox.Open(mail{c}, &c.rules.Rules, ws, c.out)
	c.begun = time.Now()
	c.pinged = c.begun
	c.s.broadcaster.join(c)
	c.step(c.begin)
}

func (c *session) begin() error {
	c.endpoint.begin(c)
	c.out.LeaveGate()
	if c.out.Buffered() {
		return c.inbox.Read()
	}
	return nil
}

// step calls do. If that returns an error, the session ends.
func (c *session) step(do func() error) {
	err := c.try(do)
	if err == nil {
		c.inbox.Park()
		return
	}
	_ = c.try(func() error { c.finish(err); return nil }) // try has logged it
	c.s.broadcaster.leave(c)
	switch {
	case c.out.Overrun():
		c.s.opts.Refused(ReasonQueues, c.Name, "its connection is closed: too much waits in memory for it (queues: under limits: in the configuration, for all clients)")
	case c.lost != "":
		c.s.opts.Refused(c.lost, c.Name, "its connection is closed: it does not read what it is sent, or not in time")
	}
	c.out.End(inbox.CloseTimeout)
	c.s.left(c)
}

// wait waits for the client. Its stack must not grow.
func (c *session) wait() { go c.step(c.inbox.Wait()) }

// try returns what do returns; if that panics, only this client is closed.
func (c *session) try(do func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			c.s.opts.Log.Error("a client's goroutine panicked: its connection is closed", "client", c.Name, "panic", r, "stack", string(debug.Stack()))
			c.close(wire.CloseInternal, wire.CloseReasonInternal)
			err = inbox.ErrClosing
		}
	}()
	return do()
}

// finish ends the endpoint first, so that motors learn at once that their operator
// is lost, and not when the closing handshake has ended. err is why reading ended.
func (c *session) finish(err error) {
	c.endpoint.end(c)
	c.inbox.Linger(err)
}

// send sends a message that must arrive. If the client's queue is full, that ends
// the connection, which its reader notices.
func (c *session) send(op byte, message []byte) {
	_, _ = c.out.Write(conn.AppendFrame(nil, op, message))
}

// sendJSON sends one of our own payloads, which cannot fail to be JSON.
func (c *session) sendJSON(e wire.Envelope) {
	c.send(conn.OpText, wire.JSON(e))
}

// close sends a close frame, after which nothing more is sent, and gives the
// client a little time to answer it.
func (c *session) close(code int, reason string) { c.closeWithin(code, reason, inbox.CloseTimeout) }

func (c *session) closeWithin(code int, reason string, timeout time.Duration) {
	if c.inbox.Close(code, reason, timeout) && c.commanded.Load() {
		// The operator counts as lost now, not when it answers; until then its stops are still
		// carried out. The broadcaster, whose lock may be held, does not wait for the motors.
		c.s.sessions.Go(func() { c.s.opts.Motors.Lost(c.ID, c.lossReason()) })
	}
}

// mail is a session as the owner of its inbox.
type mail struct{ c *session }

func (m mail) Message(kind int, data []byte) { m.c.endpoint.message(m.c, kind, data) }
func (m mail) Stop(message []byte) bool      { return m.c.stop(message) }
func (m mail) Wake()                         { go m.c.wait() }
func (m mail) Exceeded() {
	m.c.s.opts.Refused("rate", m.c.Name, "more messages than a client may send")
}
