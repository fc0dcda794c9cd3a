package field

import (
	"io/fs"
	"os"
	"os/user"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// mapRegisters maps a file of registers for reading.
func mapRegisters(path string, size int) (memory []byte, unmap func(), err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	if memory, err = unix.Mmap(int(f.Fd()), 0, size, unix.PROT_READ, unix.MAP_SHARED); err != nil {
		return nil, nil, &fs.PathError{Op: "map", Path: path, Err: err}
	}
	return memory, func() { _ = unix.Munmap(memory) }, nil // it fails only for memory that is not mapped
}

func groupName(info fs.FileInfo) string {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return "i2c"
	}
	gid := strconv.Itoa(int(st.Gid))
	if g, err := user.LookupGroupId(gid); err == nil {
		return g.Name
	}
	return gid
}

// freeBytes returns how much room there is for a user in a directory.
func freeBytes(dir string) (free, total uint64, err error) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return 0, 0, err
	}
	return s.Bavail * uint64(s.Frsize), s.Blocks * uint64(s.Frsize), nil
}

// mayWrite reports whether this user may write there.
func mayWrite(dir string) error { return unix.Access(dir, unix.W_OK|unix.X_OK) }
