package conn

import (
	"time"

	"golang.org/x/sys/unix"
)

// acknowledged returns how many bytes the client has acknowledged in all, and
// the shortest round trip so far (TCP_INFO, tcp(7)).
func (s *socket) acknowledged() (bytes uint64, best time.Duration, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fd < 0 {
		return 0, 0, false
	}
	info, err := unix.GetsockoptTCPInfo(s.fd, unix.IPPROTO_TCP, unix.TCP_INFO)
	if err != nil {
		return 0, 0, false
	}
	return info.Bytes_acked, time.Duration(info.Min_rtt) * time.Microsecond, true
}
