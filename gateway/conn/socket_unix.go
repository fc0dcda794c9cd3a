//go:build unix

package conn

import (
	"net"
	"syscall"
)

// descriptor returns a connection's file descriptor, which is non-blocking; -1 if it has none.
func descriptor(c net.Conn) int {
	fd := -1
	if c, ok := c.(syscall.Conn); ok {
		if raw, err := c.SyscallConn(); err == nil {
			_ = raw.Control(func(d uintptr) { fd = int(d) }) // if it is closed, there is none
		}
	}
	return fd
}

// taken returns how many bytes a write took; none is no error.
func taken(n int, errno syscall.Errno) (int, error) {
	switch errno {
	case 0:
		return n, nil
	case syscall.EAGAIN, syscall.EINTR: // tried again by the caller or the flusher
		return 0, nil
	}
	return 0, errno
}
