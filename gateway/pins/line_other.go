//go:build !linux

package pins

import (
	"errors"
	"fmt"
	"runtime"

	"periph.io/x/conn/v3/gpio"
)

// Line fails: only Linux has the GPIO character device. The error is
// errors.ErrUnsupported.
func (*Kernel) Line(name string, _ bool) (Line, error) { return nil, unsupported(name) }

// Input fails as Line does.
func (*Kernel) Input(name string, _ gpio.Pull) (Input, error) { return nil, unsupported(name) }

// Look fails as Line does.
func (*Kernel) Look(name string) (LineState, error) { return LineState{}, unsupported(name) }

func unsupported(name string) error {
	return fmt.Errorf("claim %s: %s has no GPIO lines, only Linux has; fix: --simulate emulates them: %w",
		name, runtime.GOOS, errors.ErrUnsupported)
}
