package gateway

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"sensorgateway/gateway/inbox"
	"sensorgateway/wire"
)

// rawConn speaks to the server in bytes.
type rawConn struct {
	net.Conn
	*bufio.Reader
	t testing.TB
}

func (s *testServer) raw() rawConn {
	s.t.Helper()
	c, err := net.Dial("tcp", s.addr)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(patience))
	return rawConn{c, bufio.NewReader(c), s.t}
}

func (c rawConn) Read(p []byte) (int, error) { return c.Reader.Read(p) }

const handshake = "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
	"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"

// open sends a handshake, and more behind it in the same packet.
func (c rawConn) open(more ...byte) {
	c.t.Helper()
	if _, err := c.Write(append([]byte(handshake), more...)); err != nil {
		c.t.Fatal(err)
	}
	res, err := http.ReadResponse(c.Reader, nil)
	if err != nil || res.StatusCode != http.StatusSwitchingProtocols {
		c.t.Fatalf("%v %v", res, err)
	}
	if got := res.Header.Get("Sec-WebSocket-Accept"); got != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" { // RFC 6455, section 1.3
		c.t.Errorf("accept %q", got)
	}
}

// frame reads a frame.
func (c rawConn) frame() (op byte, payload []byte, err error) {
	var h [4]byte
	if _, err := io.ReadFull(c, h[:2]); err != nil {
		return 0, nil, err
	}
	n := int(h[1])
	if n == 126 {
		if _, err := io.ReadFull(c, h[2:]); err != nil {
			return 0, nil, err
		}
		n = int(binary.BigEndian.Uint16(h[2:]))
	}
	payload = make([]byte, n)
	_, err = io.ReadFull(c, payload)
	return h[0], payload, err
}

// masked returns a client's frame with a mask of zeros.
func masked(op byte, payload string) []byte {
	b := []byte{op, 0x80 | byte(len(payload))}
	if len(payload) > 125 {
		b = binary.BigEndian.AppendUint16([]byte{op, 0x80 | 126}, uint16(len(payload)))
	}
	return append(append(b, 0, 0, 0, 0), payload...)
}

func TestFramesFromTheWire(t *testing.T) {
	t.Parallel()
	s := start(t)
	for _, tt := range []struct {
		name string
		sent []byte
		code uint16
	}{
		{"unmasked", []byte{0x81, 0x01, 'x'}, 1002},
		{"RSV1", append([]byte{0xC1}, masked(0, "x")[1:]...), 1002},
		{"reserved opcode", masked(0x83, "x"), 1002},
		{"continuation without a start", masked(0x80, "x"), 1002},
		{"fragmented ping", masked(0x09, "x"), 1002},
		{"ping over 125", append([]byte{0x89, 0xFE, 0, 126, 0, 0, 0, 0}, make([]byte, 126)...), 1002},
		{"length with the top bit", []byte{0x81, 0xFF, 0x80, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0}, 1002},
		{"close with a bad code", masked(0x88, "\x03\xee"), 1002},
		{"too long", masked(0x81, strings.Repeat("x", 4097)), 1009},
		{"a length that is too long by far", []byte{0x81, 0xFF, 0, 0, 0, 0, 0, 1, 0, 1, 0, 0, 0, 0}, 1009},
		{"too long in fragments", append(masked(0x01, strings.Repeat("x", 4096)), masked(0x80, "x")...), 1009},
		{"code point split by the end", append(masked(0x01, "\xc3"), masked(0x80, "x")...), 1007},
		{"normal close", masked(0x88, "\x03\xe8bye"), 1000},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := s.raw()
			c.open()
			if _, err := c.Write(tt.sent); err != nil {
				t.Fatal(err)
			}
			op, payload, err := c.frame()
			if err != nil || op != 0x88 || len(payload) < 2 || binary.BigEndian.Uint16(payload) != tt.code {
				t.Fatalf("frame %x %q %v, want close %d", op, payload, err, tt.code)
			}
			closed := tt.sent[0] == 0x88 // by the client, so that the server ends at once
			if !closed {
				_, _ = c.Write(masked(0x88, ""))
			}
			// What arrives after the server's end resets the connection.
			if _, _, err := c.frame(); err != io.EOF && (closed || !errors.Is(err, syscall.ECONNRESET)) {
				t.Errorf("after the close frame: %v, want the end", err)
			}
		})
	}
}

// Nothing ends the connection before the client has answered the server's close
// frame: a browser would call it lost. The client has two seconds.
func TestCloseIsAnswered(t *testing.T) {
	t.Parallel()
	withAndWithoutTLS(t, func(t *testing.T, s *testServer) {
		t.Parallel()
		ends := func(answers bool) (took time.Duration) {
			t.Helper()
			begin := time.Now()
			c := s.dial("/nope")
			c.SetCloseHandler(func(int, string) error { return nil })
			c.wantClose(wire.ClosePolicy, "Unknown endpoint")
			raw := c.NetConn()
			_ = raw.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
			var timeout net.Error
			if _, err := raw.Read(make([]byte, 1)); !errors.As(err, &timeout) || !timeout.Timeout() {
				t.Fatalf("after the close frame: %v, want nothing yet", err)
			}
			if answers {
				if err := c.WriteControl(websocket.CloseMessage, nil, time.Now().Add(patience)); err != nil {
					t.Fatal(err)
				}
			}
			_ = raw.SetReadDeadline(time.Now().Add(patience))
			if _, err := raw.Read(make([]byte, 1)); err != io.EOF {
				t.Errorf("%v, want the end", err)
			}
			return time.Since(begin)
		}
		if took := ends(false); took < inbox.CloseTimeout {
			t.Errorf("without an answer it ended after %v", took)
		}
		soon(t, func() time.Duration { return ends(true) })
	})
}

// soon wants something to happen before the wait for a close frame ends: on a machine
// that is too busy for that, once of several times.
func soon(t *testing.T, happens func() (took time.Duration)) {
	t.Helper()
	took := happens()
	for n := 1; n < 5 && took >= inbox.CloseTimeout; n++ {
		took = happens()
	}
	if took >= inbox.CloseTimeout {
		t.Errorf("it took %v", took)
	}
}

// A client that has commanded is no operator any more from our close frame on, even if
// it does not answer that.
func TestCloseLosesTheOperator(t *testing.T) {
	m := &motors{}
	s := start(t, m.options)
	lost := 0
	soon(t, func() time.Duration {
		c := s.dial("/")
		c.ask(`{"type":"command","payload":{"action":"start","target":"motor_1"}}`)
		begin := time.Now()
		s.RestartStreams()
		lost++
		s.until("the operator is lost", func() bool {
			m.mu.Lock()
			defer m.mu.Unlock()
			return len(m.lost) == lost
		})
		return time.Since(begin)
	})
}

func TestControlFrames(t *testing.T) {
	s := start(t)
	c := s.raw()
	// In the same packet as the handshake, between the fragments of a message, which spells a code point in two.
	more := masked(0x01, "\"\xc3")
	more = append(more, masked(0x89, "are you there")...)
	more = append(more, masked(0x8A, "unasked")...)
	more = append(more, masked(0x80, "\xbc\"")...)
	c.open(more...)
	if op, payload, err := c.frame(); op != 0x8A || string(payload) != "are you there" || err != nil {
		t.Errorf("%x %q %v, want the pong", op, payload, err)
	}
	if op, payload, err := c.frame(); op != 0x81 || !strings.Contains(string(payload), "error") || err != nil {
		t.Errorf("%x %q %v, want the answer", op, payload, err)
	}
	s.joined()
	s.tick()
	if op, payload, err := c.frame(); op != 0x82 || len(payload) != wire.ReadingSize || err != nil {
		t.Errorf("%x %q %v, want a reading", op, payload, err)
	}
}

func TestHandshakesThatAreRefused(t *testing.T) {
	s := start(t)
	for _, tt := range []struct {
		name, from, to string
		status         int
	}{
		{"version 8", "Version: 13", "Version: 8", http.StatusUpgradeRequired},
		{"no key", "Sec-WebSocket-Key", "X-Key", http.StatusBadRequest},
		{"short key", "dGhlIHNhbXBsZSBub25jZQ==", "dGhl", http.StatusBadRequest},
		{"two keys", "Host: x", "Host: x\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", http.StatusBadRequest},
		{"POST", "GET", "POST", http.StatusMethodNotAllowed},
		{"HTTP/1.0", "HTTP/1.1", "HTTP/1.0", http.StatusHTTPVersionNotSupported},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := s.raw()
			if _, err := io.WriteString(c, strings.Replace(handshake, tt.from, tt.to, 1)); err != nil {
				t.Fatal(err)
			}
			res, err := http.ReadResponse(c.Reader, nil)
			if err != nil || res.StatusCode != tt.status {
				t.Errorf("%v %v, want status %d", res, err, tt.status)
			} else if allow := res.Header.Get("Allow"); (allow == "GET") != (tt.status == http.StatusMethodNotAllowed) {
				t.Errorf("%d with Allow: %q", tt.status, allow)
			}
		})
	}
}

// Compression is never negotiated.
func TestNoCompression(t *testing.T) {
	s := start(t)
	d := websocket.Dialer{EnableCompression: true}
	c, res, err := d.Dial("ws://"+s.addr+"/", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if e := res.Header.Get("Sec-WebSocket-Extensions"); e != "" {
		t.Errorf("extensions %q", e)
	}
}
