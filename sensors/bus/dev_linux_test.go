package bus

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"unsafe"

	"periph.io/x/conn/v3/physic"

	"sensorgateway/wire"
)

func TestLayout(t *testing.T) {
	type layout struct{ message, buf, transfer, count uintptr }
	want := map[uintptr]layout{
		4: {message: 12, buf: 8, transfer: 8, count: 4},
		8: {message: 16, buf: 8, transfer: 16, count: 8},
	}[unsafe.Sizeof(uintptr(0))]
	got := layout{unsafe.Sizeof(message{}), unsafe.Offsetof(message{}.buf), unsafe.Sizeof(transfer{}), unsafe.Offsetof(transfer{}.count)}
	if got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	var m message
	if unsafe.Offsetof(m.addr) != 0 || unsafe.Offsetof(m.flags) != 2 || unsafe.Offsetof(m.length) != 4 {
		t.Error("message's head")
	}
}

// kernel stands for the other side of the ioctl. Like the kernel, it reads and writes memory
// by bare addresses, with real system calls through a pipe, so the garbage collector does
// not know of it.
type kernel struct{ r, w int }

func newKernel(t *testing.T) *kernel {
	var p [2]int
	if err := syscall.Pipe2(p[:], syscall.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Close(p[0]); syscall.Close(p[1]) })
	return &kernel{p[0], p[1]}
}

func (k *kernel) load(addr, n uintptr) []byte {
	b := make([]byte, n)
	if _, _, errno := syscall.Syscall(syscall.SYS_WRITE, uintptr(k.w), addr, n); errno != 0 {
		panic(errno)
	}
	if m, err := syscall.Read(k.r, b); err != nil || m != len(b) {
		panic(fmt.Sprint(m, err))
	}
	return b
}

func (k *kernel) store(addr uintptr, b []byte) {
	if n, err := syscall.Write(k.w, b); err != nil || n != len(b) {
		panic(fmt.Sprint(n, err))
	}
	if _, _, errno := syscall.Syscall(syscall.SYS_READ, uintptr(k.r), addr, uintptr(len(b))); errno != 0 {
		panic(errno)
	}
}

func word(b []byte) uintptr {
	if len(b) == 4 {
		return uintptr(binary.NativeEndian.Uint32(b))
	}
	return uintptr(binary.NativeEndian.Uint64(b))
}

// rdwr does what I2C_RDWR does with the layouts of TestLayout: it calls chip
// for each message and returns how many there were.
func (k *kernel) rdwr(arg uintptr, chip func(addr, flags uint16, b []byte)) int {
	const wordSize = unsafe.Sizeof(uintptr(0))
	tr := k.load(arg, 2*wordSize)
	at, count := word(tr[:wordSize]), binary.NativeEndian.Uint32(tr[wordSize:])
	for range count {
		m := k.load(at, 8+wordSize)
		head, buf := m[:6], word(m[8:])
		flags, length := binary.NativeEndian.Uint16(head[2:]), binary.NativeEndian.Uint16(head[4:])
		b := k.load(buf, uintptr(length))
		chip(binary.NativeEndian.Uint16(head), flags, b)
		if flags == flagRead {
			k.store(buf, b)
		}
		at += 8 + wordSize
	}
	return int(count)
}

// grow makes the goroutine's stack so large that the next collection shrinks,
// and so moves, it.
//
//go:noinline
func grow(depth int) byte {
	var pad [512]byte
	if depth == 0 {
		return pad[0]
	}
	pad[depth%len(pad)] = grow(depth - 1)
	return pad[7]
}

// A transaction waits for another while collections run; the kernel must still
// find every message and buffer where the ioctl says they are.
func TestCollectionsDoNotMoveWhatTheKernelSees(t *testing.T) {
	k := newKernel(t)
	d := &device{name: "bus 1", fd: 3, system: &system{
		removed: func(int) bool { return false },
		ioctl: func(fd int, request uintptr, arg unsafe.Pointer) (int, syscall.Errno) {
			at := uintptr(arg)
			arg = nil
			runtime.GC()
			var sent []byte
			return k.rdwr(at, func(addr, flags uint16, b []byte) {
				if flags != flagRead {
					sent = b
					return
				}
				for i := range b {
					b[i] = ^sent[i%len(sent)] ^ byte(addr)
				}
			}), 0
		},
	}}
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for j := range 8 {
				grow(200)
				w, r := bytes.Repeat([]byte{byte(i), byte(j)}, 32), make([]byte, 64)
				want := bytes.Repeat([]byte{^byte(i) ^ 0x44, ^byte(j) ^ 0x44}, 32)
				if err := d.Tx(0x44, w, r); err != nil || !bytes.Equal(r, want) {
					t.Errorf("caller %d: % x, %v", i, r, err)
				}
			}
		})
	}
	all.Wait()
	if d.messages != [2]message{} {
		t.Error("the device keeps its callers' memory")
	}
}

// What the real system call says to a file that is no I²C device.
func TestRealIoctl(t *testing.T) {
	fd, err := syscall.Open(os.DevNull, os.O_RDWR|syscall.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	d := &device{name: "bus 1", fd: fd, system: &linux}
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 50 {
				err := d.Tx(0x44, []byte{1, 2}, make([]byte, 6))
				errno, _ := errors.AsType[syscall.Errno](err)
				if errno != syscall.ENOTTY && errno != syscall.ENOSYS { // the latter from qemu-user
					t.Error(err)
				}
				if want := "0x44 on bus 1: write-read: " + errno.Error(); err.Error() != want {
					t.Errorf("got %v, want %s", err, want)
				}
				wantFault(t, err, wire.Other)
			}
		})
	}
	all.Go(func() {
		for range 5 {
			runtime.GC()
		}
	})
	all.Wait()
	for range 2 {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	}
	err = d.Tx(0x44, []byte{1}, nil)
	wantFault(t, err, wire.BusDown)
	if !errors.Is(err, syscall.EBADF) {
		t.Errorf("after Close: %v", err)
	}
}

func TestDeviceTx(t *testing.T) {
	k := newKernel(t)
	var replies []syscall.Errno // before success
	var short int               // messages not done
	var calls int
	var seen []string
	d := &device{name: "bus 1", fd: 3, system: &system{
		removed: func(int) bool { return false },
		ioctl: func(fd int, request uintptr, arg unsafe.Pointer) (int, syscall.Errno) {
			if calls++; fd != 3 || request != 0x707 {
				t.Errorf("ioctl(%d, %#x)", fd, request)
			}
			if len(replies) > 0 {
				errno := replies[0]
				replies = replies[1:]
				return -1, errno
			}
			seen = nil
			return k.rdwr(uintptr(arg), func(addr, flags uint16, b []byte) {
				seen = append(seen, fmt.Sprintf("%#x %d %x", addr, flags, b))
			}) - short, 0
		},
	}}
	long := make([]byte, 8193)
	for _, c := range []struct {
		name    string
		addr    uint16
		w, r    []byte
		replies []syscall.Errno
		short   int
		calls   int
		seen    string
		err     string
		fault   wire.Fault
	}{
		{name: "write", addr: 0x44, w: []byte{0x24, 0x0B}, calls: 1, seen: "0x44 0 240b"},
		{name: "read", addr: 0x77, r: []byte{0, 0}, calls: 1, seen: "0x77 1 0000"},
		{name: "both", addr: 0x03, w: []byte{0xD0}, r: []byte{0}, calls: 1, seen: "0x3 0 d0,0x3 1 00"},
		{name: "nothing", addr: 0x44},
		{name: "interrupted", addr: 0x44, w: []byte{1}, replies: []syscall.Errno{syscall.EINTR, syscall.EINTR}, calls: 3, seen: "0x44 0 01"},
		{name: "no chip", addr: 0x44, w: []byte{1}, replies: []syscall.Errno{syscall.EREMOTEIO}, calls: 1,
			err: "0x44 on bus 1: write: remote I/O error", fault: wire.NoAck},
		{name: "stretched", addr: 0x44, r: []byte{1}, replies: []syscall.Errno{syscall.EIO}, calls: 1,
			err: "0x44 on bus 1: read: input/output error", fault: wire.Timeout},
		{name: "half", addr: 0x44, w: []byte{1}, r: []byte{0}, short: 1, calls: 1, seen: "0x44 0 01,0x44 1 00",
			err: "0x44 on bus 1: write-read: 1 of 2 messages transferred: input/output error", fault: wire.Timeout},
		{name: "reserved", addr: 0x78, w: []byte{1}, err: "0x78 on bus 1: write: not a chip's address (0x03 to 0x77)", fault: wire.Other},
		{name: "too long", addr: 0x44, r: long, err: "0x44 on bus 1: read: 8193 bytes to read, more than 8192", fault: wire.Other},
	} {
		t.Run(c.name, func(t *testing.T) {
			replies, short, calls, seen = c.replies, c.short, 0, nil
			err := d.Tx(c.addr, c.w, c.r)
			if (err == nil) != (c.err == "") || err != nil && err.Error() != c.err {
				t.Errorf("got %v, want %q", err, c.err)
			}
			wantFault(t, err, c.fault)
			if got := strings.Join(seen, ","); calls != c.calls || got != c.seen {
				t.Errorf("%d calls, messages %q", calls, got)
			}
		})
	}
	if d.String() != "bus 1" {
		t.Error(d)
	}
	if err := d.SetSpeed(400 * physic.KiloHertz); err == nil || !strings.Contains(err.Error(), "dtparam=i2c_arm_baudrate=") {
		t.Error(err)
	}
}

func TestDeviceTxAllocatesNothing(t *testing.T) {
	d := &device{name: "bus 1", fd: 3, system: &system{
		removed: func(int) bool { return false },
		ioctl:   func(int, uintptr, unsafe.Pointer) (int, syscall.Errno) { return 2, 0 },
	}}
	w, r := []byte{0x24, 0x0B}, make([]byte, 6)
	if n := testing.AllocsPerRun(1000, func() {
		if err := d.Tx(0x44, w, r); err != nil {
			t.Error(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations a transaction", n)
	}
}
