//go:build !unix

package memoryfile

import (
	"errors"
	"io/fs"
	"os"
)

func mapFile(*os.File, int64) ([]byte, error) { return nil, errors.ErrUnsupported }

func unmapFile([]byte) error { return nil }

// own knows nothing of owners here.
func own(fs.FileInfo) bool { return false }
