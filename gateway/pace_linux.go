package gateway

import (
	"time"

	"golang.org/x/sys/unix"
)

// queueing returns by how much the round trip is longer than it was at best.
func (s *socket) queueing() (time.Duration, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fd < 0 {
		return 0, false
	}
	info, err := unix.GetsockoptTCPInfo(s.fd, unix.IPPROTO_TCP, unix.TCP_INFO) // tcp(7)
	if err != nil {
		return 0, false
	}
	return time.Duration(info.Rtt-min(info.Rtt, info.Min_rtt)) * time.Microsecond, true
}
