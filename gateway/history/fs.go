package history

import "io"

// FS is a directory on a disk, as much of it as the log needs. Names are relative
// to it, with slashes. [NewMemory] is one without a disk; nil in [Options] is the
// operating system's.
type FS interface {
	// Open opens a file that exists. Write tells whether it will be written.
	Open(name string, write bool) (File, error)
	// Create makes an empty file, or empties the one that exists.
	Create(name string) (File, error)
	// Rename replaces what is there of that name. Like all that changes a
	// directory, it is durable after SyncDir.
	Rename(from, to string) error
	Remove(name string) error
	// Mkdir makes a directory and those above it; "" is the FS's own. It is
	// no error if it exists.
	Mkdir(name string) error
	// List returns the files in a directory, in the order of their names.
	List(name string) ([]FileInfo, error)
	SyncDir(name string) error
}

// File is an open file of an [FS].
type File interface {
	io.ReaderAt
	io.WriterAt
	// Datasync makes durable what was written, and of the rest as much as is
	// needed to read it.
	Datasync() error
	Close() error
}

// FileInfo is a file in a directory.
type FileInfo struct {
	Name string
	Size int64
}
