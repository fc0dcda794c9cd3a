//go:build unix

package statefile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Lock locks the directory against other processes that change its files with this
// package. (The gateway holds its file "lock" for as long as it runs.) The directory
// itself is locked: a file for that could be a link that root would follow.
func Lock(dir string) (unlock func(), err error) {
	d, err := os.Open(dir)
	if err != nil {
		return nil, explain(dir, err)
	}
	for deadline := time.Now().Add(lockTime); ; time.Sleep(10 * time.Millisecond) {
		err := unix.Flock(int(d.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		switch {
		case err == nil, errors.Is(err, unix.ENOTSUP), errors.Is(err, unix.ENOSYS): // a file system without locks
			return func() { _ = d.Close() }, nil
		case !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR), time.Now().After(deadline):
			return nil, errors.Join(fmt.Errorf("%s cannot be locked, another process may change its files: %w", dir, err), d.Close())
		}
	}
}

// chown gives a file of the directory to the directory's owner.
func chown(dir string, f *os.File) error {
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok || int(stat.Uid) == os.Geteuid() {
		return nil
	}
	if err := f.Chown(int(stat.Uid), int(stat.Gid)); err != nil {
		return fmt.Errorf("%w; fix: run this as %s, whose directory it is, or as root", err, userName(stat.Uid))
	}
	return nil
}

func explain(dir string, err error) error {
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("%w; fix: run this as the owner of %s, or as root (sudo)", err, dir)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w; fix: name the gateway's state directory with --state, or make it", err)
	}
	return err
}

func userName(uid uint32) string {
	id := strconv.FormatUint(uint64(uid), 10)
	if u, err := user.LookupId(id); err == nil {
		return u.Username
	}
	return "user " + id
}
