package lines

import (
	"io/fs"
	"os"

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
