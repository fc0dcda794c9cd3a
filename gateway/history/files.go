package history

import (
	"sensorgateway/gateway/atomicfile"
	"sensorgateway/gateway/history/disk"
)

// FS is the directory of a log. Names are relative to it, with slashes; "" is the
// directory itself. Creating a file, or renaming one, creates the directory that it
// goes to.
type FS interface {
	Files
	atomicfile.Dir
}

// Files opens, creates and lists files.
type Files interface {
	// Open opens a file that exists; write: to read and write it.
	Open(name string, write bool) (disk.File, error)
	// Create creates an empty file, or empties the one that exists.
	Create(name string) (disk.File, error)
	// List returns the files in a directory by their names, none if it is missing.
	List(dir string) ([]disk.Info, error)
}
