package e2e

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// RFC 6455 from the wire, section by section, against the real binary: bytes in,
// frames out. A case either gets frames back or is closed with a code.
type wsCase struct {
	section, name string
	path          string
	sent          []byte
	want          [][]byte // frames, as bytes
	code          int      // of the close frame that follows; 0: none, and a ping is still answered
}

// wsFrame makes a client's frame. Its mask is not zero, so that unmasking is seen.
func wsFrame(first byte, payload string) []byte {
	b := []byte{first}
	switch n := len(payload); {
	case n < 126:
		b = append(b, 0x80|byte(n))
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, 0x80|126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 0x80|127), uint64(n))
	}
	mask := [4]byte{0x37, 0xFA, 0x21, 0x3D} // section 5.7
	b = append(b, mask[:]...)
	for i := range len(payload) {
		b = append(b, payload[i]^mask[i%4])
	}
	return b
}

// serverFrame is a frame as a server sends it.
func serverFrame(first byte, payload string) []byte {
	b := wsFrame(first, payload)
	head := len(b) - len(payload) - 4
	b[1] &^= 0x80
	return append(b[:head:head], payload...)
}

const (
	cont, text, bin, closing, ping, pong = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
	fin                                  = 0x80
)

func closePayload(code int, reason string) string {
	return string(binary.BigEndian.AppendUint16(nil, uint16(code))) + reason
}

func join(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

func wsCases() (cases []wsCase) {
	add := func(section, name string, sent []byte, code int, want ...[]byte) {
		cases = append(cases, wsCase{section, name, "/echo", sent, want, code})
	}
	// 5.1: what a client sends is masked.
	for _, op := range []byte{text, bin, closing, ping, pong} {
		add("5.1", fmt.Sprintf("unmasked opcode %x", op), serverFrame(fin|op, ""), 1002)
		add("5.1", fmt.Sprintf("unmasked opcode %x with payload", op), serverFrame(fin|op, "xx"), 1002)
	}
	// 5.2: reserved bits and opcodes.
	for rsv := byte(1); rsv < 8; rsv++ {
		for _, op := range []byte{text, bin, ping, pong, closing} {
			add("5.2", fmt.Sprintf("RSV %03b with opcode %x", rsv, op), wsFrame(fin|rsv<<4|op, ""), 1002)
		}
	}
	for _, op := range []byte{3, 4, 5, 6, 7, 0xB, 0xC, 0xD, 0xE, 0xF} {
		add("5.2", fmt.Sprintf("reserved opcode %x", op), wsFrame(fin|op, "x"), 1002)
		add("5.2", fmt.Sprintf("reserved opcode %x after a message", op), join(wsFrame(fin|text, "a"), wsFrame(fin|op, "")), 1002,
			serverFrame(fin|text, "a"))
	}
	// 5.2: lengths in all three encodings, around their borders.
	for _, n := range []int{0, 1, 2, 124, 125, 126, 127, 128, 65535, 65536, 65537, 1 << 20} {
		for _, op := range []byte{text, bin} {
			p := strings.Repeat("*", n)
			add("5.2", fmt.Sprintf("%d bytes, opcode %x", n, op), wsFrame(fin|op, p), 0, serverFrame(fin|op, p))
		}
	}
	add("5.2", "length with the top bit set", []byte{fin | bin, 0xFF, 0x80, 0, 0, 0, 0, 0, 0, 1, 1, 2, 3, 4}, 1002)
	add("5.2", "length of all ones", []byte{fin | bin, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 1, 2, 3, 4}, 1002)
	add("5.2", "masked bytes come back as they were", wsFrame(fin|bin, string([]byte{0, 0x37, 0xFA, 0x21, 0x3D, 0xFF, 1})), 0,
		serverFrame(fin|bin, string([]byte{0, 0x37, 0xFA, 0x21, 0x3D, 0xFF, 1})))

	// 5.4: fragments, with control frames between them.
	for _, op := range []byte{text, bin} {
		for _, parts := range [][]string{{"a", "b"}, {"", "b"}, {"a", ""}, {"", ""}, {"a", "b", "c"}, {"", "a", "", "b", ""},
			{strings.Repeat("x", 125), strings.Repeat("y", 126)}, {strings.Repeat("x", 65535), "y", strings.Repeat("z", 65536)}} {
			whole := serverFrame(fin|op, strings.Join(parts, ""))
			var plain, pinged, ponged []byte
			var pongs [][]byte
			for i, p := range parts {
				first := byte(cont)
				if i == 0 {
					first = op
				}
				if i == len(parts)-1 {
					first |= fin
				}
				plain = append(plain, wsFrame(first, p)...)
				pinged = append(pinged, wsFrame(first, p)...)
				ponged = append(ponged, wsFrame(first, p)...)
				if i < len(parts)-1 {
					pinged = append(pinged, wsFrame(fin|ping, fmt.Sprint(i))...)
					pongs = append(pongs, serverFrame(fin|pong, fmt.Sprint(i)))
					ponged = append(ponged, wsFrame(fin|pong, "unasked")...)
				}
			}
			name := fmt.Sprintf("opcode %x in %d fragments of %d bytes", op, len(parts), len(whole))
			add("5.4", name, plain, 0, whole)
			add("5.4", name+", pings between", pinged, 0, append(pongs, whole)...)
			add("5.4", name+", pongs between", ponged, 0, whole)
		}
		add("5.4", fmt.Sprintf("opcode %x of 100 fragments of one byte", op),
			join(wsFrame(op, "x"), bytes.Repeat(wsFrame(cont, "x"), 98), wsFrame(fin|cont, "x")), 0, serverFrame(fin|op, strings.Repeat("x", 100)))
		for _, next := range []byte{text, bin} {
			add("5.4", fmt.Sprintf("opcode %x within a message of opcode %x", next, op), join(wsFrame(op, "a"), wsFrame(fin|next, "b")), 1002)
			add("5.4", fmt.Sprintf("unfinished opcode %x within a message of opcode %x", next, op), join(wsFrame(op, "a"), wsFrame(next, "b")), 1002)
		}
		add("5.4", fmt.Sprintf("continuation after a whole message of opcode %x", op), join(wsFrame(fin|op, "a"), wsFrame(fin|cont, "b")), 1002,
			serverFrame(fin|op, "a"))
		add("5.4", fmt.Sprintf("close within a message of opcode %x", op), join(wsFrame(op, "a"), wsFrame(fin|closing, closePayload(1000, ""))), 1000)
	}
	for _, first := range []byte{cont, fin | cont} {
		for _, p := range []string{"", "x"} {
			add("5.4", fmt.Sprintf("continuation %02x %q without a start", first, p), wsFrame(first, p), 1002)
		}
	}

	// 5.5: control frames.
	for _, op := range []byte{closing, ping, pong} {
		add("5.5", fmt.Sprintf("fragmented opcode %x", op), wsFrame(op, ""), 1002)
		add("5.5", fmt.Sprintf("opcode %x with 126 bytes", op), wsFrame(fin|op, strings.Repeat("\x03\xe8", 63)), 1002)
		add("5.5", fmt.Sprintf("opcode %x with 70000 bytes", op), wsFrame(fin|op, strings.Repeat("\x03\xe8", 35000)), 1002)
	}
	for _, p := range []string{"", "x", "ping", "\x00\xff\xfe\x80", strings.Repeat("p", 124), strings.Repeat("p", 125)} {
		add("5.5.2", fmt.Sprintf("ping of %d bytes", len(p)), wsFrame(fin|ping, p), 0, serverFrame(fin|pong, p))
		add("5.5.3", fmt.Sprintf("unasked pong of %d bytes", len(p)), join(wsFrame(fin|pong, p), wsFrame(fin|text, "on")), 0, serverFrame(fin|text, "on"))
	}
	var pings []byte
	var pongs [][]byte
	for i := range 10 {
		pings = append(pings, wsFrame(fin|ping, fmt.Sprint(i))...)
		pongs = append(pongs, serverFrame(fin|pong, fmt.Sprint(i)))
	}
	add("5.5.2", "ten pings at once", pings, 0, pongs...)

	// 7.4 and 5.5.1: close codes and reasons.
	for _, code := range []int{1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999} {
		add("7.4", fmt.Sprintf("close %d", code), wsFrame(fin|closing, closePayload(code, "")), code)
		add("7.4", fmt.Sprintf("close %d with a reason", code), wsFrame(fin|closing, closePayload(code, "why: κόσμε")), code)
	}
	for _, code := range []int{0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535} {
		add("7.4", fmt.Sprintf("close %d", code), wsFrame(fin|closing, closePayload(code, "")), 1002)
	}
	add("5.5.1", "close without a code", wsFrame(fin|closing, ""), 1005)
	add("5.5.1", "close of one byte", wsFrame(fin|closing, "\x03"), 1002)
	add("5.5.1", "reason of 123 bytes", wsFrame(fin|closing, closePayload(1000, strings.Repeat("r", 123))), 1000)
	add("5.5.1", "reason of 124 bytes", wsFrame(fin|closing, closePayload(1000, strings.Repeat("r", 124))), 1002)
	add("5.5.1", "reason that is not UTF-8", wsFrame(fin|closing, closePayload(1000, "\xce\xba\xe1\xbd")), 1002)
	add("5.5.1", "what follows a close is not answered", join(wsFrame(fin|text, "a"), wsFrame(fin|closing, closePayload(1000, "")),
		wsFrame(fin|text, "b"), wsFrame(fin|ping, "c")), 1000, serverFrame(fin|text, "a"))
	add("5.5.1", "two closes", bytes.Repeat(wsFrame(fin|closing, closePayload(1001, "")), 2), 1001)

	// 8.1: text is UTF-8 (RFC 3629), wherever it is cut.
	for _, s := range []string{"κόσμε", "Hello-µ@ßöäüàá-UTF-8!!", "\x00", "\x7f", "\u0080", "\u07ff", "\u0800", "\ud7ff", "\ue000", "\ufffd", "\uffff",
		"\U00010000", "\U0010ffff", "\U0001f600é中", "\ufeffbom"} {
		add("8.1", fmt.Sprintf("text %q", s), wsFrame(fin|text, s), 0, serverFrame(fin|text, s))
		add("8.1", fmt.Sprintf("text %q, a fragment a byte", s), bytewise(s), 0, serverFrame(fin|text, s))
	}
	for _, s := range []string{"\x80", "\xbf", "\x80\xbf", "\xc0\x80", "\xc1\xbf", "\xe0\x80\xaf", "\xe0\x9f\xbf", "\xf0\x80\x80\xaf", "\xf0\x8f\xbf\xbf",
		"\xf8\x88\x80\x80\x80", "\xfc\x84\x80\x80\x80\x80", "\xed\xa0\x80", "\xed\xad\xbf", "\xed\xbf\xbf", "\xed\xa0\x80\xed\xb0\x80", "\xf4\x90\x80\x80",
		"\xf7\xbf\xbf\xbf", "\xfe", "\xff", "\xc3", "\xe2\x82", "\xf0\x9f\x98", "κόσμε\xed\xa0\x80edited", "a\xc3(", "\xe2\x28\xa1", "ok\xf0\x28\x8c\xbc"} {
		add("8.1", fmt.Sprintf("not UTF-8: % x", s), wsFrame(fin|text, s), 1007)
		add("8.1", fmt.Sprintf("not UTF-8, a fragment a byte: % x", s), bytewise(s), 1007)
	}
	add("8.1", "binary may be anything", wsFrame(fin|bin, "\xff\xfe\xc0"), 0, serverFrame(fin|bin, "\xff\xfe\xc0"))

	// wire/README.md, "The connection": limits.
	on := func(path, name string, sent []byte, code int, want ...[]byte) {
		cases = append(cases, wsCase{"limits", name + " on " + path, path, sent, want, code})
	}
	for _, path := range []string{"/relay", "/chat", "/nope/../relay"} {
		if path == "/relay" {
			on(path, "4096 bytes", wsFrame(fin|text, strings.Repeat("x", 4096)), 0)
		}
		code := 1009
		if strings.Contains(path, "nope") {
			code = 1008
		}
		on(path, "4097 bytes", wsFrame(fin|text, strings.Repeat("x", 4097)), code)
		on(path, "4097 bytes in two fragments", join(wsFrame(text, strings.Repeat("x", 4096)), wsFrame(fin|cont, "x")), code)
	}
	on("/chat", "binary", wsFrame(fin|bin, "x"), 1003)
	on("/relay", "binary", wsFrame(fin|bin, "x"), 0)
	on("/echo", "16 MiB and a byte", []byte{fin | bin, 0xFF, 0, 0, 0, 0, 1, 0, 0, 1, 1, 2, 3, 4}, 1009)
	on("/relay", "a length of 2^63-1", []byte{fin | bin, 0xFF, 0x7F, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 1, 2, 3, 4}, 1009)
	on("/relay", "50,000 empty continuations", join(wsFrame(text, ""), bytes.Repeat(wsFrame(cont, ""), 50_000)), 1008)
	on("/relay", "21 messages at once", bytes.Repeat(wsFrame(fin|text, "x"), 21), 1008)
	on("/relay", "21 pings at once", bytes.Repeat(wsFrame(fin|ping, ""), 21), 1008, slices.Repeat([][]byte{serverFrame(fin|pong, "")}, 20)...)
	on("/nope", "an unknown endpoint", nil, 1008)
	return cases
}

// bytewise cuts a text into frames of a byte.
func bytewise(s string) (frames []byte) {
	for i := range len(s) {
		first := byte(cont)
		if i == 0 {
			first = text
		}
		if i == len(s)-1 {
			first |= fin
		}
		frames = append(frames, wsFrame(first, s[i:i+1])...)
	}
	return frames
}

func TestRFC6455(t *testing.T) {
	t.Parallel()
	p := startGateway(t, buildGateway(t), "--simulate", "--listen", "127.0.0.1:0")
	address := strings.TrimSuffix(strings.TrimPrefix(p.URL, "ws://"), "/")
	cases := wsCases()
	for _, tt := range cases {
		t.Run(tt.section+" "+tt.name, func(t *testing.T) {
			if err := tt.run(address); err != nil {
				t.Error(err)
			}
		})
	}
	n := len(cases) + handshakes(t, address)
	if n < 250 {
		t.Errorf("%d cases, want 250 at least", n)
	}
	t.Logf("%d cases", n)
}

func (tt wsCase) run(address string) error {
	c, err := wsOpen(address, tt.path)
	if err != nil {
		return err
	}
	defer c.Close()
	sent := tt.sent
	if tt.code == 0 { // the connection is still there
		sent = append(sent[:len(sent):len(sent)], wsFrame(fin|ping, "still there")...)
		tt.want = append(tt.want[:len(tt.want):len(tt.want)], serverFrame(fin|pong, "still there"))
	}
	written := make(chan error, 1)
	go func() { _, err := c.Write(sent); written <- err }() // may fail where the case wants an early close
	defer func() { _ = c.Close(); <-written }()
	for i, want := range tt.want {
		got := make([]byte, len(want))
		if _, err := io.ReadFull(c, got); err != nil {
			return fmt.Errorf("frame %d: %w", i, err)
		}
		if !bytes.Equal(got, want) {
			return fmt.Errorf("frame %d: got % x…, want % x…", i, got[:min(len(got), 20)], want[:min(len(want), 20)])
		}
	}
	if tt.code == 0 {
		return nil
	}
	head := make([]byte, 2)
	if _, err := io.ReadFull(c, head); err != nil || head[0] != fin|closing || head[1] > 125 {
		return fmt.Errorf("got % x %v, want a close frame", head, err)
	}
	payload := make([]byte, head[1])
	if _, err := io.ReadFull(c, payload); err != nil {
		return err
	}
	code := 1005
	if len(payload) >= 2 {
		code = int(binary.BigEndian.Uint16(payload))
	}
	if code != tt.code {
		return fmt.Errorf("closed with %d %q, want %d", code, payload, tt.code)
	}
	_, _ = c.Write(wsFrame(fin|closing, "")) // the server waits for it, unless it has ended already
	if n, err := c.Read(head); err == nil {
		return fmt.Errorf("%d bytes follow the close frame", n)
	}
	return nil
}

// wsConn reads what the handshake's reader has buffered first.
type wsConn struct {
	net.Conn
	r *bufio.Reader
}

func (c wsConn) Read(p []byte) (int, error) { return c.r.Read(p) }

const wsHandshake = "GET PATH HTTP/1.1\r\nHost: HOST\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
	"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"

func wsSay(address, request string) (wsConn, *http.Response, error) {
	c, err := net.Dial("tcp", address)
	if err != nil {
		return wsConn{}, nil, err
	}
	_ = c.SetDeadline(time.Now().Add(patience))
	conn := wsConn{c, bufio.NewReader(c)}
	if _, err := io.WriteString(c, request); err != nil {
		return conn, nil, err
	}
	res, err := http.ReadResponse(conn.r, nil)
	return conn, res, err
}

func wsOpen(address, path string) (wsConn, error) {
	request := strings.NewReplacer("PATH", path, "HOST", address).Replace(wsHandshake)
	for deadline := time.Now().Add(patience); ; {
		c, res, err := wsSay(address, request)
		if err != nil {
			return c, err
		}
		switch {
		case res.StatusCode == http.StatusSwitchingProtocols:
			return c, nil
		case res.StatusCode != http.StatusServiceUnavailable || time.Now().After(deadline): // /echo takes four
			return c, errors.New(res.Status)
		}
		_ = c.Close()
	}
}
