// Package conn is the transport below a session: it owns a client's connection
// from the moment that it is accepted until it is closed, and decides when bytes
// leave.
//
// A [Conn] never makes its caller wait: what the kernel does not take at once is
// either refused ([Conn.Offer]) or queued within bounds ([Conn.Write]). So a
// client that reads slowly, or not at all, delays nobody else. And one that sends
// nothing costs its descriptor and a record: [Conn.Park] needs no goroutine to wait.
//
// It knows sockets, TLS and the framing of WebSocket. It refuses to know what
// the frames carry, who the client is, and what is on the other side of HTTP.
package conn

import (
	"bufio"
	"crypto/tls"
	"errors"
	"net"
	"slices"
	"sync"
	"time"
)

var (
	// ErrTooMuch ends the reading of a message with more bytes than [Conn.Allow] lets in.
	ErrTooMuch = errors.New("too many bytes for one message")

	errAfterEnd = errors.New("connection is closing: nothing follows a close frame")
)

// A Conn is the one way to a client, for gorilla (to which it is the net.Conn)
// and for everybody else: each Write is one or more whole frames, no Write waits,
// and nothing follows a close frame. So frames of different origin are never torn
// and keep their order.
//
// As long as the client takes everything, a frame costs the one system call; with
// TLS, the encryption too.
type Conn struct {
	// What a tick touches comes first, in one line of the processor's cache.
	mu     sync.Mutex
	tls    *tls.Conn // above the socket; nil without TLS
	long   bool      // a long message is under way: others' frames must not come between
	ended  bool      // a close frame was accepted
	socket socket

	after []byte // waits for the end of the long message

	// The reading side: only the goroutine that reads uses it.
	read   *bufio.Reader // gorilla's; nil once the client was parked, until it talks
	early  []byte        // read from the client ahead of gorilla
	budget int           // bytes that may still be read for the message under way; see Allow
	frames scanner       // of what was read
	bad    error         // what it found
}

// Offer sends frames that may be left out: it refuses them, whole, if the client
// is slow.
func (c *Conn) Offer(frames []byte) (taken bool) {
	c.mu.Lock()
	switch {
	case c.ended || c.long:
	case c.tls == nil:
		taken = c.socket.offer(frames)
	case c.socket.ready(secured(len(frames))):
		_, err := c.tls.Write(frames)
		taken = err == nil
	}
	c.mu.Unlock()
	return taken
}

// secured bounds what TLS makes of n bytes: records of 1,000 bytes and more, each
// with a header, an initialisation vector, a MAC and padding (RFC 5246).
func secured(n int) int { return n + (n/1000+1)*(5+16+48+16) }

// Write sends frames that must arrive. It fails when too much is queued already,
// which ends the connection.
func (c *Conn) Write(frames []byte) (int, error) {
	if len(frames) == 0 {
		return 0, nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		return 0, errAfterEnd
	}
	c.ended = frames[0] == OpClose
	if c.long {
		if !c.socket.budget.queue(len(c.after), len(frames)) {
			c.socket.overrun()
			return 0, errQueueFull
		}
		c.after = append(c.after, frames...)
		return len(frames), nil
	}
	if err := c.write(frames); err != nil {
		return 0, err
	}
	return len(frames), nil
}

// WriteLong sends a frame of any length and waits as long as the client takes it. Only
// one goroutine may call it; what others write meanwhile follows the frame.
func (c *Conn) WriteLong(op byte, payload []byte) error {
	c.mu.Lock()
	if c.ended {
		c.mu.Unlock()
		return errAfterEnd
	}
	c.long = true
	c.mu.Unlock()
	err := c.write(AppendHeader(nil, op, len(payload)))
	for len(payload) > 0 && err == nil {
		limit := c.socket.budget.queueLimit()
		n := min(len(payload), max(limit/4, 1)) // leaves room for what others write
		c.socket.await(limit / 2)
		err = c.write(payload[:n])
		payload = payload[n:]
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.long = false
	c.socket.budget.dequeue(len(c.after))
	if err == nil && len(c.after) > 0 {
		err = c.write(c.after)
	}
	c.after = nil
	return err
}

func (c *Conn) write(p []byte) (err error) {
	if c.tls != nil {
		_, err = c.tls.Write(p)
	} else {
		_, err = c.socket.Write(p)
	}
	return err
}

// Close ends the connection at once, whatever is queued. (Closing a tls.Conn
// would wait for the client.)
func (c *Conn) Close() error { return c.socket.Close() }

// End closes the connection and waits until nobody writes to it any more. A close
// frame that is still queued has the given time to get out. (Nothing shuts down the
// sending side before: a browser that has not answered the close frame yet would
// report that the connection was lost.)
func (c *Conn) End(farewell time.Duration) {
	c.mu.Lock()
	leaving := c.ended
	if leaving && c.tls != nil {
		_ = c.tls.CloseWrite() // fails if the connection has ended, as it should
	}
	c.mu.Unlock()
	if leaving && c.Queued() {
		timer := time.AfterFunc(farewell, func() { _ = c.Close() })
		c.socket.flushing.Wait()
		timer.Stop()
	}
	_ = c.Close()
	c.socket.flushing.Wait()
}

// Queued reports whether something is queued that the kernel has not taken.
func (c *Conn) Queued() bool { return c.socket.queued() }

// Overrun reports whether the connection has ended because too much was queued.
func (c *Conn) Overrun() bool { return errors.Is(c.socket.ended(), errQueueFull) }

// Progress reports whether the client has taken something since the last call.
func (c *Conn) Progress() bool { return c.socket.progress() }

// Drained reports whether a slow client has taken so much that it can be offered
// what it could not take before.
func (c *Conn) Drained() bool { return c.socket.drained() }

// LeaveGate lets the next connection do its handshake (see gate). The caller has done
// the work that follows the upgrade.
func (c *Conn) LeaveGate() { c.socket.leave() }

// source is where the client's bytes come from.
func (c *Conn) source() net.Conn {
	if c.tls != nil {
		return c.tls
	}
	return c.socket.Conn
}

// Allow lets n more bytes be read. gorilla hides frames without payload, so
// that neither its limit nor a count of messages would see a million of them.
func (c *Conn) Allow(n int) { c.budget = n }

// Read reads from the client.
func (c *Conn) Read(p []byte) (n int, err error) {
	switch {
	case c.bad != nil:
		return 0, c.bad
	case len(c.early) > 0:
		n = copy(p, c.early)
		if c.early = c.early[n:]; len(c.early) == 0 {
			c.early = nil
		}
	case c.budget <= 0:
		return 0, ErrTooMuch
	default:
		n, err = c.source().Read(p)
		c.budget -= n
	}
	good, bad := c.frames.scan(p[:n])
	if bad != nil {
		c.bad = bad
		return good, bad
	}
	return n, err
}

// Buffered reports whether bytes have been received that Read has not returned yet.
func (c *Conn) Buffered() bool { return len(c.early) > 0 || c.read != nil && c.read.Buffered() > 0 }

// receiveTime is how long Receive waits for the client's next bytes: they have
// been received, so this is only how late the scheduler may be.
const receiveTime = 20 * time.Millisecond

// Receive buffers what the client has sent by now, limit bytes at most. Read
// returns it, and waits for nothing behind it.
func (c *Conn) Receive(limit int) {
	_ = c.SetReadDeadline(time.Now().Add(receiveTime))
	for len(c.early) < limit {
		n := len(c.early)
		b := slices.Grow(c.early, min(4<<10, limit-n))
		more, err := c.source().Read(b[n:min(cap(b), limit)])
		c.early = b[:n+more]
		if err != nil { // Read will find it too
			break
		}
	}
	_ = c.SetReadDeadline(time.Now())
}

// Pongs waits until the client sends something and returns how many answers to
// our pings that is. Anything else is 0, and left to the next Read; an error is the end.
// The goroutine of a client that only listens and could not be parked waits in it, so
// its stack must stay small.
func (c *Conn) Pongs() (int, error) {
	var b [4 * pongSize]byte
	n, err := c.source().Read(b[:])
	switch {
	case n == 0:
		return 0, err
	case !pongs(b[:n]):
		c.early = append(c.early, b[:n]...)
		return 0, nil
	}
	return n / pongSize, nil
}

// Drain reads and drops what the client still sends, limit bytes at most, until its
// close frame is in, or it hangs up.
func (c *Conn) Drain(limit int) {
	b := make([]byte, 512)
	c.budget, c.bad = limit, nil
	for !c.frames.closed() {
		if _, err := c.Read(b); err != nil {
			return
		}
	}
}

// LocalAddr is the gateway's address.
func (c *Conn) LocalAddr() net.Addr { return c.socket.LocalAddr() }

// RemoteAddr is the client's address.
func (c *Conn) RemoteAddr() net.Addr { return c.socket.RemoteAddr() }

// SetReadDeadline bounds how long Read waits. From then on the connection is not parked
// any more: see [Conn.Park].
func (c *Conn) SetReadDeadline(t time.Time) error {
	c.socket.hurry()
	return c.socket.SetReadDeadline(t)
}

// SetDeadline does nothing: gorilla calls it once, when there is none to lift.
func (c *Conn) SetDeadline(time.Time) error { return nil }

// SetWriteDeadline does nothing: no Write waits.
func (c *Conn) SetWriteDeadline(time.Time) error { return nil }
