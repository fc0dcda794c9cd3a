package gateway

import (
	"errors"
	"io"
	"net"
	"runtime/debug"
	"slices"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/gorilla/websocket"

	"sensorgateway/gateway/conn"
	"sensorgateway/wire"
)

const (
	// closeTimeout is how long a client has to answer a close frame, or to take it.
	closeTimeout = 2 * time.Second
	// slowCloseTimeout is how long one has that has taken nothing for so long: when
	// it reads again, it must find out why it was closed.
	slowCloseTimeout = 20 * time.Second
)

// errClosing ends the reading after our close frame.
var errClosing = errors.New("closing")

// session is one client. Its goroutine reads; what is sent to it comes from
// there and from the broadcaster, by way of the outbox.
type session struct {
	Client
	s        *Server
	ws       *websocket.Conn
	out      *conn.Conn
	talk     conversation
	rate     *limiter // of messages; nil before the first
	controls *limiter // of pings and pongs

	// The broadcaster's, under its lock.
	feedKey             // which readings it gets
	motors, events bool // what else
	slot           int  // in broadcaster.sessions
	driving        bool // has a motor running
	pinged         time.Time
	took           time.Time // something of what waits for it; zero while nothing does
	asked          time.Time // of the first ping that is unanswered
	waits          bool      // for a pong
	seen           int64     // of pongs
	heard          time.Time // of the last of them, or when its motor started
	account
	replay *replay // brings what it missed; nil when there is nothing to bring

	commanded atomic.Bool  // ever: only then it can have a motor running
	pongs     atomic.Int64 // how many came
}

// A conversation is what a client and the gateway talk about on a path. All
// its methods are called by the session's goroutine.
type conversation interface {
	// begin is called once the session is known to the broadcaster.
	begin(c *session)
	// message is given a message: UTF-8 if kind is text. It must not keep data.
	message(c *session, kind int, data []byte)
	// end is called when the client is gone.
	end(c *session)
	// limits tells what a client may send.
	limits() limits
}

type limits struct {
	size   int  // bytes in a message
	binary bool // binary messages too
	rate   bool // no more than so many a second
}

// run is the session's life. It goes on in turns, one goroutine at a time: this
// one and each that follows it takes what the client sends, and one that has next
// to no stack waits for more. So who only listens costs little memory.
func (c *session) run() {
	limits := c.talk.limits()
	c.ws.SetReadLimit(int64(limits.size))
	c.ws.SetPongHandler(func(string) error { return c.ponged() })
	c.ws.SetPingHandler(c.pong)
	c.pinged = time.Now()
	c.s.broadcaster.join(c)
	c.turn(c.begin)
}

func (c *session) begin() error {
	c.talk.begin(c)
	c.out.LeaveGate()
	if c.out.More() {
		return c.read()
	}
	return nil
}

// turn does what may be the last thing in the session's life.
func (c *session) turn(do func() error) {
	err := c.try(do)
	if err == nil {
		go c.rest()
		return
	}
	_ = c.try(func() error { c.part(err); return nil }) // it has been told
	c.s.broadcaster.leave(c)
	c.out.End(closeTimeout)
	c.s.left()
}

// rest waits until the client sends something, and takes pongs, which is all that
// most clients ever send. Its stack must not grow.
func (c *session) rest() {
	for {
		n := c.out.Pongs()
		if n == 0 {
			go c.turn(c.read) // which will see an error too
			return
		}
		for range n {
			if err := c.ponged(); err != nil {
				go c.turn(func() error { return err })
				return
			}
		}
	}
}

func (c *session) ponged() error {
	c.pongs.Add(1)
	return c.control()
}

// try returns what do returns; if that panics, it is this client's end alone.
func (c *session) try(do func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			c.s.opts.Log.Error("a client's goroutine panicked", "client", c.Name, "panic", r, "stack", string(debug.Stack()))
			c.close(wire.CloseInternal, "Internal error")
			err = errClosing
		}
	}()
	return do()
}

// part ends the conversation as soon as it is over: who drives a motor is missed
// now, not when the farewell is. Then it takes leave; err is why reading ended.
func (c *session) part(err error) {
	c.talk.end(c)
	if errors.Is(err, errClosing) {
		err = c.ignore()
	}
	c.linger(err)
}

// read takes the client's messages until there are no more for now, or the
// connection is to end: then it returns why.
func (c *session) read() error {
	limits := c.talk.limits()
	var message []byte // one that is waited for takes no room
	for {
		// Frames of one byte each are as bad as it gets without being meant so.
		c.out.Allow(7*limits.size + 8<<10)
		kind, r, err := c.ws.NextReader()
		if err != nil {
			return err
		}
		if kind == websocket.BinaryMessage && !limits.binary {
			c.close(wire.CloseUnsupported, "Binary messages are not taken here")
			return errClosing
		}
		if message, err = appendAll(message[:0], r); err != nil {
			return err
		}
		if kind == websocket.TextMessage && !utf8.Valid(message) {
			c.close(wire.CloseInvalidText, "Text is not UTF-8")
			return errClosing
		}
		if c.rate == nil {
			c.rate = new(limiter)
		}
		if limits.rate && !c.rate.take(time.Now()) {
			if s, ok := c.talk.(*stream); ok {
				s.stop(c, message) // a stop in a message too many is carried out
			}
			c.close(wire.ClosePolicy, "Rate limit exceeded")
			return errClosing
		}
		c.talk.message(c, kind, message)
		if cap(message) > limits.size/4 {
			message = nil
		}
		if !c.out.More() {
			return nil
		}
	}
}

// pong answers a ping with its payload (RFC 6455, section 5.5.3).
func (c *session) pong(payload string) error {
	if err := c.control(); err != nil {
		return err
	}
	c.send(conn.OpPong, []byte(payload))
	return nil
}

// control counts a ping or a pong: a client may send as many of them as it may
// send messages. What it may send for one message begins anew.
func (c *session) control() error {
	limits := c.talk.limits()
	c.out.Allow(7*limits.size + 8<<10)
	if c.controls == nil {
		c.controls = new(limiter)
	}
	if limits.rate && !c.controls.take(time.Now()) {
		c.close(wire.ClosePolicy, "Rate limit exceeded")
		return conn.ErrTooMuch
	}
	return nil
}

// ignore reads until the client answers our close frame, hangs up, or takes too
// long to.
func (c *session) ignore() error {
	for {
		if _, _, err := c.ws.NextReader(); err != nil {
			return err
		}
	}
}

// linger ends the reading for err. To close a socket with unread data would
// reset it, and our close frame with it; so unless both have said goodbye, what
// the client still sends is read and forgotten until it hangs up too.
func (c *session) linger(err error) {
	var closed *websocket.CloseError
	var timeout net.Error
	switch {
	case errors.As(err, &closed), errors.As(err, &timeout) && timeout.Timeout():
		return // gorilla has answered, if we had not; or the client had its time
	case errors.Is(err, conn.ErrCloseLength):
		c.close(wire.CloseProtocolError, "close frame of one byte")
	case errors.Is(err, conn.ErrTooMuch):
		c.close(wire.ClosePolicy, "Too many frames for one message")
	case errors.Is(err, websocket.ErrReadLimit):
		// gorilla has said 1009, and this one is not sent, unless the length itself
		// was beyond RFC 6455 (section 5.2: the most significant bit must be 0).
		c.close(wire.CloseProtocolError, "frame length")
	}
	_ = c.out.SetReadDeadline(time.Now().Add(closeTimeout))
	c.out.Drain(1 << 20)
}

// appendAll is io.ReadAll into a buffer that is there.
func appendAll(b []byte, r io.Reader) ([]byte, error) {
	for {
		if len(b) == cap(b) {
			b = slices.Grow(b, 256)
		}
		n, err := r.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		if err == io.EOF {
			return b, nil
		}
		if err != nil {
			return b, err
		}
	}
}

// send sends a message that must arrive. A client whose queue is full is ended
// by it, which its reader notices.
func (c *session) send(op byte, message []byte) {
	_, _ = c.out.Write(conn.AppendFrame(nil, op, message))
}

// sendJSON sends one of our own payloads, which cannot fail to be JSON.
func (c *session) sendJSON(e wire.Envelope) {
	c.send(conn.OpText, wire.JSON(e))
}

// close sends a close frame, after which nothing more is sent, and gives the
// client a little time to answer it.
func (c *session) close(code int, reason string) { c.closeWithin(code, reason, closeTimeout) }

func (c *session) closeWithin(code int, reason string, farewell time.Duration) {
	if _, err := c.out.Write(conn.AppendFrame(nil, conn.OpClose, websocket.FormatCloseMessage(code, reason))); err != nil {
		return // closing already, or gone
	}
	_ = c.out.SetReadDeadline(time.Now().Add(farewell))
}

// overdue tells whether a client has taken nothing for too long although
// something waits for it.
func (c *session) overdue(now time.Time) bool {
	switch {
	case c.waiting == nil && !c.out.Queued():
		c.took = time.Time{}
	case c.out.Progress() || c.took.IsZero():
		c.took = now
	}
	return !c.took.IsZero() && now.Sub(c.took) >= tooSlow
}

// heartbeat pings, and ends a client whose pong or whose reading is overdue. The
// broadcaster calls it, more often for those who drive a motor.
func (c *session) heartbeat(now time.Time) {
	if c.overdue(now) {
		c.closeWithin(wire.CloseTooSlow, "Too slow to follow", slowCloseTimeout)
		return
	}
	if pongs := c.pongs.Load(); pongs != c.seen {
		c.seen, c.heard, c.waits = pongs, now, false
	}
	every, late := pingEvery, now.Sub(c.asked) >= pongWithin
	if c.driving {
		// From its last pong on, whenever that was, but not unasked: the broadcaster may have been late.
		every, late = drivingPingEvery, now.Sub(c.heard) >= drivingPongWithin && now.Sub(c.asked) >= drivingPingEvery
	}
	if c.waits && late {
		_ = c.out.Close()
		return
	}
	if now.Sub(c.pinged) >= every-checkEvery/2 { // this look is nearer to its time than the next
		c.pinged = now
		if !c.waits {
			c.waits, c.asked = true, now
		}
		c.send(conn.OpPing, nil)
	}
}
