package disk

import (
	"errors"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Sync leaves out the time of the last change, which would cost a write of
// the file system's journal each time.
func (f osFile) Sync() error {
	c, err := f.SyscallConn()
	if err != nil {
		return err
	}
	outer := c.Control(func(fd uintptr) {
		for err = unix.EINTR; err == unix.EINTR; {
			err = unix.Fdatasync(int(fd))
		}
	})
	if err = errors.Join(outer, err); err != nil {
		return &os.PathError{Op: "fdatasync", Path: f.Name(), Err: err}
	}
	return nil
}

// Space returns the size of the file system that the directory is in, or is to be in.
func (d OS) Space() (bytes int64, err error) {
	var s unix.Statfs_t
	for dir := string(d); ; dir = filepath.Dir(dir) {
		if err = unix.Statfs(dir, &s); !errors.Is(err, unix.ENOENT) || dir == filepath.Dir(dir) {
			break
		}
	}
	if err != nil {
		return 0, &os.PathError{Op: "statfs", Path: string(d), Err: err}
	}
	return int64(s.Blocks) * int64(s.Bsize), nil // Bsize has 32 bits on some machines
}

// Allocate reserves the space of an empty file, and gives it its size. FAT and NFS
// cannot.
func (f osFile) Allocate(size int64) error {
	c, err := f.SyscallConn()
	if err != nil {
		return err
	}
	outer := c.Control(func(fd uintptr) {
		for err = unix.EINTR; err == unix.EINTR; {
			err = unix.Fallocate(int(fd), 0, 0, size)
		}
	})
	if err = errors.Join(outer, err); err != nil {
		return &os.PathError{Op: "fallocate", Path: f.Name(), Err: err}
	}
	return nil
}

// Uncache makes the system forget what it has of the file in memory, as far as
// that is on the disk, so that the next read comes from there. It is advice to
// the system.
func (f osFile) Uncache() {
	if c, err := f.SyscallConn(); err == nil {
		_ = c.Control(func(fd uintptr) { _ = unix.Fadvise(int(fd), 0, 0, unix.FADV_DONTNEED) })
	}
}
