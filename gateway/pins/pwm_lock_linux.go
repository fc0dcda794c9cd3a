package pins

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// lock locks a file of a channel until it is closed or the process ends, however that
// ends. The kernel itself lets any number of processes use a channel, unlike a line.
func lock(f *os.File) error {
	err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return fmt.Errorf("%w: %w", unix.EBUSY, errHeld)
	}
	return nil // a kernel without locks still has motors to drive
}
