//go:build !unix

package tokens

import "os"

// lock does nothing: there are no such locks here.
func lock(string) (unlock func(), err error) { return func() {}, nil }

// chown does nothing: files have no such owners here.
func chown(string, *os.File) error { return nil }
