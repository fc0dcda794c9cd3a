package gateway

import (
	"errors"
	"net"
	"sync"
	"syscall"
	"time"
)

const (
	// queueLimit bounds what waits in our memory for one client.
	queueLimit = 32 << 10
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
	queue    []byte    // not yet taken by the socket; empty unless flusher
	flying   int       // bytes of it that the flusher holds
	flusher  bool      // runs
	moved    time.Time // when the socket last took something while it runs
	ended    bool      // a close frame was accepted
	err      error     // what ended it all
	skipped  int64     // bytes refused by offer
	early    []byte    // read from the client before the upgrade was done
}

func newOutbox(c net.Conn, early []byte) *outbox {
	o := &outbox{Conn: c, early: early}
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.SetWriteBuffer(sendBuffer) // a wish; the accounting below does not depend on it
	}
	o.useRaw()
	return o
}

// offer sends frames that are worth nothing later: it refuses them while
// earlier ones wait.
func (o *outbox) offer(frames []byte) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.flusher || o.ended || o.err != nil {
		o.skipped += int64(len(frames))
		return false
	}
	return o.send(frames) == nil
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
	case o.flying+len(o.queue)+len(frames) > queueLimit:
		o.fail(errQueueFull)
		return 0, o.err
	}
	if err := o.send(frames); err != nil {
		return 0, err
	}
	if frames[0] == opClose {
		o.ended = true
		if !o.flusher {
			o.hangUp()
		}
	}
	return len(frames), nil
}

// hangUp tells the client that nothing more will come; what it still sends can
// be read.
func (o *outbox) hangUp() {
	if c, ok := o.Conn.(interface{ CloseWrite() error }); ok {
		_ = c.CloseWrite() // if it is gone, so much the better
	}
}

// send gives the socket what it takes now and queues the rest. o.mu is held.
func (o *outbox) send(frames []byte) error {
	if !o.flusher {
		n, err := o.tryWrite(frames)
		if err != nil {
			o.fail(err)
			return err
		}
		if frames = frames[n:]; len(frames) == 0 {
			return nil
		}
		o.flusher, o.moved = true, time.Now()
		o.flushing.Go(o.flush)
	}
	o.queue = append(o.queue, frames...)
	return nil
}

// flush brings what waits to the socket and ends when nothing does. It blocks
// as long as the client does not read; closing the connection ends it.
func (o *outbox) flush() {
	var flying []byte
	for {
		o.mu.Lock()
		o.moved = time.Now()
		n := min(len(o.queue), chunk)
		if n == 0 || o.err != nil {
			if o.ended {
				o.hangUp()
			}
			o.queue, o.flying, o.flusher = nil, 0, false
			o.mu.Unlock()
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

// fail ends the connection, and with it its reader and its flusher. o.mu is held.
func (o *outbox) fail(err error) {
	if o.err == nil {
		o.err = err
		_ = o.Conn.Close()
	}
}

// Close ends the connection at once, whatever waits.
func (o *outbox) Close() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.fail(net.ErrClosed)
	return nil
}

// end closes and waits until nobody writes any more.
func (o *outbox) end() {
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

// Read reads from the client.
func (o *outbox) Read(p []byte) (int, error) {
	if len(o.early) > 0 {
		n := copy(p, o.early)
		if o.early = o.early[n:]; len(o.early) == 0 {
			o.early = nil
		}
		return n, nil
	}
	return o.Conn.Read(p)
}

// SetDeadline and SetWriteDeadline do nothing: no write waits, and a deadline
// that gorilla left behind would fail the flusher.
func (o *outbox) SetDeadline(time.Time) error      { return nil }
func (o *outbox) SetWriteDeadline(time.Time) error { return nil }
