//go:build !linux

package history

// Datasync is Sync, for want of better.
func (f osFile) Datasync() error { return f.Sync() }
