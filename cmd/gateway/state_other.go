//go:build !unix

package main

// syncDir does nothing: directories cannot be synced here, and who simulates on
// a laptop can do without.
func syncDir(string) error { return nil }
