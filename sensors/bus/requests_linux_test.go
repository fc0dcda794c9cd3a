package bus

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"unsafe"
)

// An adapter's time limit (I2C_TIMEOUT, 0x702) and its retries (I2C_RETRIES, 0x701) hold for
// all its users, and stay when this program has ended. So an adapter gets no other requests
// than these two, which change nothing: whether it works, hangs, fails or was unplugged.
func TestRequests(t *testing.T) {
	var requests []uintptr
	errno := syscall.Errno(0)
	s := linux
	s.open = func(string, int, uint32) (int, error) { return 7, nil }
	s.close = func(int) error { return nil }
	s.watch = func(string, func()) func() { return func() {} }
	s.removed = func(int) bool { return errno == syscall.ENODEV }
	s.ioctl = func(_ int, request uintptr, arg unsafe.Pointer) (int, syscall.Errno) {
		requests = append(requests, request)
		if request == i2cFuncs {
			*(*uintptr)(arg) = funcI2C
			return 0, 0
		}
		return 1, errno
	}
	b, err := s.openDevice("1", "/dev/i2c-1")
	if err != nil {
		t.Fatal(err)
	}
	for _, errno = range []syscall.Errno{0, syscall.EREMOTEIO, syscall.ETIMEDOUT, syscall.EIO, syscall.EAGAIN, syscall.ENODEV} {
		if err := b.Tx(0x44, []byte{1}, nil); (err != nil) != (errno != 0) {
			t.Errorf("%v: %v", errno, err)
		}
	}
	if err := b.Close(); err != nil {
		t.Error(err)
	}
	slices.Sort(requests)
	if requests = slices.Compact(requests); !slices.Equal(requests, []uintptr{0x705, 0x707}) {
		t.Errorf("requests %#x, want I2C_FUNCS and I2C_RDWR", requests)
	}
}

// Nothing else in this package can make another request: system.ioctl is called with those
// two, and there is one system call.
func TestRequestsOfTheSource(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	calls, systemCalls := 0, 0
	look := func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.SelectorExpr:
			if n.Sel.Name == "SYS_IOCTL" {
				systemCalls++
			} else if strings.HasPrefix(n.Sel.Name, "Ioctl") {
				t.Errorf("%s is called", n.Sel.Name)
			}
		case *ast.CallExpr:
			if f, ok := n.Fun.(*ast.SelectorExpr); ok && f.Sel.Name == "ioctl" {
				calls++
				if name, ok := n.Args[1].(*ast.Ident); !ok || name.Name != "i2cFuncs" && name.Name != "i2cRdwr" {
					t.Errorf("call %d makes another request", calls)
				}
			}
		}
		return true
	}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(parsed, look)
	}
	if calls == 0 || systemCalls != 1 {
		t.Errorf("%d calls, %d system calls", calls, systemCalls)
	}
}
