package conn

import (
	"encoding/binary"
	"errors"
)

// ErrCloseLength is the error of a close frame with one byte of payload, half a code.
var ErrCloseLength = errors.New("close frame of one byte")

// scanner follows the headers of a client's frames. It finds what gorilla lets
// pass, a close frame whose payload is one byte (RFC 6455, section 5.5.1), and the
// close frame that gorilla does not read any more after an error. It may misread what
// gorilla refuses.
type scanner struct {
	header [10]byte // of the frame that begins, without its mask
	got    int      // bytes of it
	skip   uint64   // bytes of mask and payload to come
	last   bool     // the frame is a close frame
}

// closed reports whether a close frame has been scanned.
func (s *scanner) closed() bool { return s.last && s.skip == 0 }

// scan returns how many bytes of p come before the invalid frame, all if there is none.
func (s *scanner) scan(p []byte) (n int, err error) {
	for n < len(p) {
		if s.skip > 0 {
			step := min(s.skip, uint64(len(p)-n))
			s.skip -= step
			n += int(step)
			continue
		}
		s.header[s.got] = p[n]
		length, whole := s.length(s.got + 1)
		last := whole && s.header[0]&0xF == OpClose&0xF
		if last && length == 1 {
			s.last = true
			return n, ErrCloseLength
		}
		s.got, n = s.got+1, n+1
		if !whole {
			continue
		}
		s.got, s.skip, s.last = 0, length, s.last || last
		if s.header[1]&0x80 != 0 {
			s.skip += 4 // the mask
		}
	}
	return n, nil
}

// length returns the payload's length, once the header is whole.
func (s *scanner) length(got int) (n uint64, whole bool) {
	switch short := s.header[1] & 0x7F; {
	case got < 2:
		return 0, false
	case short == 126:
		return uint64(binary.BigEndian.Uint16(s.header[2:])), got == 4
	case short == 127:
		return binary.BigEndian.Uint64(s.header[2:]), got == 10
	default:
		return uint64(short), true
	}
}

// pongSize is the size of an answer to our pings, which carry nothing: two bytes
// and a mask.
const pongSize = 6

// pongs reports whether b, which begins with a frame, consists of such answers only.
func pongs(b []byte) bool {
	for n := 0; n < len(b); n += pongSize {
		if len(b)-n < pongSize || b[n] != OpPong || b[n+1] != 0x80 {
			return false
		}
	}
	return len(b) > 0
}
