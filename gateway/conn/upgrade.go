package conn

import (
	"bufio"
	"crypto/tls"
	"net"
	"net/http"

	"github.com/gorilla/websocket"
)

const readBuffer = 288 // bytes; gorilla makes one of its own if it is not above 256

// Upgrade answers a request with the header and 101, or says why not. What the
// client sends is read from the first result, and written to the second.
func Upgrade(w http.ResponseWriter, r *http.Request, header http.Header) (*websocket.Conn, *Conn, error) {
	upgrader := websocket.Upgrader{
		WriteBufferPool: noBuffers{},
		CheckOrigin:     func(*http.Request) bool { return true }, // the caller has
	}
	h := &hijacker{ResponseWriter: w}
	ws, err := upgrader.Upgrade(h, r, header)
	return ws, h.conn, err
}

// noBuffers is gorilla's write buffer pool: its writer is never used, so it never
// needs one.
type noBuffers struct{}

func (noBuffers) Get() any { return nil }
func (noBuffers) Put(any)  {}

// hijacker gives gorilla a Conn in the socket's place.
type hijacker struct {
	http.ResponseWriter
	conn *Conn
}

func (h *hijacker) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	c, brw, err := http.NewResponseController(h.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	// A client in a hurry may have sent frames along with its request.
	var early []byte
	if n := brw.Reader.Buffered(); n > 0 {
		early = make([]byte, n)
		_, _ = brw.Reader.Read(early) // buffered: it cannot fail
	}
	if h.conn, err = connOf(c, early); err != nil {
		_ = c.Close()
		return nil, nil, err
	}
	h.conn.read = bufio.NewReaderSize(h.conn, readBuffer)
	return h.conn, bufio.NewReadWriter(h.conn.read, bufio.NewWriterSize(h.conn, 16)), nil
}

// connOf returns the Conn of a connection that HTTP has done with. early is what
// was read from it already.
func connOf(c net.Conn, early []byte) (*Conn, error) {
	secure, _ := c.(*tls.Conn)
	if secure != nil {
		c = secure.NetConn()
	}
	o := c.(*socket).conn // all connections come from a listener
	o.tls, o.early = secure, early
	return o, o.socket.upgrade()
}
