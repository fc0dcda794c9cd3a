package memoryfile

import (
	"os"

	"golang.org/x/sys/unix"
)

// allocate reserves the memory now: without memory, a later store would raise a signal,
// not return an error.
func allocate(f *os.File, size int64) (err error) {
	for err = unix.EINTR; err == unix.EINTR; {
		err = unix.Fallocate(int(f.Fd()), 0, 0, size)
	}
	return err
}

// everybodys is the directory in memory that all programs of the machine, or of a
// container, have.
const everybodys = "/dev/shm"

// Outlives reports whether files in a directory are in memory, where no write waits for a
// disk (statfs(2)), and remain after this process. If this is the first process of a
// container, or a child of it, the container's memory ends with it.
func Outlives(dir string) bool {
	var s unix.Statfs_t
	if unix.Statfs(dir, &s) != nil || s.Type != unix.TMPFS_MAGIC {
		return false
	}
	return dir != everybodys || os.Getpid() != 1 && os.Getppid() != 1
}
