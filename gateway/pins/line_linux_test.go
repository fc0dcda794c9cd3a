package pins

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
	"periph.io/x/conn/v3/gpio"
)

// The kernel's layout is the same on all machines (linux/gpio.h pads by hand),
// so Go's must be, although it aligns 64-bit fields to 4 on 386 and ARM.
// Numbers from a C compiler.
func TestLayout(t *testing.T) {
	var (
		info    unix.GPIOChipInfo
		values  unix.GPIOV2LineValues
		attr    unix.GPIOV2LineAttribute
		config  unix.GPIOV2LineConfig
		request unix.GPIOV2LineRequest
		line    unix.GPIOV2LineInfo
	)
	for what, pair := range map[string][2]uintptr{
		"chip info":        {unsafe.Sizeof(info), 68},
		"lines":            {unsafe.Offsetof(info.Lines), 64},
		"values":           {unsafe.Sizeof(values), 16},
		"mask":             {unsafe.Offsetof(values.Mask), 8},
		"attribute":        {unsafe.Sizeof(attr), 16},
		"value":            {unsafe.Offsetof(attr.Flags), 8},
		"config attribute": {unsafe.Sizeof(config.Attrs[0]), 24},
		"attribute's mask": {unsafe.Offsetof(config.Attrs[0].Mask), 16},
		"config":           {unsafe.Sizeof(config), 272},
		"num attrs":        {unsafe.Offsetof(config.Num_attrs), 8},
		"attrs":            {unsafe.Offsetof(config.Attrs), 32},
		"request":          {unsafe.Sizeof(request), 592},
		"consumer":         {unsafe.Offsetof(request.Consumer), 256},
		"request's config": {unsafe.Offsetof(request.Config), 288},
		"num lines":        {unsafe.Offsetof(request.Num_lines), 560},
		"fd":               {unsafe.Offsetof(request.Fd), 588},
		"line info":        {unsafe.Sizeof(line), 256},
		"holder":           {unsafe.Offsetof(line.Consumer), 32},
		"offset":           {unsafe.Offsetof(line.Offset), 64},
		"flags":            {unsafe.Offsetof(line.Flags), 72},
		"line's attrs":     {unsafe.Offsetof(line.Attrs), 80},

		"GPIO_GET_CHIPINFO_IOCTL":       {unix.GPIO_GET_CHIPINFO_IOCTL, 0x8044b401},
		"GPIO_V2_GET_LINEINFO_IOCTL":    {unix.GPIO_V2_GET_LINEINFO_IOCTL, 0xc100b405},
		"GPIO_V2_GET_LINE_IOCTL":        {unix.GPIO_V2_GET_LINE_IOCTL, 0xc250b407},
		"GPIO_V2_LINE_GET_VALUES_IOCTL": {unix.GPIO_V2_LINE_GET_VALUES_IOCTL, 0xc010b40e},
		"GPIO_V2_LINE_SET_VALUES_IOCTL": {unix.GPIO_V2_LINE_SET_VALUES_IOCTL, 0xc010b40f},
	} {
		if pair[0] != pair[1] {
			t.Errorf("%s: %#x, want %#x", what, pair[0], pair[1])
		}
	}
}

// fakeLine is a line of a fake chip; its levels are voltages.
type fakeLine struct {
	name, holder string
	flags        uint64
	level        bool
	outputs      []bool // what it was driven with, as an output
}

type fakeChip struct {
	name, label string
	lines       []fakeLine
}

// fakeKernel answers as the GPIO character device does.
type fakeKernel struct {
	t      *testing.T
	devs   map[string]*fakeChip // by path
	fds    map[int]any          // *fakeChip or *fakeLine
	next   int
	fail   map[uint]syscall.Errno // by request
	denied map[string]error       // by path
	ops    []uint                 // on lines
	intr   int                    // so many calls are interrupted
}

func pi(t *testing.T) *fakeKernel {
	header := &fakeChip{name: "gpiochip4", label: "pinctrl-rp1", lines: make([]fakeLine, 28)}
	for i := range header.lines {
		header.lines[i].name = fmt.Sprintf("GPIO%d", i)
	}
	header.lines[8].name = "SPI_CE0_N"
	other := &fakeChip{name: "gpiochip0", label: "gpio-brcmstb@107d508500", lines: []fakeLine{{name: "GPIO17"}, {name: "TWICE"}, {name: "TWICE"}, {}}}
	return &fakeKernel{t: t, devs: map[string]*fakeChip{"/dev/gpiochip0": other, "/dev/gpiochip4": header},
		fds: map[int]any{}, next: 10, fail: map[uint]syscall.Errno{}, denied: map[string]error{}}
}

func (f *fakeKernel) header() *fakeChip { return f.devs["/dev/gpiochip4"] }

func (f *fakeKernel) kernel() *kernel {
	return &kernel{
		open: func(path string) (int, error) {
			chip := f.devs[path]
			if err := f.denied[path]; err != nil {
				return -1, err
			}
			if chip == nil {
				return -1, syscall.ENOENT
			}
			return f.fd(chip), nil
		},
		close: func(fd int) error {
			if f.fds[fd] == nil {
				f.t.Errorf("closed %d, which is not open", fd)
			}
			if l, is := f.fds[fd].(*fakeLine); is {
				l.holder = ""
			}
			delete(f.fds, fd)
			return nil
		},
		ioctl: f.ioctl,
		chips: func() []string { return slices.Sorted(maps.Keys(f.devs)) },
		user:  func() string { return "alice" },
	}
}

func (f *fakeKernel) fd(of any) int {
	f.next++
	f.fds[f.next] = of
	return f.next
}

func (f *fakeKernel) ioctl(fd int, request uint, arg unsafe.Pointer) syscall.Errno {
	if f.intr > 0 {
		f.intr--
		return syscall.EINTR
	}
	if errno := f.fail[request]; errno != 0 {
		return errno
	}
	switch at := f.fds[fd].(type) {
	case *fakeChip:
		switch request {
		case unix.GPIO_GET_CHIPINFO_IOCTL:
			info := (*unix.GPIOChipInfo)(arg)
			copy(info.Name[:], at.name)
			copy(info.Label[:], at.label)
			info.Lines = uint32(len(at.lines))
			return 0
		case unix.GPIO_V2_GET_LINEINFO_IOCTL:
			info := (*unix.GPIOV2LineInfo)(arg)
			copy(info.Name[:], at.lines[info.Offset].name)
			copy(info.Consumer[:], at.lines[info.Offset].holder)
			if at.lines[info.Offset].holder != "" {
				info.Flags |= flagUsed
			}
			return 0
		case unix.GPIO_V2_GET_LINE_IOCTL:
			return f.request(at, (*unix.GPIOV2LineRequest)(arg))
		}
	case *fakeLine:
		f.ops = append(f.ops, request)
		values := (*unix.GPIOV2LineValues)(arg)
		inverted := at.flags&flagActiveLow != 0
		switch request {
		case unix.GPIO_V2_LINE_SET_VALUES_IOCTL:
			if at.flags&flagOutput == 0 {
				return syscall.EPERM
			}
			at.drive(values.Bits&1 == 1 != inverted)
			return 0
		case unix.GPIO_V2_LINE_GET_VALUES_IOCTL:
			values.Bits = 0
			if at.level != inverted {
				values.Bits = 1
			}
			return 0
		}
	default:
		return syscall.EBADF
	}
	f.t.Errorf("unexpected request %#x", request)
	return syscall.ENOTTY
}

func (f *fakeKernel) request(c *fakeChip, r *unix.GPIOV2LineRequest) syscall.Errno {
	if r.Num_lines != 1 {
		return syscall.EINVAL
	}
	l := &c.lines[r.Offsets[0]]
	if l.holder != "" {
		return syscall.EBUSY
	}
	l.holder, l.flags = text(r.Consumer[:]), r.Config.Flags
	if l.flags&flagOutput != 0 {
		value := true // where no attribute gives one, so that it shows; the kernel takes inactive
		for _, a := range r.Config.Attrs[:r.Config.Num_attrs] {
			if a.Attr.Id == unix.GPIO_V2_LINE_ATTR_ID_OUTPUT_VALUES && a.Mask&1 == 1 {
				value = a.Attr.Flags&1 == 1
			}
		}
		l.drive(value != (l.flags&flagActiveLow != 0))
	}
	r.Fd = int32(f.fd(l))
	return 0
}

func (l *fakeLine) drive(level bool) {
	l.level = level
	l.outputs = append(l.outputs, level)
}

func TestLineIsClaimedSafe(t *testing.T) {
	for _, tt := range []struct {
		name      string
		activeLow bool
		before    bool // the voltage that a dead process has left
		offset    int
		shown     string
		outputs   []bool // claimed, active, inactive
	}{
		{"GPIO17", false, true, 17, "GPIO17 on gpiochip4", []bool{false, true, false}},
		{"17", false, false, 17, "GPIO17 on gpiochip4", []bool{false, true, false}},
		{"GPIO17", true, true, 17, "GPIO17 on gpiochip4", []bool{true, false, true}},
		{"GPIO17", true, false, 17, "GPIO17 on gpiochip4", []bool{true, false, true}},
		{"GPIO8", false, false, 8, "GPIO8 on gpiochip4", []bool{false, true, false}}, // called SPI_CE0_N there
		{"SPI_CE0_N", false, false, 8, "SPI_CE0_N on gpiochip4", []bool{false, true, false}},
		{"gpiochip4/3", false, false, 3, "line 3 on gpiochip4", []bool{false, true, false}},
	} {
		t.Run(fmt.Sprint(tt.name, tt.activeLow, tt.before), func(t *testing.T) {
			f := pi(t)
			f.intr = 1
			at := &f.header().lines[tt.offset]
			at.level = tt.before
			l, err := f.kernel().output(tt.name, tt.activeLow)
			if err != nil {
				t.Fatal(err)
			}
			if l.String() != tt.shown || at.holder != "gateway" {
				t.Errorf("%v, held by %q", l, at.holder)
			}
			for _, level := range []gpio.Level{gpio.High, gpio.Low} {
				if err := l.Out(level); err != nil {
					t.Error(err)
				}
				if got, err := l.Level(); got != level || err != nil {
					t.Errorf("reads %v, %v; driven %v", got, err, level)
				}
			}
			if !slices.Equal(at.outputs, tt.outputs) {
				t.Errorf("voltages %v, want %v", at.outputs, tt.outputs)
			}
			set, get := uint(unix.GPIO_V2_LINE_SET_VALUES_IOCTL), uint(unix.GPIO_V2_LINE_GET_VALUES_IOCTL)
			if want := []uint{set, get, set, get}; !slices.Equal(f.ops, want) {
				t.Errorf("asked %#x, want %#x: reading must set nothing up", f.ops, want)
			}
			if err := errors.Join(l.Out(gpio.High), l.Out(gpio.Low), l.Close(), l.Close()); err != nil {
				t.Error(err)
			}
			if at.level != tt.activeLow || len(f.fds) > 0 {
				t.Errorf("after Close the voltage is %v, open are %v", at.level, f.fds)
			}
			if err := l.Out(gpio.High); !errors.Is(err, syscall.EBADF) {
				t.Errorf("driven after Close: %v", err)
			}
		})
	}
}

func TestInputLine(t *testing.T) {
	for pull, flags := range map[gpio.Pull]uint64{
		gpio.PullUp: flagInput | flagPullUp, gpio.PullDown: flagInput | flagPullDown,
		gpio.Float: flagInput | flagBiasDisabled, gpio.PullNoChange: flagInput,
	} {
		f := pi(t)
		l, err := f.kernel().input("GPIO22", pull)
		if err != nil {
			t.Fatal(err)
		}
		at := &f.header().lines[22]
		if at.flags != flags || len(at.outputs) > 0 {
			t.Errorf("%v: claimed with flags %#x, want %#x; driven %v", pull, at.flags, flags, at.outputs)
		}
		at.level = true
		if level, err := l.Level(); level != gpio.High || err != nil {
			t.Errorf("reads %v, %v", level, err)
		}
		if err := l.Out(gpio.High); !errors.Is(err, syscall.EPERM) {
			t.Errorf("an input was driven: %v", err)
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}
}

// Where no chip is that of a Raspberry Pi's header, gpiochip0 is meant.
func TestOtherBoard(t *testing.T) {
	f := pi(t)
	f.header().label = "some-gpio"
	l, err := f.kernel().output("GPIO17", false)
	if err != nil || l.String() != "GPIO17 on gpiochip0" {
		t.Fatalf("%v, %v", l, err)
	}
	if _, err := f.kernel().output("GPIO8", false); !errors.Is(err, errNoLine) {
		t.Errorf("a number was read out of a name: %v", err)
	}
}

func TestClaimErrors(t *testing.T) {
	for _, tt := range []struct {
		what, name string
		prepare    func(*fakeKernel)
		is         error
		says       []string
	}{
		{"busy", "GPIO17", func(f *fakeKernel) { f.header().lines[17].holder = "spi0 CS0" }, syscall.EBUSY,
			[]string{"claim GPIO17 on gpiochip4", `held by "spi0 CS0"`, "fix: "}},
		{"busy, no name", "GPIO17", func(f *fakeKernel) { f.fail[unix.GPIO_V2_GET_LINE_IOCTL] = syscall.EBUSY }, syscall.EBUSY,
			[]string{"held by a program that gave no name"}},
		{"busy with ourselves", "GPIO17", func(f *fakeKernel) { f.header().lines[17].holder = "gateway" }, syscall.EBUSY,
			[]string{"another gateway", "named twice", "fix: "}},
		{"no permission", "GPIO17", func(f *fakeKernel) { f.denied["/dev/gpiochip4"] = syscall.EACCES }, syscall.EACCES,
			[]string{"open /dev/gpiochip4", "permission denied", "fix: sudo usermod -aG gpio alice"}},
		{"sandboxed", "gpiochip4/1", func(f *fakeKernel) { f.denied["/dev/gpiochip4"] = syscall.EPERM }, syscall.EPERM,
			[]string{"fix: DeviceAllow=char-gpiochip rw"}},
		{"no such chip", "gpiochip9/1", nil, syscall.ENOENT, []string{"fix: write another line: there are gpiochip0, gpiochip4"}},
		{"no chip at all", "GPIO17", func(f *fakeKernel) { clear(f.devs) }, syscall.ENOENT, []string{"no GPIO chip", "fix: load it", "--simulate"}},
		{"no such number", "28", nil, errNoLine, []string{"gpiochip4 (pinctrl-rp1) has 28, numbered from 0; fix: write another"}},
		{"no such number in a name", "GPIO99", nil, errNoLine, []string{"claim GPIO99", "has 28"}},
		{"a number beyond numbers", "GPIO99999", nil, errNoLine, []string{"GPIO99999"}},
		{"no such name", "LED", nil, errNoLine, []string{`none called "LED"`, "fix: gpioinfo"}},
		{"another case", "gpio17", nil, errNoLine, []string{`did you mean "GPIO17"?`}},
		{"two of that name", "gpiochip0/TWICE", nil, nil, []string{"several", "gpiochip0/1"}},
		{"not a name", "GPIO 17", nil, nil, []string{`"GPIO 17" is not a GPIO line`}},
		{"not a chip", "GPIO17", func(f *fakeKernel) { f.fail[unix.GPIO_GET_CHIPINFO_IOCTL] = syscall.ENOTTY }, syscall.ENOTTY,
			[]string{"no GPIO chip"}},
		{"no information", "GPIO17", func(f *fakeKernel) { f.fail[unix.GPIO_V2_GET_LINEINFO_IOCTL] = syscall.EIO }, syscall.EIO, nil},
		{"refused", "17", func(f *fakeKernel) { f.fail[unix.GPIO_V2_GET_LINE_IOCTL] = syscall.EINVAL }, syscall.EINVAL, nil},
	} {
		t.Run(tt.what, func(t *testing.T) {
			f := pi(t)
			if tt.prepare != nil {
				tt.prepare(f)
			}
			_, err := f.kernel().output(tt.name, false)
			if err == nil || tt.is != nil && !errors.Is(err, tt.is) {
				t.Fatalf("error %v, want %v", err, tt.is)
			}
			for _, part := range tt.says {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("%q does not say %q", err, part)
				}
			}
			if len(f.fds) > 0 {
				t.Errorf("still open: %v", f.fds)
			}
		})
	}
}

func TestLineErrors(t *testing.T) {
	f := pi(t)
	l, err := f.kernel().output("GPIO17", false)
	if err != nil {
		t.Fatal(err)
	}
	f.fail[unix.GPIO_V2_LINE_SET_VALUES_IOCTL] = syscall.ENODEV
	f.fail[unix.GPIO_V2_LINE_GET_VALUES_IOCTL] = syscall.EIO
	if err := l.Out(gpio.High); !errors.Is(err, syscall.ENODEV) || err.Error() != "GPIO17 on gpiochip4: set high: no such device" {
		t.Errorf("%v", err)
	}
	if _, err := l.Level(); !errors.Is(err, syscall.EIO) || err.Error() != "GPIO17 on gpiochip4: read: input/output error" {
		t.Errorf("%v", err)
	}
}

func TestLineAllocatesNothing(t *testing.T) {
	level := false
	k := &kernel{ioctl: func(int, uint, unsafe.Pointer) syscall.Errno { return 0 }}
	l := &claimed{kernel: k, fd: 1}
	if n := testing.AllocsPerRun(100, func() {
		level = !level
		_ = l.Out(gpio.Level(level))
		_, _ = l.Level()
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
