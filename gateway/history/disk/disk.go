// Package disk is the directory that a log is in: the operating system's, or one in
// memory. It knows nothing of what is in the files.
package disk

import (
	"errors"
	"io"
	"sync/atomic"
	"syscall"
)

// File is a file that is open. One goroutine at a time uses it, except for reading.
type File interface {
	io.ReaderAt
	io.WriterAt
	// Sync makes durable what was written, and of the rest as much as is needed to
	// read it.
	Sync() error
	Close() error
}

var (
	errRemoved  = errors.New("it was removed")
	errReplaced = errors.New("it was replaced by another file")
	errCutOff   = errors.New("it was cut off")
)

// InPlace returns nil if a file that is open still has its name and so many bytes: what is
// written to it is there at the next start. It also returns nil where the system does not say.
func InPlace(f File, size int64) error {
	if f, ok := f.(interface{ InPlace(size int64) error }); ok {
		return f.InPlace(size)
	}
	return nil
}

// Info is a file in a directory.
type Info struct {
	Name string
	Size int64
}

// Full returns whether an operation failed because there is no space left.
func Full(err error) bool { return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) }

// Exhausted returns whether an operation failed because the process or the system has no
// descriptors or no memory left: the file may be all right.
func Exhausted(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) || errors.Is(err, syscall.ENOMEM)
}

// Reserve gives an empty file its size, all of it zeros. Where the system can, it
// also reserves the space.
func Reserve(f File, size int64) error {
	if f, ok := f.(interface{ Allocate(size int64) error }); ok {
		if err := f.Allocate(size); !errors.Is(err, errors.ErrUnsupported) {
			return err
		}
	}
	_, err := f.WriteAt([]byte{0}, size-1)
	return err
}

// Truncate cuts a file off, where it can be.
func Truncate(f File, size int64) error {
	if f, ok := f.(interface{ Truncate(size int64) error }); ok {
		return f.Truncate(size)
	}
	return errors.ErrUnsupported
}

// Counted returns a file that counts its reads in n.
func Counted(f File, n *atomic.Int64) File { return counted{f, n} }

type counted struct {
	File
	n *atomic.Int64
}

func (c counted) ReadAt(b []byte, at int64) (int, error) {
	c.n.Add(1)
	return c.File.ReadAt(b, at)
}
