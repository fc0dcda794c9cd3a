// Package inbox reads what one client sends: whole messages within the rules of the
// endpoint, pings and pongs within the same rate, and the end of the connection in
// the order that RFC 6455 wants. While the client is silent it costs next to nothing.
//
// It knows the framing of WebSocket. It refuses to know what the messages mean, which its
// [Owner] knows, and which other clients there are.
package inbox

import (
	"errors"
	"io"
	"slices"
	"strings"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/gorilla/websocket"

	"sensorgateway/gateway/conn"
	"sensorgateway/gateway/limit"
	"sensorgateway/wire"
)

// CloseTimeout is how long a client has to answer a close frame, or to take it.
const CloseTimeout = 2 * time.Second

// LongMessage is the size in bytes from which on [Rules.Long] limits a message.
const LongMessage = 1 << 20

// ErrClosing ends the reading after our close frame.
var ErrClosing = errors.New("closing")

// Rules are the rules of an endpoint for each of its clients.
type Rules struct {
	Size   int           // bytes in a message from it
	Binary bool          // binary messages are taken too
	Rate   bool          // its messages in a second are limited
	Long   chan struct{} // holds one while a message over LongMessage is under way; nil if there are none
	// Stops, if it is not nil, has stops carried out even in a message that breaks these
	// rules, or behind it. It holds one for each client whose input is buffered and searched.
	Stops chan struct{}
}

// An Owner handles a client's messages. The goroutine that reads calls it.
type Owner interface {
	// Message is given a message: UTF-8 if kind is text. It must not retain data.
	Message(kind int, data []byte)
	// Stop carries out the stop in a message of any kind and length, if there is one.
	Stop(message []byte) bool
	// Wake starts the goroutine that calls [Inbox.Wait]. Locks may be held.
	Wake()
	// Exceeded is called when the connection of a client is closed because it exceeds
	// the rate.
	Exceeded()
}

// An Inbox is one client's. All methods but [Inbox.Close], [Inbox.Pongs] and
// [Inbox.Closing] are for one goroutine at a time, and after [Inbox.Park] for none.
type Inbox struct {
	owner    Owner
	rules    *Rules
	ws       *websocket.Conn // what the client sends; nil once it was parked, until it talks
	out      *conn.Conn      // what is sent to it
	rate     *limit.Rate     // of messages; nil before the first
	controls *limit.Rate     // of pings and pongs
	refused  bool            // it broke a rule: nothing but stops is taken any more

	pongs atomic.Int64 // how many came
	until atomic.Int64 // Unix nanoseconds: when the client must have answered our close frame; 0: none was sent
}

// Open begins with what [conn.Upgrade] returned.
func (in *Inbox) Open(owner Owner, rules *Rules, ws *websocket.Conn, out *conn.Conn) {
	in.owner, in.rules, in.out = owner, rules, out
	in.attach(ws)
}

// attach makes the next messages come from ws.
func (in *Inbox) attach(ws *websocket.Conn) {
	in.ws = ws
	ws.SetReadLimit(int64(in.rules.Size))
	if in.rules.Stops != nil { // gorilla would close at once: see receive
		ws.SetReadLimit(int64(max(in.rules.Size, lastBytes)))
	}
	ws.SetPongHandler(func(string) error { return in.ponged() })
	ws.SetPingHandler(in.pong)
}

// listen makes the reader of messages, if there is none.
func (in *Inbox) listen() {
	if in.ws == nil {
		in.attach(in.out.Reader())
	}
}

// Pongs returns how many pongs came.
func (in *Inbox) Pongs() int64 { return in.pongs.Load() }

// Closing reports whether a close frame was sent.
func (in *Inbox) Closing() bool { return in.until.Load() != 0 }

// Park lets the reading goroutine end: the owner is woken when there is something to do,
// or at once if this client needs a goroutine that waits.
func (in *Inbox) Park() {
	if in.out.Buffered() { // there is more than a pong behind the last message
		in.Wake()
		return
	}
	in.ws = nil
	if !in.out.Park(in) {
		in.Wake()
	}
}

// Wake wakes the owner.
func (in *Inbox) Wake() { in.owner.Wake() }

// Pong counts a pong, which is all that most clients ever send. It returns false for one
// that exceeds the rate: then the connection is closed, by Wait or by Read.
func (in *Inbox) Pong() bool {
	if !in.count() {
		return false
	}
	in.pongs.Add(1)
	return true
}

// Wait waits until the client sends something that is not a pong, and returns what is
// to be done next. Its stack must not grow.
func (in *Inbox) Wait() (next func() error) {
	for !in.out.Buffered() {
		n, err := in.out.Pongs()
		switch {
		case err != nil:
			return func() error { return err }
		case n == 0:
			return in.Read
		}
		for range n {
			if !in.Pong() {
				return func() error { in.exceed(nil); return conn.ErrTooMuch }
			}
		}
	}
	return in.Read
}

func (in *Inbox) ponged() error {
	in.pongs.Add(1)
	return in.control()
}

// Read takes the client's messages until there are no more for now, or the
// connection is to end: then it returns why.
func (in *Inbox) Read() error {
	var message []byte // no buffer is held while the client is idle
	in.listen()
	for {
		in.allowMessage()
		kind, r, err := in.ws.NextReader()
		if err != nil {
			return err
		}
		if kind == websocket.BinaryMessage && !in.rules.Binary {
			return in.refuse(nil, r, wire.CloseUnsupported, "Binary messages are not taken here")
		}
		var done func()
		if message, done, err = in.receive(message[:0], r); err != nil {
			return err
		}
		if len(message) > in.rules.Size {
			return in.refuse(message, r, wire.CloseTooBig, "")
		}
		if kind == websocket.TextMessage && !utf8.Valid(message) {
			done()
			return in.refuse(message, nil, wire.CloseInvalidText, "Text is not UTF-8")
		}
		if in.rate == nil {
			in.rate = new(limit.Rate)
		}
		if in.rules.Rate && !in.rate.Take(time.Now()) {
			in.exceed(message)
			return ErrClosing
		}
		in.owner.Message(kind, message)
		if cap(message) > min(in.rules.Size, LongMessage) {
			message = nil
		}
		done()
		if !in.out.Buffered() {
			return nil
		}
	}
}

// lastBytes is how many bytes of a client's input are searched for stops, from the message
// that breaks a rule on.
const lastBytes = 64 << 10

// refuse closes the connection of a client whose message breaks a rule. r, unless it
// is nil, has the rest of that message. First, the stops in it are carried out, and
// those in the messages that have been received behind it: a slider that was dragged
// must not cost the e-stop that follows.
func (in *Inbox) refuse(message []byte, r io.Reader, code int, reason string) error {
	in.refused = true
	if in.rules.Stops != nil {
		in.lastStops(message, r)
	}
	in.Close(code, reason, CloseTimeout)
	return ErrClosing
}

func (in *Inbox) lastStops(message []byte, r io.Reader) {
	in.rules.Stops <- struct{}{} // each holds it for a moment: see [conn.Conn.Receive]
	defer func() { <-in.rules.Stops }()
	in.listen()
	in.ws.SetReadLimit(0) // what has been received is limited
	in.out.Receive(lastBytes)
	for left := lastBytes; left > 0; left -= len(message) + 1 {
		var err error
		if r != nil {
			if message, err = appendAll(message, r); err != nil {
				return // an incomplete message, or the end
			}
		}
		in.owner.Stop(message)
		if !in.out.Buffered() {
			return
		}
		in.allowMessage()
		if _, r, err = in.ws.NextReader(); err != nil {
			return // likewise
		}
		message = message[:0]
	}
}

// allowMessage lets the bytes of one more message be read. Frames of one byte each
// are the worst that is not meant as an attack.
func (in *Inbox) allowMessage() { in.out.Allow(7*in.rules.Size + 8<<10) }

// pong answers a ping with its payload (RFC 6455, section 5.5.3).
func (in *Inbox) pong(payload string) error {
	if err := in.control(); err != nil || in.refused {
		return err
	}
	_, _ = in.out.Write(conn.AppendFrame(nil, conn.OpPong, []byte(payload))) // if its queue is full, that ends the connection
	return nil
}

// control counts a ping or a pong, and ends the reading if it exceeds the rate.
func (in *Inbox) control() error {
	if in.count() {
		return nil
	}
	in.exceed(nil)
	return conn.ErrTooMuch
}

// count counts a ping or a pong, and returns whether it is within the rate: a
// client may send as many of them as it may send messages. The bytes that it may
// send for one message are counted anew.
func (in *Inbox) count() bool {
	if in.refused {
		return true // lastStops reads what came behind
	}
	in.allowMessage()
	if in.controls == nil {
		in.controls = new(limit.Rate)
	}
	return !in.rules.Rate || in.controls.Take(time.Now())
}

// exceed closes the connection of a client whose message, or ping or pong,
// exceeds the rate.
func (in *Inbox) exceed(message []byte) {
	_ = in.refuse(message, nil, wire.ClosePolicy, wire.CloseReasonRateLimit) // the caller ends the reading
	in.owner.Exceeded()
}

// Linger ends the reading for err. Unless the closing handshake is complete, what
// the client still sends is read and dropped until it has answered our close frame:
// closing a socket with unread data would reset the connection, and the close frame
// could be lost; and a browser reports a connection as lost that ends before its answer.
func (in *Inbox) Linger(err error) {
	var closed *websocket.CloseError
	switch {
	case errors.As(err, &closed):
		return // gorilla has answered, if we had not
	case errors.Is(err, io.EOF):
		return // the client has hung up
	case errors.Is(err, conn.ErrCloseLength):
		in.Close(wire.CloseProtocolError, "close frame of one byte", CloseTimeout)
	case errors.Is(err, conn.ErrTooMuch):
		in.Close(wire.ClosePolicy, "Too many frames for one message", CloseTimeout)
	case errors.Is(err, websocket.ErrReadLimit):
		// gorilla has sent 1009, and this one is not sent, unless the length itself
		// was beyond RFC 6455 (section 5.2: the most significant bit must be 0).
		in.Close(wire.CloseProtocolError, "frame length", CloseTimeout)
	}
	until := time.Now().Add(CloseTimeout)
	if t := in.until.Load(); t != 0 {
		until = time.Unix(0, t)
	}
	_ = in.out.SetReadDeadline(until)
	in.out.Drain(1 << 20)
}

// receive appends a message to b, or only the beginning if it is too long. One longer than
// LongMessage waits until no other such message is under way; it is itself until done is called.
func (in *Inbox) receive(b []byte, r io.Reader) (message []byte, done func(), err error) {
	done = func() {}
	if in.rules.Long == nil {
		b, err = appendAll(b, io.LimitReader(r, int64(in.rules.Size)+1))
		return b, done, err
	}
	if b, err = appendAll(b, io.LimitReader(r, LongMessage)); err != nil || len(b) < LongMessage {
		return b, done, err
	}
	in.rules.Long <- struct{}{} // the client that holds it is bound by its heartbeat
	if b, err = appendAll(b, r); err != nil {
		<-in.rules.Long
		return b, done, err
	}
	return b, func() { <-in.rules.Long }, nil
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

// Close sends a close frame, after which nothing more is sent, and gives the client
// a little time to answer it. It returns false if the connection is closing already,
// or has ended.
func (in *Inbox) Close(code int, reason string, timeout time.Duration) bool {
	if _, err := in.out.Write(conn.AppendFrame(nil, conn.OpClose, websocket.FormatCloseMessage(code, fit(reason)))); err != nil {
		return false
	}
	until := time.Now().Add(timeout)
	in.until.Store(until.UnixNano())
	_ = in.out.SetReadDeadline(until)
	return true
}

// fit returns as much of a reason as a close frame has room for: 125 bytes (RFC 6455,
// section 5.5), of which the code takes two.
func fit(reason string) string {
	const most = 125 - 2
	if len(reason) <= most {
		return reason
	}
	return strings.ToValidUTF8(reason[:most], "") // a character is not cut
}
