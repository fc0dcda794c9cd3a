//go:build !unix

package state

import (
	"io/fs"
	"os"
)

// lockDir does nothing: there are no such locks here.
func lockDir(string) (*os.File, error) { return nil, nil }

// ownFile knows nothing of owners here.
func ownFile(fs.FileInfo) bool { return false }
