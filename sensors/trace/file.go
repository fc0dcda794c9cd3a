package trace

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
)

// A File is a trace on a disk, which never gets larger than its limit: when half of that is
// written, the file is renamed to path.1, in place of the one before, and a new one begins.
type File struct {
	path  string
	limit int64

	mu      sync.Mutex
	file    *os.File // nil before Begin and after Close
	out     *bufio.Writer
	written int64
}

// NewFile returns a file at path of at most limit bytes, path.1 included. There must
// not be one yet: a recording replaces none.
func NewFile(path string, limit int64) (*File, error) {
	for _, p := range []string{path, path + ".1"} {
		if _, err := os.Lstat(p); !errors.Is(err, fs.ErrNotExist) {
			if err == nil {
				err = fs.ErrExist
			}
			return nil, fmt.Errorf("%s: %w; fix: name another file, or remove this one", p, err)
		}
	}
	return &File{path: path, limit: limit}, nil
}

// Begin begins a file.
func (f *File) Begin() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.file != nil {
		if err := errors.Join(f.out.Flush(), f.file.Close(), os.Rename(f.path, f.path+".1")); err != nil {
			return err
		}
	}
	file, err := os.OpenFile(f.path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	f.file, f.out, f.written = file, bufio.NewWriterSize(file, 64<<10), 0
	return nil
}

// Write appends a line, which is on the disk after the next Flush at the latest.
func (f *File) Write(line []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.written += int64(len(line))
	return f.out.Write(line)
}

// Full reports whether half of the limit is written.
func (f *File) Full() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.written >= f.limit/2
}

// Flush gives the system what was written.
func (f *File) Flush() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.file == nil {
		return nil
	}
	return f.out.Flush()
}

// Close ends the file.
func (f *File) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.file == nil {
		return nil
	}
	err := errors.Join(f.out.Flush(), f.file.Close())
	f.file = nil
	return err
}
