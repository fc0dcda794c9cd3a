package gateway

import (
	"errors"
	"io"
	"net"
	"sync"
	"syscall"
	"time"
)

const (
	// queueLimit bounds what waits in our memory for one client.
	queueLimit = 32 << 10
	// offerLimit is how much may wait where there are no non-blocking writes: more
	// is slow.
	offerLimit = 16 << 10
	// sendBuffer bounds what waits in the kernel's: by default that is hundreds
	// of kilobytes, minutes of readings that nobody has seen.
	sendBuffer = 16 << 10
	// chunk is what the flusher gives to the socket at a time, so that a client
	// that takes little is not mistaken for one that takes nothing.
	chunk = 4 << 10
)

var (
	errQueueFull = errors.New("client takes too little: its queue is full")
	errAfterEnd  = errors.New("connection is closing: nothing follows a close frame")
	errTooMuch   = errors.New("too many bytes for one message")
)

// outbox is the one way to a client's socket, for gorilla (to which it is the
// net.Conn) and for us: each Write is one or more whole frames, no Write waits,
// and nothing follows a close frame. So frames of different origin are never
// torn and keep their order, and a client that does not read delays nobody.
//
// As long as the socket takes everything, a frame costs the one system call. What
// it does not take waits here, and a goroutine that lives only while something
// waits brings it after.
type outbox struct {
	net.Conn
	raw syscall.RawConn // nil where there are no non-blocking writes
	try func(fd uintptr) bool

	mu    sync.Mutex
	p     []byte // try's argument
	n     int    // and results
	errno error

	flushing sync.WaitGroup
	queue    []byte     // not yet taken by the socket; empty unless flusher
	flying   int        // bytes of it that the flusher holds
	flusher  bool       // runs
	moved    time.Time  // when the socket last took something while it runs
	room     *sync.Cond // told when the queue gets shorter; nil unless somebody writes long messages
	long     bool       // a long message is under way: others' frames must not come between
	after    []byte     // and wait here
	ended    bool       // a close frame was accepted
	err      error      // what ended it all

	// The reading side, its goroutine's own.
	early  []byte  // read from the client before the upgrade was done
	budget int     // bytes that may still be read for the message under way; see allow
	frames scanner // of what was read
	bad    error   // what it found
}

func newOutbox(c net.Conn, early []byte) *outbox {
	o := &outbox{Conn: c, early: early}
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.SetWriteBuffer(sendBuffer) // a wish; the accounting below does not depend on it
	}
	o.useRaw()
	return o
}

// offer sends frames that may be left out: it refuses them, whole, if the socket
// takes nothing of them now. What it takes the beginning of is completed.
func (o *outbox) offer(frames []byte) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.ended || o.err != nil || o.long {
		return false
	}
	if o.raw == nil { // the flusher is the only way, so let it have some
		waits := o.flying + len(o.queue)
		return (waits == 0 || waits+len(frames) <= offerLimit) && o.send(frames) == nil
	}
	if o.flusher {
		return false
	}
	n, err := o.tryWrite(frames)
	if err != nil {
		o.fail(err)
		return false
	}
	if n > 0 && n < len(frames) {
		o.wait(frames[n:])
	}
	return n > 0
}

// Write sends frames that must arrive. It fails when too much waits already,
// which ends the connection.
func (o *outbox) Write(frames []byte) (int, error) {
	if len(frames) == 0 {
		return 0, nil
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case o.err != nil:
		return 0, o.err
	case o.ended:
		return 0, errAfterEnd
	case o.flying+len(o.queue)+len(o.after)+len(frames) > queueLimit:
		o.fail(errQueueFull)
		return 0, o.err
	}
	o.ended = frames[0] == opClose
	if o.long {
		o.after = append(o.after, frames...)
		return len(frames), nil
	}
	if err := o.send(frames); err != nil {
		return 0, err
	}
	if o.ended && !o.flusher {
		o.hangUp()
	}
	return len(frames), nil
}

// writeLong sends a frame of any length and waits as long as the client takes
// it. One goroutine does it; what others write meanwhile follows the frame.
func (o *outbox) writeLong(op byte, payload []byte) error {
	header := appendHeader(nil, op, len(payload))
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.room == nil {
		o.room = sync.NewCond(&o.mu)
	}
	o.long = true
	_ = o.send(header) // its error is o.err
	for len(payload) > 0 {
		for o.err == nil && o.flying+len(o.queue) > queueLimit/2 {
			o.room.Wait()
		}
		if o.err != nil {
			break
		}
		n := min(len(payload), queueLimit/4) // leaves room for what others write
		if o.send(payload[:n]) != nil {
			break
		}
		payload = payload[n:]
	}
	o.long = false
	if o.err == nil && len(o.after) > 0 {
		_ = o.send(o.after) // its error is o.err
		if o.ended && !o.flusher {
			o.hangUp()
		}
	}
	o.after = nil
	return o.err
}

// send gives the socket what it takes now and queues the rest. o.mu is held.
func (o *outbox) send(frames []byte) error {
	if !o.flusher {
		n, err := o.tryWrite(frames)
		if err != nil {
			o.fail(err)
			return err
		}
		frames = frames[n:]
	}
	o.wait(frames)
	return nil
}

// wait queues what the socket did not take. o.mu is held.
func (o *outbox) wait(frames []byte) {
	if len(frames) == 0 {
		return
	}
	o.queue = append(o.queue, frames...)
	if !o.flusher {
		o.flusher, o.moved = true, time.Now()
		o.flushing.Go(o.flush)
	}
}

// flush brings what waits to the socket and ends when nothing does. It blocks
// as long as the client does not read; closing the connection ends it.
func (o *outbox) flush() {
	var flying []byte
	for {
		o.mu.Lock()
		o.moved = time.Now()
		o.flying = 0
		if o.room != nil {
			o.room.Broadcast()
		}
		n := min(len(o.queue), chunk)
		if n == 0 || o.err != nil {
			o.queue, o.flusher = nil, false
			hangUp := o.ended && !o.long
			o.mu.Unlock()
			if hangUp {
				o.hangUp()
			}
			return
		}
		flying = append(flying[:0], o.queue[:n]...)
		o.queue = o.queue[:copy(o.queue, o.queue[n:])]
		o.flying = n
		o.mu.Unlock()
		if _, err := o.Conn.Write(flying); err != nil {
			o.mu.Lock()
			o.fail(err)
			o.mu.Unlock()
		}
	}
}

// hangUp tells the client that nothing more will come; what it still sends can
// be read. (With TLS it may wait; then only the flusher calls it.)
func (o *outbox) hangUp() {
	if c, ok := o.Conn.(interface{ CloseWrite() error }); ok {
		_ = c.CloseWrite() // if it is gone, so much the better
	}
}

// fail ends the connection, and with it its reader and its flusher. o.mu is held.
func (o *outbox) fail(err error) {
	if o.err == nil {
		o.err = err
		c := o.Conn
		if t, ok := c.(interface{ NetConn() net.Conn }); ok {
			c = t.NetConn() // closing a tls.Conn may wait to say so
		}
		_ = c.Close()
		if o.room != nil {
			o.room.Broadcast()
		}
	}
}

// Close ends the connection at once, whatever waits.
func (o *outbox) Close() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.fail(net.ErrClosed)
	return nil
}

// end closes and waits until nobody writes any more. A close frame that still
// waits has a little time to get out.
func (o *outbox) end() {
	o.mu.Lock()
	leaving := o.ended && o.flusher && o.err == nil
	o.mu.Unlock()
	if leaving {
		timer := time.AfterFunc(farewellTime, func() { _ = o.Close() })
		o.flushing.Wait()
		timer.Stop()
	}
	_ = o.Close()
	o.flushing.Wait()
}

// stalled returns how long the socket has taken nothing although something waits.
func (o *outbox) stalled(now time.Time) time.Duration {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.flusher {
		return 0
	}
	return now.Sub(o.moved)
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
		o.early = o.early[n:]
	case o.budget <= 0:
		return 0, errTooMuch
	default:
		n, err = o.Conn.Read(p)
		o.budget -= n
	}
	good, bad := o.frames.scan(p[:n])
	if bad != nil {
		o.bad = bad
		return good, bad
	}
	return n, err
}

// drain reads and forgets what the client still sends until it hangs up.
func (o *outbox) drain(limit int64) {
	_, _ = io.Copy(io.Discard, io.LimitReader(o.Conn, limit))
}

// SetDeadline and SetWriteDeadline do nothing: no write waits, and a deadline
// that gorilla left behind would fail the flusher.
func (o *outbox) SetDeadline(time.Time) error      { return nil }
func (o *outbox) SetWriteDeadline(time.Time) error { return nil }
