//go:build !linux

package machine

import (
	"errors"
	"syscall"
)

// freeBind fails: only on Linux can a socket wait for an address.
func freeBind(string, string, syscall.RawConn) error { return errors.ErrUnsupported }
