//go:build !unix

package main

import (
	"io/fs"
	"os"
)

// syncDir and lockDir do nothing: directories cannot be synced here, and who
// simulates on a laptop can do without.
func syncDir(string) error             { return nil }
func lockDir(string) (*os.File, error) { return nil, nil }

// ownFile knows nothing of owners here.
func ownFile(fs.FileInfo) bool { return false }
