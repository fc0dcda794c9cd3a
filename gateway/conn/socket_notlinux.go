//go:build unix && !linux

package conn

import "syscall"

func writeNow(fd int, p []byte) (int, error) {
	n, err := syscall.Write(fd, p)
	errno, _ := err.(syscall.Errno)
	return taken(n, errno)
}

// unsent is not known here: the send buffer bounds what the kernel holds.
func unsent(int) int { return 0 }
