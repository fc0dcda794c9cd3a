package conn

import "encoding/binary"

// First bytes of the frames that a server sends: FIN and opcode (RFC 6455, section 5.2).
const (
	OpText   = 0x80 | 0x1
	OpBinary = 0x80 | 0x2
	OpClose  = 0x80 | 0x8
	OpPing   = 0x80 | 0x9
	OpPong   = 0x80 | 0xA
)

// AppendHeader appends the header of an unmasked frame with n bytes of payload.
func AppendHeader(b []byte, op byte, n int) []byte {
	switch {
	case n < 126:
		return append(b, op, byte(n))
	case n < 1<<16:
		return binary.BigEndian.AppendUint16(append(b, op, 126), uint16(n))
	}
	return binary.BigEndian.AppendUint64(append(b, op, 127), uint64(n))
}

// AppendFrame appends a frame around the payload.
func AppendFrame(b []byte, op byte, payload []byte) []byte {
	return append(AppendHeader(b, op, len(payload)), payload...)
}
