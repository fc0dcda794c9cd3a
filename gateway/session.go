package gateway

import (
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/gorilla/websocket"

	"sensorgateway/wire"
)

// farewellTime is how long a client has to answer a close frame, or to take it.
const farewellTime = 2 * time.Second

// session is one client. Its goroutine reads; what is sent to it comes from the
// hub and from there, by way of the outbox.
type session struct {
	feedKey // what it is subscribed to
	s       *Server
	ws      *websocket.Conn
	out     *outbox

	pinged time.Time    // the hub's: of the last ping; that of joining before the first
	waits  bool         // the hub's: for the pong
	pongs  atomic.Int64 // how many came
	seen   int64        // the hub's: of them
}

// run is the session's life. known says whether its endpoint exists: a browser
// cannot see a refused upgrade's status, so it is told by a close code.
func (c *session) run(known bool) {
	defer c.out.end()
	if !known {
		c.close(wire.ClosePolicy, "Unknown endpoint")
		c.linger(c.ignore())
		return
	}
	c.ws.SetPongHandler(func(string) error { c.pongs.Add(1); return nil })
	c.pinged = time.Now()
	c.s.hub.join(c)
	defer c.s.hub.leave(c)
	c.linger(c.read())
}

// read takes the client's messages until the connection is to end, and returns
// why reading ended.
func (c *session) read() error {
	message := make([]byte, 0, 256)
	for {
		kind, r, err := c.ws.NextReader()
		if err == nil && kind == websocket.TextMessage {
			message, err = appendAll(message[:0], r)
		}
		switch {
		case err != nil:
			return err
		case kind == websocket.BinaryMessage:
			c.close(wire.CloseUnsupported, "Binary messages are not taken here")
			return c.ignore()
		case !utf8.Valid(message):
			c.close(wire.CloseInvalidText, "Text is not UTF-8")
			return c.ignore()
		}
		c.received(message)
	}
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
	if errors.As(err, &closed) || errors.As(err, &timeout) && timeout.Timeout() {
		return // gorilla has answered, if we had not; or the client had its time
	}
	if errors.Is(err, websocket.ErrReadLimit) {
		// gorilla has said 1009, and this one is not sent, unless the length itself
		// was beyond RFC 6455 (section 5.2: the most significant bit must be 0).
		c.close(wire.CloseProtocolError, "frame length")
	}
	_ = c.out.SetReadDeadline(time.Now().Add(farewellTime))
	_, _ = io.Copy(io.Discard, io.LimitReader(onlyReader{c.out}, 1<<20))
}

// onlyReader hides the outbox's other methods from io.Copy.
type onlyReader struct{ io.Reader }

// received answers a message.
func (c *session) received(message []byte) {
	var e struct {
		Type string `json:"type"`
	}
	if json.Unmarshal(message, &e) != nil {
		c.sendJSON(errorEnvelope(http.StatusBadRequest, "Invalid JSON"))
		return
	}
	c.sendJSON(errorEnvelope(http.StatusNotFound, "Unknown type: "+e.Type))
}

// appendAll is io.ReadAll into a buffer that is there.
func appendAll(b []byte, r io.Reader) ([]byte, error) {
	for {
		if len(b) == cap(b) {
			b = append(b, 0)[:len(b)]
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

// sendJSON sends a text message. A client whose queue is full is ended by it,
// which its reader notices.
func (c *session) sendJSON(v any) { _, _ = c.out.Write(appendFrame(nil, opText, mustJSON(v))) }

// close sends a close frame, after which nothing more is sent, and gives the
// client a little time to answer it.
func (c *session) close(code int, reason string) {
	if _, err := c.out.Write(appendFrame(nil, opClose, websocket.FormatCloseMessage(code, reason))); err != nil {
		return // closing already, or gone
	}
	_ = c.out.SetReadDeadline(time.Now().Add(farewellTime))
}

// heartbeat pings, and ends a client whose pong or whose reading is overdue. The
// hub calls it about once a second.
func (c *session) heartbeat(now time.Time) {
	if c.out.stalled(now) >= tooSlow {
		c.close(wire.CloseTooSlow, "Too slow to follow")
		_ = c.out.Close() // it would not take that either
		return
	}
	pongs := c.pongs.Load()
	if pongs != c.seen {
		c.seen, c.waits = pongs, false
	}
	switch since := now.Sub(c.pinged); {
	case c.waits && since >= pongWithin:
		_ = c.out.Close()
	case since >= pingEvery:
		c.pinged, c.waits = now, true
		_, _ = c.out.Write(appendHeader(nil, opPing, 0)) // as in sendJSON
	}
}
