package machine

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// freeBind lets a socket be bound to an address that the machine does not have: ip(7),
// IP_FREEBIND. Clients reach it once the machine has the address.
func freeBind(network, _ string, c syscall.RawConn) error {
	level, option := unix.SOL_IP, unix.IP_FREEBIND
	if network == "tcp6" {
		level, option = unix.SOL_IPV6, unix.IPV6_FREEBIND
	}
	var failed error
	if err := c.Control(func(fd uintptr) { failed = unix.SetsockoptInt(int(fd), level, option, 1) }); err != nil {
		return err
	}
	return failed
}
