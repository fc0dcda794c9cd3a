package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// fileSystem is a file system in a file, whose power can be cut.
type fileSystem struct {
	t       *testing.T
	kind    string // as mount calls it
	cuts    int    // so far
	image   string // what is mounted
	left    string // what the power cut left
	dir     string // where it is mounted
	mounted bool
}

// newFileSystem makes and mounts one of 64 MiB.
func newFileSystem(t *testing.T, kind string, mkfs ...string) *fileSystem {
	t.Helper()
	return newFileSystemOf(t, 64<<20, kind, mkfs...)
}

func newFileSystemOf(t *testing.T, size int64, kind string, mkfs ...string) *fileSystem {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("to mount a file system takes root")
	}
	for _, tool := range []string{mkfs[0], "unshare"} {
		if _, err := exec.LookPath(tool); err != nil {
			unavailable(t, "no %s here (Debian packages e2fsprogs, dosfstools, util-linux)", tool)
		}
	}
	known, err := os.ReadFile("/proc/filesystems")
	if err != nil || !slices.Contains(strings.Fields(string(known)), kind) && exec.Command("modprobe", kind).Run() != nil {
		t.Skipf("the kernel has no %s", kind)
	}
	top := t.TempDir()
	d := &fileSystem{t: t, kind: kind, image: filepath.Join(top, "image"), dir: filepath.Join(top, "mnt")}
	if err := os.Mkdir(d.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(d.image, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(d.image, size); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(mkfs[0], append(mkfs[1:], d.image)...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v: %s", mkfs[0], err, out)
	}
	if err := d.mount(); err != nil {
		t.Skipf("no file system can be mounted here: %v", err)
	}
	t.Cleanup(d.unmount)
	return d
}

func newExt4(t *testing.T) *fileSystem { return newFileSystem(t, "ext4", "mkfs.ext4", "-q") }

func (d *fileSystem) mount() error {
	if out, err := exec.Command("mount", "-t", d.kind, "-o", "loop", d.image, d.dir).CombinedOutput(); err != nil {
		return fmt.Errorf("mount: %w: %s", err, out)
	}
	d.mounted = true
	return nil
}

// restore mounts what the power cut left. It mounts a copy, because the kernel would find
// the file system that was shut down on the same loop device, as long as another mount
// namespace of the machine has it.
func (d *fileSystem) restore() {
	d.t.Helper()
	d.unmount()
	if d.left == "" {
		d.copyImage()
	}
	if err := os.Remove(d.image); err != nil {
		d.t.Fatal(err)
	}
	d.image, d.left = d.left, ""
	if d.kind == "ext2" { // as a machine does when it starts; 1: errors were corrected
		if out, err := exec.Command("fsck.ext2", "-fy", d.image).CombinedOutput(); err != nil && !strings.Contains(err.Error(), "status 1") {
			d.t.Fatalf("fsck.ext2: %v: %s", err, out)
		}
	}
	if err := d.mount(); err != nil {
		d.t.Fatal(err)
	}
}

// copyImage copies what is on the disk now.
func (d *fileSystem) copyImage() {
	d.t.Helper()
	d.cuts++
	d.left = filepath.Join(filepath.Dir(d.dir), fmt.Sprintf("image-%d", d.cuts))
	if out, err := exec.Command("cp", "--sparse=always", d.image, d.left).CombinedOutput(); err != nil {
		d.t.Fatalf("cp: %v: %s", err, out)
	}
}

func (d *fileSystem) unmount() {
	if !d.mounted {
		return
	}
	if out, err := exec.Command("umount", d.dir).CombinedOutput(); err != nil {
		d.t.Errorf("umount: %v: %s", err, out)
	}
	d.mounted = false
}

// cut cuts the power of the disk and the program, which uses nothing else: nothing is
// written to the disk after it.
func (d *fileSystem) cut(p *gatewayProcess) {
	d.t.Helper()
	if d.kind == "ext4" {
		d.shutDown()
	} else {
		p.freeze(d.t)
		d.copyImage() // at most, the system wrote some pages by itself
	}
	p.cmd.Process.Kill()
	<-p.exited
}

func (d *fileSystem) shutDown() {
	d.t.Helper()
	fd, err := unix.Open(d.dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		d.t.Fatal(err)
	}
	defer unix.Close(fd)
	const shutdown, withoutLog = 0x8004587D, 2 // EXT4_IOC_SHUTDOWN, EXT4_GOING_FLAGS_NOLOGFLUSH
	if err := unix.IoctlSetPointerInt(fd, shutdown, withoutLog); err != nil {
		d.t.Skipf("ext4 cannot be shut down here: %v", err)
	}
}

// freeze stops the program, and waits until none of its threads is in a system call, so
// that a sync that has begun is complete.
func (p *gatewayProcess) freeze(t *testing.T) {
	t.Helper()
	if err := p.cmd.Process.Signal(unix.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	busy := func(stat string) bool {
		b, err := os.ReadFile(stat)
		_, state, _ := strings.Cut(string(b), ") ")
		return err == nil && !strings.HasPrefix(state, "T")
	}
	for late := time.Now().Add(patience); ; <-time.After(time.Millisecond) {
		threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", p.cmd.Process.Pid))
		if err != nil || time.Now().After(late) {
			t.Fatalf("the program does not stop within %v, %v", patience, err)
		}
		if !slices.ContainsFunc(threads, busy) {
			return
		}
	}
}
