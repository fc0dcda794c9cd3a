package disk

import "time"

// Lock is a lock that may be held for as long as a disk does not answer. Unlike a mutex,
// it lets the fake clock of testing/synctest advance meanwhile. Its channel has room for 1.
type Lock chan struct{}

// Lock waits until the lock is free, and takes it.
func (t Lock) Lock() { t <- struct{}{} }

// TryLock takes the lock if it is free, and returns whether it was.
func (t Lock) TryLock() bool {
	select {
	case t <- struct{}{}:
		return true
	default:
		return false
	}
}

// Unlock frees it.
func (t Lock) Unlock() { <-t }

// A Timer ends a wait for a disk.
type Timer interface {
	Reset(time.Duration) // C has a value when it is over
	C() <-chan time.Time
	Stop()
	Close()
}

// NewTimer returns one of the runtime's, which is stopped.
func NewTimer() Timer {
	t := time.NewTimer(time.Hour)
	t.Stop()
	return runtimeTimer{t}
}

type runtimeTimer struct{ t *time.Timer }

func (t runtimeTimer) Reset(d time.Duration) { t.t.Reset(d) }
func (t runtimeTimer) C() <-chan time.Time   { return t.t.C }
func (t runtimeTimer) Stop()                 { t.t.Stop() }
func (t runtimeTimer) Close()                { t.t.Stop() }
