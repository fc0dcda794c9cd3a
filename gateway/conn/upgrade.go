package conn

import (
	"bufio"
	"crypto/tls"
	"net"
	"net/http"

	"github.com/gorilla/websocket"
)

const readBuffer = 288 // bytes; gorilla makes one of its own if it is not above 256

// upgrader has no buffers of its own, and leaves the origin to the caller.
var upgrader = websocket.Upgrader{
	WriteBufferPool: noBuffers{},
	CheckOrigin:     func(*http.Request) bool { return true },
}

// Upgrade answers a request with 101 and the header, or says why not. The first result
// reads what the client sends, the second sends to the client.
func Upgrade(w http.ResponseWriter, r *http.Request, header http.Header) (*websocket.Conn, *Conn, error) {
	h := &hijacker{ResponseWriter: w}
	ws, err := upgrader.Upgrade(h, r, header)
	return ws, h.conn, err
}

// Reader makes a new reader of messages, in place of the one that [Conn.Park] has let
// go: that takes several times the memory of all else that is known of a client.
func (c *Conn) Reader() *websocket.Conn {
	ws, err := upgrader.Upgrade(&renewal{conn: c}, upgraded, nil)
	if err != nil {
		panic(err) // the request is a constant, and the answer is not sent
	}
	return ws
}

// upgraded is the request that gorilla wants to see before it reads.
var upgraded = &http.Request{Method: http.MethodGet, Header: http.Header{
	"Connection": {"Upgrade"}, "Upgrade": {"websocket"}, "Sec-Websocket-Version": {"13"},
	"Sec-Websocket-Key": {"dGhlIHNhbXBsZSBub25jZQ=="}, // of RFC 6455, section 1.3
}}

// renewal lets gorilla upgrade once more a connection that has been upgraded: gorilla's
// first write is its answer, which the client has got already.
type renewal struct {
	http.ResponseWriter // gorilla only asks it to hijack
	conn                *Conn
}

func (r *renewal) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	c := &answered{Conn: r.conn}
	return c, r.conn.buffered(c), nil
}

// answered is a Conn that drops the first write.
type answered struct {
	*Conn
	dropped bool
}

func (a *answered) Write(p []byte) (int, error) {
	if !a.dropped {
		a.dropped = true
		return len(p), nil
	}
	return a.Conn.Write(p)
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
	return h.conn, h.conn.buffered(h.conn), nil
}

// buffered returns the buffers through which gorilla reads, and writes its answer to
// the handshake.
func (c *Conn) buffered(to net.Conn) *bufio.ReadWriter {
	c.read = bufio.NewReaderSize(c, readBuffer)
	return bufio.NewReadWriter(c.read, bufio.NewWriterSize(to, 16))
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
