//go:build unix

package state

import (
	"errors"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// lockDir locks dir against other processes until the file is closed or the
// process ends. On a file system without locks it does nothing.
func lockDir(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o640)
	if err != nil {
		return nil, nil // then the numbers cannot be written either
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); errors.Is(err, unix.EWOULDBLOCK) {
		return nil, errors.Join(errors.New("another process uses it"), f.Close())
	}
	return f, nil
}

// ownerOf returns the user that owns a directory, -1 if that is not known.
func ownerOf(dir string) int {
	var stat unix.Stat_t
	if unix.Stat(dir, &stat) != nil {
		return -1
	}
	return int(stat.Uid)
}
