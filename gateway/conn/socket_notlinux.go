//go:build unix && !linux

package conn

import "syscall"

func writeNow(fd int, p []byte) (int, error) {
	n, err := syscall.Write(fd, p)
	errno, _ := err.(syscall.Errno)
	return taken(n, errno)
}

// unsent is 0 where the kernel is not asked: the send buffer bounds what it holds.
func unsent(int) int { return 0 }
