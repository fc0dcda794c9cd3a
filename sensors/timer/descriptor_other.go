//go:build !linux

package timer

import (
	"errors"
	"time"
)

// descriptor is a timer of the kernel's, which does not exist on this system.
type descriptor struct{}

func newDescriptor() (*descriptor, error) { return nil, errors.ErrUnsupported }

func (*descriptor) set(time.Duration) {}
func (*descriptor) running() bool     { return false }
func (*descriptor) wait() bool        { return false }
func (*descriptor) close()            {}
