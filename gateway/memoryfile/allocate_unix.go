//go:build unix && !linux

package memoryfile

import "os"

// allocate gives the file its size. Here nothing reserves memory.
func allocate(f *os.File, size int64) error { return f.Truncate(size) }
