package gateway

import (
	"bufio"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"sync"
	"time"
)

var (
	errAfterEnd = errors.New("connection is closing: nothing follows a close frame")
	errTooMuch  = errors.New("too many bytes for one message")
)

// outbox is the one way to a client, for gorilla (to which it is the net.Conn)
// and for us: each Write is one or more whole frames, no Write waits, and nothing
// follows a close frame. So frames of different origin are never torn and keep
// their order, and a client that does not read delays nobody.
//
// As long as the client takes everything, a frame costs the one system call; with
// TLS, the encryption too.
type outbox struct {
	// What a tick looks at comes first, in one line of the processor's cache.
	mu     sync.Mutex
	tls    *tls.Conn // above the socket; nil without TLS
	long   bool      // a long message is under way: others' frames must not come between
	ended  bool      // a close frame was accepted
	socket socket

	session *session // whose it is, once there is one
	after   []byte   // waits for the end of the long message

	// The reading side, its goroutine's own.
	read   *bufio.Reader // gorilla's
	early  []byte        // read from the client before the upgrade was done
	budget int           // bytes that may still be read for the message under way; see allow
	frames scanner       // of what was read
	bad    error         // what it found
}

// listener makes each of its connections the socket of an outbox.
type listener struct {
	net.Listener
	gate gate
}

func (l listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	o := new(outbox)
	o.socket.Conn, o.socket.outbox, o.socket.gate = c, o, l.gate
	return &o.socket, nil
}

// outboxOf returns the outbox of a connection that HTTP has done with. early is
// what was read from it already.
func outboxOf(c net.Conn, early []byte) (*outbox, error) {
	secure, _ := c.(*tls.Conn)
	if secure != nil {
		c = secure.NetConn()
	}
	o := c.(*socket).outbox // all connections come from a listener
	o.tls, o.early = secure, early
	return o, o.socket.upgrade()
}

// offer sends frames that may be left out: it refuses them, whole, if the client
// is slow.
func (o *outbox) offer(frames []byte) (taken bool) {
	o.mu.Lock()
	switch {
	case o.ended || o.long:
	case o.tls == nil:
		taken = o.socket.offer(frames)
	case o.socket.ready(secured(len(frames))):
		_, err := o.tls.Write(frames)
		taken = err == nil
	}
	o.mu.Unlock()
	return taken
}

// secured bounds what TLS makes of n bytes: records of 1,000 bytes and more, each
// with a header, an initialisation vector, a MAC and padding (RFC 5246).
func secured(n int) int { return n + (n/1000+1)*(5+16+48+16) }

// Write sends frames that must arrive. It fails when too much waits already,
// which ends the connection.
func (o *outbox) Write(frames []byte) (int, error) {
	if len(frames) == 0 {
		return 0, nil
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.ended {
		return 0, errAfterEnd
	}
	o.ended = frames[0] == opClose
	if o.long {
		if len(o.after)+len(frames) > queueLimit {
			_ = o.Close()
			return 0, errQueueFull
		}
		o.after = append(o.after, frames...)
		return len(frames), nil
	}
	if err := o.put(frames); err != nil {
		return 0, err
	}
	return len(frames), nil
}

// writeLong sends a frame of any length and waits as long as the client takes
// it. One goroutine does it; what others write meanwhile follows the frame.
func (o *outbox) writeLong(op byte, payload []byte) error {
	o.mu.Lock()
	if o.ended {
		o.mu.Unlock()
		return errAfterEnd
	}
	o.long = true
	o.mu.Unlock()
	err := o.write(appendHeader(nil, op, len(payload)))
	for len(payload) > 0 && err == nil {
		n := min(len(payload), queueLimit/4) // leaves room for what others write
		o.socket.await(queueLimit / 2)
		err = o.write(payload[:n])
		payload = payload[n:]
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.long = false
	if err == nil && len(o.after) > 0 {
		err = o.put(o.after)
	}
	o.after = nil
	return err
}

// put gives whole frames to the socket, and hangs up after the last one. o.mu is
// held.
func (o *outbox) put(frames []byte) error {
	if err := o.write(frames); err != nil || !o.ended {
		return err
	}
	if o.tls != nil {
		_ = o.tls.CloseWrite() // if it is gone, so much the better
	}
	_ = o.socket.CloseWrite() // it never says anything
	return nil
}

func (o *outbox) write(p []byte) (err error) {
	if o.tls != nil {
		_, err = o.tls.Write(p)
	} else {
		_, err = o.socket.Write(p)
	}
	return err
}

// Close ends the connection at once, whatever waits. (To close a tls.Conn would
// be to wait for it.)
func (o *outbox) Close() error { return o.socket.Close() }

// end closes and waits until nobody writes any more. A close frame that still
// waits has a little time to get out.
func (o *outbox) end() {
	o.mu.Lock()
	leaving := o.ended
	o.mu.Unlock()
	if leaving && o.socket.waits() {
		timer := time.AfterFunc(farewellTime, func() { _ = o.Close() })
		o.socket.flushing.Wait()
		timer.Stop()
	}
	_ = o.Close()
	o.socket.flushing.Wait()
}

// conn is where the client's bytes come from.
func (o *outbox) conn() net.Conn {
	if o.tls != nil {
		return o.tls
	}
	return o.socket.Conn
}

// allow lets n more bytes be read. gorilla hides frames without payload, so
// that neither its limit nor a count of messages would see a million of them.
func (o *outbox) allow(n int) { o.budget = n }

// Read reads from the client.
func (o *outbox) Read(p []byte) (n int, err error) {
	switch {
	case o.bad != nil:
		return 0, o.bad
	case len(o.early) > 0:
		n = copy(p, o.early)
		if o.early = o.early[n:]; len(o.early) == 0 {
			o.early = nil
		}
	case o.budget <= 0:
		return 0, errTooMuch
	default:
		n, err = o.conn().Read(p)
		o.budget -= n
	}
	good, bad := o.frames.scan(p[:n])
	if bad != nil {
		o.bad = bad
		return good, bad
	}
	return n, err
}

// more tells whether a message may be read without waiting for the socket. With
// TLS, nobody knows.
func (o *outbox) more() bool {
	return o.tls != nil || len(o.early) > 0 || o.read.Buffered() > 0
}

// drain reads and forgets what the client still sends until it hangs up.
func (o *outbox) drain(limit int64) {
	_, _ = io.Copy(io.Discard, io.LimitReader(o.conn(), limit))
}

func (o *outbox) LocalAddr() net.Addr               { return o.socket.LocalAddr() }
func (o *outbox) RemoteAddr() net.Addr              { return o.socket.RemoteAddr() }
func (o *outbox) SetReadDeadline(t time.Time) error { return o.socket.SetReadDeadline(t) }
func (o *outbox) SetDeadline(time.Time) error       { return nil } // gorilla's, which has no need of it
func (o *outbox) SetWriteDeadline(time.Time) error  { return nil }
