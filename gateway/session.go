package gateway

import (
	"errors"
	"io"
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
// there and from the broadcaster, through its connection.
type session struct {
	Client
	s        *Server
	ws       *websocket.Conn // what the client sends
	out      *conn.Conn      // what is sent to it
	endpoint endpoint
	rules    *rules
	rate     *limiter // of messages; nil before the first
	controls *limiter // of pings and pongs
	exceeded bool     // the rate: nothing but stops is taken any more

	// The broadcaster's, under its lock.
	feedKey                      // which readings it gets
	motors, events, metrics bool // what else
	slot                    int  // in broadcaster.sessions
	heartbeat
	account
	replay *replay // brings what it missed; nil when there is nothing to bring

	commanded atomic.Bool  // ever: only then it can have a motor running
	pongs     atomic.Int64 // how many came
	until     atomic.Int64 // Unix nanoseconds: when the client must have answered our close frame; 0: none was sent
}

// run is the session's life. It goes on in steps, one goroutine at a time: this
// one and each that follows it takes what the client sends, and one that has next
// to no stack waits for more. So a client that only listens costs little memory.
func (c *session) run() {
	c.ws.SetReadLimit(int64(c.rules.size))
	c.ws.SetPongHandler(func(string) error { return c.ponged() })
	c.ws.SetPingHandler(c.pong)
	c.begun = time.Now()
	c.pinged = c.begun
	c.s.broadcaster.join(c)
	c.step(c.begin)
}

func (c *session) begin() error {
	c.endpoint.begin(c)
	c.out.LeaveGate()
	if c.out.More() {
		return c.read()
	}
	return nil
}

// step does what may be the last thing in the session's life.
func (c *session) step(do func() error) {
	err := c.try(do)
	if err == nil {
		go c.idle()
		return
	}
	_ = c.try(func() error { c.finish(err); return nil }) // try has logged it
	c.s.broadcaster.leave(c)
	if c.lost != "" {
		c.s.opts.Refused(c.lost, c.Name, "its connection is closed: it does not read what it is sent, or not in time")
	}
	c.out.End(closeTimeout)
	c.s.left(c)
}

// idle waits until the client sends something, and takes pongs, which is all that
// most clients ever send. Its stack must not grow.
func (c *session) idle() {
	for {
		n := c.out.Pongs()
		if n == 0 {
			go c.step(c.read) // which will see an error too
			return
		}
		for range n {
			c.pongs.Add(1)
			if !c.count() {
				go c.step(func() error { c.exceed(nil); return conn.ErrTooMuch })
				return
			}
		}
	}
}

func (c *session) ponged() error {
	c.pongs.Add(1)
	return c.control()
}

// try returns what do returns; if that panics, only this client is closed.
func (c *session) try(do func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			c.s.opts.Log.Error("a client's goroutine panicked: its connection is closed", "client", c.Name, "panic", r, "stack", string(debug.Stack()))
			c.close(wire.CloseInternal, wire.CloseReasonInternal)
			err = errClosing
		}
	}()
	return do()
}

// finish ends the endpoint first, so that motors learn at once that their operator
// is lost, and not when the closing handshake has ended. err is why reading ended.
func (c *session) finish(err error) {
	c.endpoint.end(c)
	c.linger(err)
}

// read takes the client's messages until there are no more for now, or the
// connection is to end: then it returns why.
func (c *session) read() error {
	var message []byte // no buffer is held while the client is idle
	for {
		c.allowMessage()
		kind, r, err := c.ws.NextReader()
		if err != nil {
			return err
		}
		if kind == websocket.BinaryMessage && !c.rules.binary {
			c.close(wire.CloseUnsupported, "Binary messages are not taken here")
			return errClosing
		}
		var done func()
		if message, done, err = c.receive(message[:0], r); err != nil {
			return err
		}
		if kind == websocket.TextMessage && !utf8.Valid(message) {
			done()
			c.close(wire.CloseInvalidText, "Text is not UTF-8")
			return errClosing
		}
		if c.rate == nil {
			c.rate = new(limiter)
		}
		if c.rules.rate && !c.rate.take(time.Now()) {
			c.exceed(message)
			return errClosing
		}
		c.endpoint.message(c, kind, message)
		if cap(message) > min(c.rules.size, longMessage) {
			message = nil
		}
		done()
		if !c.out.More() {
			return nil
		}
	}
}

// lastBytes is how much of what a client has sent behind the message that exceeds
// the rate is searched for a stop.
const lastBytes = 64 << 10

// lastStops carries out a stop in the message that exceeds the rate, and those in
// the messages that have been received behind it: a slider that was dragged must
// not cost the e-stop that follows.
func (c *session) lastStops(message []byte) {
	c.out.Receive(lastBytes)
	for left := lastBytes; left > 0; left -= len(message) + 1 {
		c.stop(message)
		if !c.out.Buffered() {
			return
		}
		c.allowMessage()
		kind, r, err := c.ws.NextReader()
		if err != nil || kind != websocket.TextMessage {
			return // an incomplete message, or the end
		}
		if message, err = appendAll(message[:0], r); err != nil {
			return
		}
	}
}

// allowMessage lets the bytes of one more message be read. Frames of one byte each
// are the worst that is not meant as an attack.
func (c *session) allowMessage() { c.out.Allow(7*c.rules.size + 8<<10) }

// pong answers a ping with its payload (RFC 6455, section 5.5.3).
func (c *session) pong(payload string) error {
	if err := c.control(); err != nil || c.exceeded {
		return err
	}
	c.send(conn.OpPong, []byte(payload))
	return nil
}

// control counts a ping or a pong, and ends the reading if it exceeds the rate.
func (c *session) control() error {
	if c.count() {
		return nil
	}
	c.exceed(nil)
	return conn.ErrTooMuch
}

// count counts a ping or a pong, and returns whether it is within the rate: a
// client may send as many of them as it may send messages. The bytes that it may
// send for one message are counted anew.
func (c *session) count() bool {
	if c.exceeded {
		return true // lastStops reads what came behind
	}
	c.allowMessage()
	if c.controls == nil {
		c.controls = new(limiter)
	}
	return !c.rules.rate || c.controls.take(time.Now())
}

// exceed closes the connection of a client whose message, or ping or pong,
// exceeds the rate.
func (c *session) exceed(message []byte) {
	c.exceeded = true
	if c.rules.stops {
		c.lastStops(message)
	}
	c.s.opts.Refused("rate", c.Name, "more messages than a client may send")
	c.close(wire.ClosePolicy, wire.CloseReasonRateLimit)
}

// linger ends the reading for err. Unless the closing handshake is complete, what
// the client still sends is read and dropped until it has answered our close frame:
// closing a socket with unread data would reset the connection, and the close frame
// could be lost; and a browser calls a connection lost that ends before its answer.
func (c *session) linger(err error) {
	var closed *websocket.CloseError
	switch {
	case errors.As(err, &closed):
		return // gorilla has answered, if we had not
	case errors.Is(err, conn.ErrCloseLength):
		c.close(wire.CloseProtocolError, "close frame of one byte")
	case errors.Is(err, conn.ErrTooMuch):
		c.close(wire.ClosePolicy, "Too many frames for one message")
	case errors.Is(err, websocket.ErrReadLimit):
		// gorilla has sent 1009, and this one is not sent, unless the length itself
		// was beyond RFC 6455 (section 5.2: the most significant bit must be 0).
		c.close(wire.CloseProtocolError, "frame length")
	}
	until := time.Now().Add(closeTimeout)
	if t := c.until.Load(); t != 0 {
		until = time.Unix(0, t)
	}
	_ = c.out.SetReadDeadline(until)
	c.out.Drain(1 << 20)
}

// receive appends a message to b. Beyond longMessage it waits until no other is under
// way, and this one is until done is called.
func (c *session) receive(b []byte, r io.Reader) (message []byte, done func(), err error) {
	done = func() {}
	if c.rules.long == nil {
		b, err = appendAll(b, r)
		return b, done, err
	}
	if b, err = appendAll(b, io.LimitReader(r, longMessage)); err != nil || len(b) < longMessage {
		return b, done, err
	}
	c.rules.long <- struct{}{} // whoever holds it is bound by its heartbeat
	if b, err = appendAll(b, r); err != nil {
		<-c.rules.long
		return b, done, err
	}
	return b, func() { <-c.rules.long }, nil
}

// appendAll is io.ReadAll into a buffer that exists already.
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
func (c *session) close(code int, reason string) { c.closeWithin(code, reason, closeTimeout) }

func (c *session) closeWithin(code int, reason string, timeout time.Duration) {
	if _, err := c.out.Write(conn.AppendFrame(nil, conn.OpClose, websocket.FormatCloseMessage(code, reason))); err != nil {
		return // it is closing already, or has ended
	}
	until := time.Now().Add(timeout)
	c.until.Store(until.UnixNano())
	if c.commanded.Load() {
		until = time.Now() // an operator is lost now, not when it has answered
	}
	_ = c.out.SetReadDeadline(until)
}
