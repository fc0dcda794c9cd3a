//go:build linux

package swarm

import (
	"encoding/binary"
	"fmt"
)

// Opcodes (RFC 6455, section 5.2).
const (
	opText   = 0x1
	opBinary = 0x2
	opClose  = 0x8
	opPing   = 0x9
	opPong   = 0xA
)

// frame returns the first frame in b, sent by a server, and its size; 0 if it is
// incomplete.
func frame(b []byte) (op byte, payload []byte, size int) {
	if len(b) < 2 {
		return 0, nil, 0
	}
	n, head := uint64(b[1]&0x7F), 2
	switch {
	case n == 126 && len(b) >= 4:
		n, head = uint64(binary.BigEndian.Uint16(b[2:])), 4
	case n == 127 && len(b) >= 10:
		n, head = binary.BigEndian.Uint64(b[2:]), 10
	case n >= 126:
		return 0, nil, 0
	}
	if uint64(len(b)-head) < n {
		return 0, nil, 0
	}
	size = head + int(n)
	return b[0] & 0xF, b[head:size], size
}

// masked returns a frame of a client. A client's frame must have a mask; this one is 0.
func masked(op byte, payload []byte) []byte {
	head := []byte{0x80 | op, 0x80 | byte(len(payload))}
	if len(payload) > 125 {
		head = binary.BigEndian.AppendUint16([]byte{0x80 | op, 0x80 | 126}, uint16(len(payload)))
	}
	return append(append(head, 0, 0, 0, 0), payload...)
}

const (
	readingSize = 16 // readings.v1
	recordSize  = 24 // readings.v2

	conflated = 8 // flag of a record that stands for several
)

// stampOf returns the time of all n readings of a message, which must be the whole
// message of a tick.
func stampOf(message []byte, n int) (int64, error) {
	if n == 1 && len(message) == readingSize {
		return int64(binary.BigEndian.Uint64(message[8:])), nil
	}
	if len(message) != n*recordSize {
		return 0, fmt.Errorf("a message of %d bytes, want %d readings of one tick: it was too slow, or the gateway late", len(message), n)
	}
	stamp := int64(binary.BigEndian.Uint64(message[16:]))
	for ; len(message) > 0; message = message[recordSize:] {
		if other := int64(binary.BigEndian.Uint64(message[16:])); other != stamp {
			return 0, fmt.Errorf("readings of %d and of %d in one message", stamp, other)
		}
		if message[2]&conflated != 0 {
			return 0, fmt.Errorf("the reading of %d stands for several", stamp)
		}
	}
	return stamp, nil
}
