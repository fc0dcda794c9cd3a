//go:build unix

package gateway

import "syscall"

// useRaw prepares non-blocking writes. The callback always returns true, so the
// runtime never parks us, and is made once, so a write allocates nothing.
func (o *outbox) useRaw() {
	c, ok := o.Conn.(syscall.Conn)
	if !ok {
		return
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return
	}
	o.raw = raw
	o.try = func(fd uintptr) bool {
		for {
			o.n, o.errno = syscall.Write(int(fd), o.p)
			if o.errno != syscall.EINTR {
				return true
			}
		}
	}
}

// control calls f with the socket, if there is one to ask.
func (o *outbox) control(f func(fd int)) {
	if o.raw != nil {
		_ = o.raw.Control(func(fd uintptr) { f(int(fd)) }) // it is closed: nothing to tell
	}
}

// tryWrite gives the socket what it takes now.
func (o *outbox) tryWrite(p []byte) (int, error) {
	if o.raw == nil {
		return 0, nil
	}
	o.p = p
	err := o.raw.Write(o.try)
	o.p = nil
	switch {
	case err != nil:
		return 0, err
	case o.errno == syscall.EAGAIN:
		return 0, nil
	case o.errno != nil:
		return 0, o.errno
	}
	return o.n, nil
}
