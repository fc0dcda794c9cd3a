package lines

import (
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// mapRegisters maps a file of registers for reading, and for writing too if write is true.
func mapRegisters(path string, size int, write bool) (memory registers32, unmap func(), err error) {
	flags, protection := os.O_RDONLY, unix.PROT_READ
	if write {
		flags, protection = os.O_RDWR, unix.PROT_READ|unix.PROT_WRITE
	}
	f, err := os.OpenFile(path, flags, 0)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	if memory, err = unix.Mmap(int(f.Fd()), 0, size, protection, unix.MAP_SHARED); err != nil {
		return nil, nil, &fs.PathError{Op: "map", Path: path, Err: err}
	}
	return memory, func() { _ = unix.Munmap(memory) }, nil // it fails only for memory that is not mapped
}
