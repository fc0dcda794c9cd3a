package bus

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"sensorgateway/wire"
)

// openFile opens a file as if it were a bus whose transactions fail with errno, and
// returns what is sent when it is closed.
func openFile(t *testing.T, watch func(string, func()) func(), errno *syscall.Errno) (d *device, path string, closed chan time.Time) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "i2c-7")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	closed = make(chan time.Time, 1)
	s := linux
	s.watch = watch
	s.ioctl = func(_ int, request uintptr, arg unsafe.Pointer) (int, syscall.Errno) {
		if request == i2cFuncs {
			*(*uintptr)(arg) = funcI2C
			return 0, 0
		}
		return 2, *errno
	}
	s.close = func(fd int) error { closed <- time.Now(); return syscall.Close(fd) }
	b, err := s.openDevice("7", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b.(*device), path, closed
}

func wantUnplugged(t *testing.T, d *device, path string) {
	t.Helper()
	err := d.Tx(0x44, []byte{1}, nil)
	wantFault(t, err, wire.BusDown)
	if want := "0x44 on bus 7: write: " + path + " is no longer there, the adapter was unplugged: no such device"; err.Error() != want || !errors.Is(err, syscall.ENODEV) {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

// The file of an adapter that was unplugged is closed without a transaction.
func TestUnpluggedWhileNobodyAsks(t *testing.T) {
	var errno syscall.Errno
	d, path, closed := openFile(t, watchNode, &errno)
	if err := os.Chmod(path, 0o660); err != nil { // as udev does; no reason to close it
		t.Fatal(err)
	}
	if err := d.Tx(0x44, []byte{1}, nil); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	select {
	case <-closed:
	case <-time.After(10 * time.Second):
		t.Fatal("still open")
	}
	wantUnplugged(t, d, path)
	if err := d.Close(); err != nil {
		t.Error(err)
	}
}

// Where it cannot be watched, the next transaction that fails closes it, whatever
// the kernel says of an adapter that is missing.
func TestUnpluggedIsFoundByTheNextTransaction(t *testing.T) {
	for _, errno := range []syscall.Errno{syscall.EIO, syscall.EREMOTEIO, syscall.ETIMEDOUT, syscall.EPIPE} {
		none := syscall.Errno(0)
		now := &none
		d, path, closed := openFile(t, func(string, func()) func() { return func() {} }, now)
		if err := d.Tx(0x44, []byte{1}, nil); err != nil {
			t.Fatal(err)
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		*now = errno
		for range 2 {
			wantUnplugged(t, d, path)
		}
		if len(closed) != 1 {
			t.Errorf("%v: still open", errno)
		}
	}
}

// A failure of a bus that is there stays what it is.
func TestFailureOfABusThatIsThere(t *testing.T) {
	errno := syscall.EREMOTEIO
	d, _, closed := openFile(t, watchNode, &errno)
	for range 3 {
		wantFault(t, d.Tx(0x44, []byte{1}, nil), wire.NoAck)
	}
	if err := d.Close(); err != nil || len(closed) != 1 {
		t.Errorf("%v, closed %d times", err, len(closed))
	}
}

// It may be removed between being opened and being watched.
func TestUnpluggedBeforeItIsWatched(t *testing.T) {
	var errno syscall.Errno
	d, path, closed := openFile(t, func(path string, changed func()) func() {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		return watchNode(path, changed)
	}, &errno)
	<-closed
	wantUnplugged(t, d, path)
}
