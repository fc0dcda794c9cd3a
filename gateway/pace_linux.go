package gateway

import (
	"time"

	"golang.org/x/sys/unix"
)

// unsent returns how many bytes the client has not acknowledged.
func (o *outbox) unsent() (n int) {
	o.mu.Lock()
	n = o.flying + len(o.queue)
	o.mu.Unlock()
	o.control(func(fd int) {
		if kernel, err := unix.IoctlGetInt(fd, unix.SIOCOUTQ); err == nil { // tcp(7)
			n += kernel
		}
	})
	return n
}

// queueing returns by how much the round trip is longer than it was at best.
func (o *outbox) queueing() (delay time.Duration, ok bool) {
	o.control(func(fd int) {
		if info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO); err == nil { // tcp(7)
			delay, ok = time.Duration(info.Rtt-min(info.Rtt, info.Min_rtt))*time.Microsecond, true
		}
	})
	return delay, ok
}
