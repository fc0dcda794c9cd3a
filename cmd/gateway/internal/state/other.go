//go:build !unix

package state

import (
	"io/fs"
	"os"
)

// lockDir does nothing: who simulates on a laptop can do without.
func lockDir(string) (*os.File, error) { return nil, nil }

// ownFile knows nothing of owners here.
func ownFile(fs.FileInfo) bool { return false }
