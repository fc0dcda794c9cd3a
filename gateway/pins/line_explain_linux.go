package pins

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// explainOpen adds the cause and the fix to the error of opening a chip.
func (k *kernel) explainOpen(path string, err error) error {
	err = fmt.Errorf("open %s: %w", path, err)
	switch {
	case errors.Is(err, syscall.EACCES):
		return fmt.Errorf("%w: GPIO is for the group gpio, you are %q; fix: sudo usermod -aG gpio %[2]s, then log in again",
			err, k.user())
	case errors.Is(err, syscall.EPERM): // the file's mode would answer EACCES
		return fmt.Errorf("%w: this service may not use the device; fix: DeviceAllow=char-gpiochip rw in its systemd unit", err)
	case errors.Is(err, syscall.ENOENT):
		chips := k.chips()
		if len(chips) == 0 {
			return fmt.Errorf("%w: this machine has no GPIO chip: the pins are another machine's, or their driver is not loaded; fix: load it (gpiodetect lists chips); without hardware: --simulate", err)
		}
		for i := range chips {
			chips[i] = filepath.Base(chips[i])
		}
		return fmt.Errorf("%w: there is no such chip; fix: write another line: there are %s", err, strings.Join(chips, ", "))
	}
	return err
}

// explainClaim adds the line's holder and the fix to the error of claiming it.
func (k *kernel) explainClaim(c chip, offset uint32, errno syscall.Errno) error {
	if errno != syscall.EBUSY {
		return errno
	}
	holder := "a program that gave no name"
	if info, errno := k.info(c, offset); errno == 0 && info.Consumer[0] != 0 {
		holder = strconv.Quote(text(info.Consumer[:]))
	}
	if holder == strconv.Quote(consumer) {
		return fmt.Errorf("%w: %w", errno, errHeld)
	}
	return fmt.Errorf("%w: held by %s; fix: stop that program, or use another line (gpioinfo lists them)", errno, holder)
}

// gpioUser returns the user that needs access to the GPIO chips: the effective user, by name or else by number.
func gpioUser() string {
	id := strconv.Itoa(os.Geteuid())
	if u, err := user.LookupId(id); err == nil {
		return u.Username
	}
	return id
}
