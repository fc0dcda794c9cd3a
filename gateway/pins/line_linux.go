package pins

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
	"periph.io/x/conn/v3/gpio"
)

// Lines are claimed through version 2 of the GPIO character device's interface
// (linux/gpio.h, Linux 5.10), by calls of our own: periph's package gpioioctl
// (host v3.8.5) is not safe for outputs that switch power:
//
//   - GPIOLine.Read of an output calls In(PullUp) first, so it makes the output
//     an input with a pull-up (gpio.go, Read); Func does the same.
//   - The first Out claims the line with no flags, then makes it an output
//     without a value, which the kernel takes as low, and then sets the level
//     (getLine, setLine, Out): an active-low relay clicks.
//   - PWM returns "not implemented", and there is no active-low flag.
//   - Errors lose their errno: errors.New(ep.Error()) (ioctl.go). So nobody can
//     distinguish a busy line from a missing permission.
//   - It opens every chip when the host is initialised, and logs failures to
//     the standard logger.

// Flags of a line, gpio_v2_line_flag in linux/gpio.h.
const (
	flagUsed         = 1 << 0 // somebody has claimed it, or the kernel uses it
	flagActiveLow    = 1 << 1
	flagInput        = 1 << 2
	flagOutput       = 1 << 3
	flagPullUp       = 1 << 8
	flagPullDown     = 1 << 9
	flagBiasDisabled = 1 << 10
)

// kernel is the system calls behind the lines; tests emulate it.
type kernel struct {
	open  func(path string) (fd int, err error)
	close func(fd int) error
	ioctl func(fd int, request uint, arg unsafe.Pointer) syscall.Errno
	chips func() []string // paths of the GPIO chips that there are
	user  func() string
}

var linux = kernel{
	open:  func(path string) (int, error) { return syscall.Open(path, syscall.O_RDWR|syscall.O_CLOEXEC, 0) },
	close: syscall.Close,
	ioctl: func(fd int, request uint, arg unsafe.Pointer) syscall.Errno {
		_, _, errno := syscall.Syscall(syscall.SYS_IOCTL, uintptr(fd), uintptr(request), uintptr(arg))
		return errno
	},
	chips: func() []string {
		paths, _ := filepath.Glob("/dev/gpiochip*") // fails only for a bad pattern
		return paths
	},
	user: gpioUser,
}

// Line claims an output line, inactive from the first moment on: drivers such
// as a Raspberry Pi's set the level, then make the line an output.
func (*Kernel) Line(name string, activeLow bool) (Line, error) {
	return orNone[Line](linux.output(name, activeLow))
}

// Input claims an input line.
func (*Kernel) Input(name string, pull gpio.Pull) (Input, error) {
	return orNone[Input](linux.input(name, pull))
}

func (k *kernel) output(name string, activeLow bool) (*claimed, error) {
	config := unix.GPIOV2LineConfig{Flags: flagOutput, Num_attrs: 1}
	if activeLow {
		config.Flags |= flagActiveLow
	}
	// The value of line 0 of the request: inactive.
	config.Attrs[0] = unix.GPIOV2LineConfigAttribute{
		Attr: unix.GPIOV2LineAttribute{Id: unix.GPIO_V2_LINE_ATTR_ID_OUTPUT_VALUES, Flags: 0},
		Mask: 1,
	}
	return k.claim(name, config)
}

func (k *kernel) input(name string, pull gpio.Pull) (*claimed, error) {
	config := unix.GPIOV2LineConfig{Flags: flagInput}
	switch pull {
	case gpio.PullUp:
		config.Flags |= flagPullUp
	case gpio.PullDown:
		config.Flags |= flagPullDown
	case gpio.Float:
		config.Flags |= flagBiasDisabled
	}
	return k.claim(name, config)
}

func (k *kernel) claim(name string, config unix.GPIOV2LineConfig) (*claimed, error) {
	want, err := parseLine(name)
	if err != nil {
		return nil, err
	}
	c, err := k.openChip(want.chip)
	if err != nil {
		return nil, fmt.Errorf("claim %s: %w", name, err)
	}
	defer k.close(c.fd) // a claimed line has a descriptor of its own
	offset, err := k.find(c, want)
	if err != nil {
		return nil, fmt.Errorf("claim %s: %w", name, err)
	}
	request := unix.GPIOV2LineRequest{Num_lines: 1, Config: config}
	request.Offsets[0] = offset
	copy(request.Consumer[:], consumer)
	if errno := k.call(c.fd, unix.GPIO_V2_GET_LINE_IOCTL, unsafe.Pointer(&request)); errno != 0 {
		return nil, fmt.Errorf("claim %s: %w", want.on(c.name), k.explainClaim(c, offset, errno))
	}
	return &claimed{kernel: k, name: want.on(c.name), fd: int(request.Fd)}, nil
}

// Look returns the state of a line, without claiming it.
func (*Kernel) Look(name string) (LineState, error) { return linux.look(name) }

func (k *kernel) look(name string) (s LineState, err error) {
	want, err := parseLine(name)
	if err != nil {
		return s, err
	}
	c, err := k.openChip(want.chip)
	if err != nil {
		return s, err
	}
	defer k.close(c.fd)
	offset, err := k.find(c, want)
	if err != nil {
		return s, err
	}
	info, errno := k.info(c, offset)
	if errno != 0 {
		return s, fmt.Errorf("%s: read its state: %w", want.on(c.name), errno)
	}
	s = LineState{Chip: c.String(), Header: headerChips[c.label], Offset: int(offset), Output: info.Flags&flagOutput != 0}
	if info.Flags&flagUsed != 0 {
		s.Holder = cmp.Or(text(info.Consumer[:]), "a program that gave no name")
	}
	return s, nil
}

// chip is an open /dev/gpiochipN.
type chip struct {
	fd    int
	name  string // the kernel's, such as "gpiochip0"
	label string // its driver's, such as "pinctrl-bcm2711"
	lines uint32
}

func (c chip) String() string { return fmt.Sprintf("%s (%s)", c.name, c.label) }

// openChip opens the chip of that name. Without a name, it opens the chip behind a
// Raspberry Pi's header, whose number differs between models and kernels, or, where
// there is none, gpiochip0. If any chip cannot be opened, it does not fall back to
// gpiochip0: the other one could be the header's, and the pin a wrong one.
func (k *kernel) openChip(name string) (chip, error) {
	if name != "" {
		return k.openPath("/dev/" + name)
	}
	var failed error
	for _, path := range k.chips() {
		c, err := k.openPath(path)
		switch {
		case err != nil:
			failed = cmp.Or(failed, err)
		case headerChips[c.label]:
			return c, nil
		default:
			k.close(c.fd)
		}
	}
	if failed != nil {
		return chip{}, failed
	}
	return k.openPath("/dev/gpiochip0")
}

func (k *kernel) openPath(path string) (chip, error) {
	fd, err := k.open(path)
	if err != nil {
		return chip{}, k.explainOpen(path, err)
	}
	var info unix.GPIOChipInfo
	if errno := k.call(fd, unix.GPIO_GET_CHIPINFO_IOCTL, unsafe.Pointer(&info)); errno != 0 {
		k.close(fd)
		return chip{}, fmt.Errorf("%s: no GPIO chip: %w", path, errno)
	}
	return chip{fd: fd, name: text(info.Name[:]), label: text(info.Label[:]), lines: info.Lines}, nil
}

var errNoLine = errors.New("no such line")

// find returns the offset of the line on the chip.
func (k *kernel) find(c chip, want lineName) (uint32, error) {
	if want.name == "" {
		if want.offset >= c.lines {
			return 0, fmt.Errorf("%w: %v has %d, numbered from 0; fix: write another (gpioinfo lists them)", errNoLine, c, c.lines)
		}
		return want.offset, nil
	}
	var found []uint32
	var similar string
	for offset := range c.lines {
		info, errno := k.info(c, offset)
		if errno != 0 {
			return 0, fmt.Errorf("read the name of line %d of %v: %w", offset, c, errno)
		}
		switch name := text(info.Name[:]); {
		case name == want.name:
			found = append(found, offset)
		case strings.EqualFold(name, want.name):
			similar = fmt.Sprintf(" (did you mean %q?)", name)
		}
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		// Some kernels name the header's lines by what else they can do: GPIO8
		// is called SPI_CE0_N on a Pi 4.
		if digits := headerForm.FindStringSubmatch(want.name); digits != nil && headerChips[c.label] {
			offset, err := parseOffset(digits[1])
			if err != nil {
				return 0, fmt.Errorf("%w: %v", errNoLine, want)
			}
			return k.find(c, lineName{offset: offset})
		}
		return 0, fmt.Errorf("%w: %v has none called %q%s; fix: gpioinfo lists them", errNoLine, c, want.name, similar)
	}
	return 0, fmt.Errorf("%v has several lines called %q; fix: write the number, %s/%d", c, want.name, c.name, found[0])
}

// info reads a line's name, flags and consumer, without claiming it.
func (k *kernel) info(c chip, offset uint32) (unix.GPIOV2LineInfo, syscall.Errno) {
	info := unix.GPIOV2LineInfo{Offset: offset}
	errno := k.call(c.fd, unix.GPIO_V2_GET_LINEINFO_IOCTL, unsafe.Pointer(&info))
	return info, errno
}

// call is an ioctl that is repeated when a signal, such as the runtime's own, interrupts it.
func (k *kernel) call(fd int, request uint, arg unsafe.Pointer) syscall.Errno {
	for {
		if errno := k.ioctl(fd, request, arg); errno != syscall.EINTR {
			return errno
		}
	}
}

// text returns a C string.
func text(b []byte) string {
	s, _, _ := bytes.Cut(b, []byte{0})
	return string(s)
}

// claimed is a claimed line, an output or an input. Several goroutines may use
// it. Its calls allocate nothing.
type claimed struct {
	kernel *kernel
	name   string

	mu     sync.Mutex            // keeps fd open during a call
	fd     int                   // -1 once closed
	values unix.GPIOV2LineValues // a field, so that a call allocates none
}

// Out sets the level.
func (l *claimed) Out(level gpio.Level) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.values = unix.GPIOV2LineValues{Mask: 1}
	if level {
		l.values.Bits = 1
	}
	if err := l.call(unix.GPIO_V2_LINE_SET_VALUES_IOCTL); err != nil {
		return fmt.Errorf("%s: set %s: %w", l.name, strings.ToLower(level.String()), err)
	}
	return nil
}

// Level returns the level of the pin. Of an output, that is the level that it is
// driven with, unless something is wrong with the wiring.
func (l *claimed) Level() (gpio.Level, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.values = unix.GPIOV2LineValues{Mask: 1}
	if err := l.call(unix.GPIO_V2_LINE_GET_VALUES_IOCTL); err != nil {
		return gpio.Low, fmt.Errorf("%s: read: %w", l.name, err)
	}
	return l.values.Bits&1 == 1, nil
}

func (l *claimed) call(request uint) error {
	if l.fd < 0 {
		return fmt.Errorf("closed: %w", syscall.EBADF)
	}
	if errno := l.kernel.call(l.fd, request, unsafe.Pointer(&l.values)); errno != 0 {
		return errno
	}
	return nil
}

// Close releases the line, which keeps its level unless dtparam=strict_gpiod is set.
func (l *claimed) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.fd < 0 {
		return nil
	}
	err := l.kernel.close(l.fd)
	l.fd = -1 // after an error too: Linux has released it
	if err != nil {
		return fmt.Errorf("%s: close: %w", l.name, err)
	}
	return nil
}

func (l *claimed) String() string { return l.name }
