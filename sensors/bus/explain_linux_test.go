package bus

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"unsafe"
)

// machine returns the root directory of a machine that says this of itself.
func machine(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for path, content := range files {
		path = filepath.Join(root, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func TestOpen(t *testing.T) {
	const tree = "proc/device-tree/"
	piFiles := map[string]string{tree + "model": "Raspberry Pi 4 Model B Rev 1.4\x00", tree + "aliases/i2c1": "/soc/i2c@7e804000\x00", tree + "soc/i2c@7e804000/status": "disabled\x00"}
	pi := machine(t, piFiles)
	piFiles[tree+"soc/i2c@7e804000/status"] = "okay\x00"
	enabled := machine(t, piFiles)
	orange := machine(t, map[string]string{tree + "model": "Orange Pi Zero 3\x00"})
	laptop := machine(t, nil)
	for _, c := range []struct {
		name       string
		open       error
		funcs      uintptr
		funcsErrno syscall.Errno
		others     []string
		number     int
		node       node
		nodeErr    error
		root       string // "": a Raspberry Pi
		want       string // the error; "" opens
		is         error
	}{
		{name: "opens", number: 1, funcs: 0x0EFF0009},
		{name: "plain messages only", number: 1, funcs: 1},
		{name: "no I²C messages", number: 1, funcs: 0x0EFF0008, is: syscall.EOPNOTSUPP,
			want: "open /dev/i2c-1: the adapter only speaks SMBus: operation not supported"},
		{name: "something else", number: 1, funcsErrno: syscall.ENOTTY, is: syscall.ENOTTY,
			want: "open /dev/i2c-1: not an I²C device: inappropriate ioctl for device"},
		{name: "permission", number: 1, open: syscall.EACCES, node: node{"root", "i2c", 0o660}, is: fs.ErrPermission,
			want: `open /dev/i2c-1: permission denied: the device is root:i2c 0660, you are "alice"; fix: sudo usermod -aG i2c alice, then log in again`},
		{name: "no group", number: 1, open: syscall.EACCES, node: node{"root", "root", 0o600}, is: syscall.EACCES,
			want: `open /dev/i2c-1: permission denied: the device is root:root 0600, you are "alice"; fix: sudo apt install i2c-tools (its udev rule opens the device to the group i2c), then sudo usermod -aG i2c alice && sudo reboot`},
		{name: "unseen", number: 1, open: syscall.EACCES, nodeErr: syscall.EACCES, is: syscall.EACCES,
			want: `open /dev/i2c-1: permission denied: you are "alice"; fix: sudo usermod -aG i2c alice, then log in again`},
		{name: "sandboxed", number: 1, open: syscall.EPERM, is: syscall.EPERM,
			want: "open /dev/i2c-1: operation not permitted: this service may not use the device; fix: DeviceAllow=/dev/i2c-1 rw in its systemd unit"},
		{name: "not enabled", number: 1, open: syscall.ENOENT, others: []string{"/dev/i2c-20"}, is: fs.ErrNotExist,
			want: "open /dev/i2c-1: no such file or directory: I²C is not enabled; fix: sudo raspi-config nonint do_i2c 0 && sudo reboot"},
		{name: "a laptop", number: 1, open: syscall.ENOENT, root: laptop, is: fs.ErrNotExist,
			want: "open /dev/i2c-1: no such file or directory: this machine has no I²C bus; fix: if it has an adapter: sudo modprobe i2c-dev; echo i2c-dev | sudo tee /etc/modules-load.d/i2c.conf; without hardware: --simulate"},
		{name: "enabled, without the module", number: 1, open: syscall.ENOENT, root: enabled, is: fs.ErrNotExist,
			want: "open /dev/i2c-1: no such file or directory: I²C is enabled, but the module i2c-dev is not loaded; fix: sudo modprobe i2c-dev; echo i2c-dev | sudo tee /etc/modules-load.d/i2c.conf"},
		{name: "another board", number: 1, open: syscall.ENOENT, root: orange, is: fs.ErrNotExist,
			want: "open /dev/i2c-1: no such file or directory: Orange Pi Zero 3 has no I²C bus enabled; fix: enable one as its maker says, mostly by a device tree overlay, then sudo modprobe i2c-dev; echo i2c-dev | sudo tee /etc/modules-load.d/i2c.conf"},
		{name: "a laptop with other buses", number: 1, open: syscall.ENOENT, root: laptop, others: []string{"/dev/i2c-20"}, is: fs.ErrNotExist,
			want: "open /dev/i2c-1: no such file or directory: there is no such bus; see which there are: ls /dev/i2c-*"},
		{name: "no bus at all", number: 3, open: syscall.ENOENT, is: syscall.ENOENT,
			want: "open /dev/i2c-3: no such file or directory: I²C is not enabled; fix: sudo raspi-config nonint do_i2c 0 && sudo reboot"},
		{name: "another bus", number: 3, open: syscall.ENOENT, others: []string{"/dev/i2c-1", "/dev/i2c-20"}, is: syscall.ENOENT,
			want: "open /dev/i2c-3: no such file or directory: there is no such bus; there are /dev/i2c-1, /dev/i2c-20"},
		{name: "a node without an adapter", number: 1, open: syscall.ENODEV, is: syscall.ENODEV,
			want: "open /dev/i2c-1: no such device"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var open int
			s := system{
				open: func(path string, flags int, _ uint32) (int, error) {
					if path != fmt.Sprintf("/dev/i2c-%d", c.number) || flags != os.O_RDWR|syscall.O_CLOEXEC {
						t.Errorf("open %s %#x", path, flags)
					}
					if c.open != nil {
						return -1, c.open
					}
					open++
					return 7, nil
				},
				close: func(int) error { open--; return nil },
				ioctl: func(fd int, request uintptr, arg unsafe.Pointer) (int, syscall.Errno) {
					if fd != 7 || request != 0x705 {
						t.Errorf("ioctl(%d, %#x)", fd, request)
					}
					*(*uintptr)(arg) = c.funcs
					return 0, c.funcsErrno
				},
				watch:  func(string, func()) func() { open++; return func() { open-- } },
				stat:   func(string) (node, error) { return c.node, c.nodeErr },
				user:   func() string { return "alice" },
				others: func() []string { return c.others },
				root:   cmp.Or(c.root, pi),
			}
			b, err := s.openDevice(fmt.Sprint(c.number), fmt.Sprintf("/dev/i2c-%d", c.number))
			if c.want == "" {
				if err != nil || open != 2 {
					t.Fatalf("%v, %d descriptors", err, open)
				}
				if err := b.Close(); err != nil {
					t.Error(err)
				}
			} else if err == nil || err.Error() != c.want || !errors.Is(err, c.is) {
				t.Errorf("got  %v\nwant %s", err, c.want)
			}
			if open != 0 {
				t.Errorf("%d descriptors left", open)
			}
		})
	}
}

// The real ways to find out whose a file is and who we are.
func TestWho(t *testing.T) {
	n, err := statNode(os.DevNull)
	if err != nil || n.owner != "root" || n.mode.Perm() == 0 {
		t.Errorf("%+v, %v", n, err)
	}
	if _, err := statNode("/dev/no such device"); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	if who := busUser(); who == "" {
		t.Error("nobody")
	}
	_, err = Open("987")
	if !errors.Is(err, syscall.ENOENT) || !strings.Contains(err.Error(), "open /dev/i2c-987: no such file or directory: ") {
		t.Error(err)
	}
}
