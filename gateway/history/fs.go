package history

import "io"

// File is a file that is open. It is used by one goroutine at a time, but for
// reading.
type File interface {
	io.ReaderAt
	io.WriterAt
	// Sync makes durable what was written, and of the rest as much as is needed to
	// read it.
	Sync() error
	Close() error
}

// FileInfo is a file in a directory.
type FileInfo struct {
	Name string
	Size int64
}
