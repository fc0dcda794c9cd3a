//go:build !unix

package statefile

import "os"

// Lock does nothing: there are no such locks here.
func Lock(string) (unlock func(), err error) { return func() {}, nil }

// chown does nothing: files have no such owners here.
func chown(string, *os.File) error { return nil }
