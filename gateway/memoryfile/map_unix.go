//go:build unix

package memoryfile

import (
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// mapFile gives an empty file a size, and maps it: mmap(2).
func mapFile(f *os.File, size int64) ([]byte, error) {
	if err := allocate(f, size); err != nil {
		return nil, &os.PathError{Op: "allocate", Path: f.Name(), Err: err}
	}
	b, err := unix.Mmap(int(f.Fd()), 0, int(size), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, &os.PathError{Op: "mmap", Path: f.Name(), Err: err}
	}
	return b, nil
}

// unmapFile ends a mapping, if there is one: munmap(2).
func unmapFile(b []byte) error {
	if b == nil {
		return nil
	}
	return unix.Munmap(b)
}

// trusted reports whether a file is a plain one of this user's; or, for root, of the
// owner of a directory that nobody else can write to.
func trusted(path string, info fs.FileInfo) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok || !info.Mode().IsRegular() {
		return false
	}
	if int(stat.Uid) == os.Geteuid() {
		return true
	}
	dir, err := os.Lstat(filepath.Dir(path))
	if err != nil || os.Geteuid() != 0 || !dir.IsDir() || dir.Mode().Perm()&0o022 != 0 {
		return false
	}
	in, ok := dir.Sys().(*syscall.Stat_t)
	return ok && in.Uid == stat.Uid
}
