package history

import (
	"sensorgateway/gateway/atomicfile"

	"sensorgateway/gateway/history/disk"
)

// FS is the directory of a log. Names are relative to it, with slashes; "" is
// itself. What is created or renamed into a directory that is missing makes it.
type FS interface {
	Files
	atomicfile.Dir
}

// Files is what there is in a directory.
type Files interface {
	// Open opens a file that exists. Write tells whether it will be written.
	Open(name string, write bool) (disk.File, error)
	// Create makes an empty file, or empties the one that exists.
	Create(name string) (disk.File, error)
	// List returns the files in a directory, in the order of their names, none if
	// it is missing.
	List(dir string) ([]disk.Info, error)
}
