package state

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path/filepath"
	"sync"
	"time"

	"sensorgateway/gateway/atomicfile"
)

const (
	// keepTime is how long the answer to an e-stop waits for the file.
	keepTime = 20 * time.Millisecond
	// latchRetry is the pause between attempts to store the latch.
	latchRetry = time.Second
	// latchCheck is how often the latch makes sure that its file is still in place:
	// a directory can be removed, renamed or unmounted.
	latchCheck = 10 * time.Second
)

var errSlow = errors.New("the disk does not answer")

// Latch stores a latched e-stop over a restart, which is no reset. It is no
// command that is played later: nothing moves by it. One goroutine writes
// ([Latch.Run]), another syncs behind it, and both try again until they succeed.
type Latch struct {
	path    string // "" stores nothing
	changed func(error)
	log     *slog.Logger
	open    func(path string) (latchStore, error)

	wake     chan struct{} // there is something to write; size 1: one stands for all
	sync     chan struct{} // there is something to sync; size 1 likewise
	unsynced chan struct{} // a sync failed; size 1 likewise

	mu      sync.Mutex
	text    string        // to be stored; "": what is in the file
	pending chan struct{} // closed when text was written to a file in place; nil: it was
	file    latchStore    // nil: not open yet
	created bool          // the directory may not have it durably
	err     error         // why the latch is not stored durably; nil: it is
}

// NewLatch returns the latch that is stored in dir; "" stores nothing. It does not
// use the disk yet. changed is called when storing it begins to fail, with the
// reason, and with nil when it works again.
func NewLatch(dir string, changed func(error), log *slog.Logger) *Latch {
	return newLatch(dir, changed, log, openLatch)
}

func newLatch(dir string, changed func(error), log *slog.Logger, open func(string) (latchStore, error)) *Latch {
	l := &Latch{
		changed: changed, log: log, open: open,
		wake: make(chan struct{}, 1), sync: make(chan struct{}, 1), unsynced: make(chan struct{}, 1),
	}
	if dir != "" {
		l.path = filepath.Join(dir, latchFile)
	}
	return l
}

// Read returns who had latched the e-stop before the program started, and when, ""
// if it was not latched. In doubt it counts as latched. Read waits for the disk.
// Nothing is written before that, unless the latch is set meanwhile.
func (l *Latch) Read() (by string, at time.Time) {
	if l.path == "" {
		return "", at
	}
	text, _, err := readFile(l.path)
	if errors.Is(err, fs.ErrNotExist) {
		at = time.Now()
	} else if by, at = parseLatch(string(text)); err != nil {
		l.log.Warn("whether an e-stop is latched cannot be read, so it is until a reset", "file", l.path, "err", err)
		by, at = unknownPresser, time.Now()
	}
	if newerLatch(string(text)) {
		atomicfile.CopyNewer(l.log, l.path, text)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.text == "" {
		l.set(latchText(by, at))
	}
	return by, at
}

// Set has [Latch.Run] store an e-stop or a reset, and returns at once.
func (l *Latch) Set(latched bool, by string, at time.Time) {
	if l.path == "" {
		return
	}
	if !latched {
		by = ""
	} else if by = latchName(by); by == "" {
		by = "somebody"
	}
	l.mu.Lock()
	written := l.set(latchText(by, at))
	l.mu.Unlock()
	time.AfterFunc(keepTime, func() { l.reportSlow(written) })
}

// Kept waits for a short time until what was set last, or what Read has found, is
// written, and returns whether it is.
func (l *Latch) Kept() bool {
	l.mu.Lock()
	written := l.pending
	l.mu.Unlock()
	if written == nil {
		return l.path != ""
	}
	timer := time.NewTimer(keepTime)
	defer timer.Stop()
	select {
	case <-written:
		return true
	case <-timer.C:
		return false
	}
}

// set notes what is to be written. l.mu is held.
func (l *Latch) set(text string) (written chan struct{}) {
	l.text = text
	if l.pending == nil {
		l.pending = make(chan struct{})
	}
	signal(l.wake)
	return l.pending
}

// Run writes what is set until ctx ends; [Latch.Close] writes what was set after
// that.
func (l *Latch) Run(ctx context.Context) error {
	stop := make(chan struct{})
	var syncer sync.WaitGroup
	syncer.Go(func() {
		for {
			select {
			case <-l.sync:
				if l.flush() != nil {
					signal(l.unsynced)
				}
			case <-stop:
				return
			}
		}
	})
	defer syncer.Wait()
	defer close(stop)
	retry := time.NewTimer(time.Hour)
	defer retry.Stop()
	check := time.NewTicker(latchCheck)
	defer check.Stop()
	for {
		select {
		case <-l.unsynced:
			retry.Reset(latchRetry)
			continue
		case <-check.C:
			if l.inPlace() == nil {
				continue
			}
		case <-l.wake:
		case <-retry.C:
		case <-ctx.Done():
			return nil
		}
		if l.write() != nil {
			retry.Reset(latchRetry)
		}
	}
}

// Close writes and syncs what was set last, if Run has not.
func (l *Latch) Close() {
	if l.path == "" {
		return
	}
	l.mu.Lock()
	pending, unread := l.pending != nil, l.text == ""
	l.mu.Unlock()
	if unread || pending && l.write() != nil {
		return // it has been logged
	}
	_ = l.flush() // likewise
	if err := l.file.Close(); err != nil {
		l.log.Warn("the e-stop's file cannot be closed", "file", l.path, "err", err)
	}
}

// inPlace returns nil if the file, once it is open, is in place.
func (l *Latch) inPlace() error {
	l.mu.Lock()
	file := l.file
	l.mu.Unlock()
	if file == nil {
		return nil
	}
	return file.InPlace()
}

// write writes the text to the page cache. It tries the file that is open first,
// since opening another one may fail.
func (l *Latch) write() error {
	l.mu.Lock()
	text, file := l.text, l.file
	l.mu.Unlock()
	err := fs.ErrClosed
	if file != nil {
		err = writeLatch(file, text)
	}
	if err != nil {
		if file, err = l.reopen(); err == nil {
			err = writeLatch(file, text)
		}
	}
	if err != nil {
		l.mu.Lock()
		if l.pending == nil { // it was written, to a file that is not in place any more
			l.pending = make(chan struct{})
		}
		l.mu.Unlock()
		l.report(err)
		return err
	}
	signal(l.sync)
	l.mu.Lock()
	defer l.mu.Unlock()
	if text == l.text && l.pending != nil {
		close(l.pending)
		l.pending = nil
	}
	return nil
}

func (l *Latch) reopen() (latchStore, error) {
	file, err := l.open(l.path)
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file != nil {
		_ = l.file.Close() // it could not be written
	}
	l.file, l.created = file, true
	return file, nil
}

// flush syncs the file, and the directory that it was created in.
func (l *Latch) flush() error {
	l.mu.Lock()
	file, created := l.file, l.created
	l.created = false
	l.mu.Unlock()
	err := file.Sync()
	if created {
		err = errors.Join(err, atomicfile.OS{}.SyncDir(filepath.Dir(l.path)))
	}
	if err != nil {
		l.mu.Lock()
		l.created = l.created || created
		l.mu.Unlock()
	}
	l.report(err)
	return err
}

// Stored returns why the latch is not stored durably, nil if it is.
func (l *Latch) Stored() error {
	if l.path == "" {
		return errors.New("the e-stop's latch is in memory only: there is no state directory")
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

// report notes whether the latch is stored durably.
func (l *Latch) report(err error) {
	l.mu.Lock()
	say := l.note(err)
	l.mu.Unlock()
	say()
}

// reportSlow reports that what was set was not written in time.
func (l *Latch) reportSlow(written chan struct{}) {
	l.mu.Lock()
	say := func() {}
	if l.pending != nil && l.pending == written && l.err == nil {
		say = l.note(errSlow)
	}
	l.mu.Unlock()
	say()
}

// note notes whether the latch is stored durably. say reports it if that has changed;
// the caller, who holds l.mu now, calls it without the lock.
func (l *Latch) note(err error) (say func()) {
	was := l.err
	if l.err = err; err != nil {
		l.err = fmt.Errorf("the e-stop's latch is not stored: %w", err)
	}
	now := l.err
	switch {
	case (was == nil) == (now == nil):
		return func() {}
	case now == nil:
		return func() {
			l.log.Info("the e-stop's latch is stored again", "file", l.path)
			l.changed(nil)
		}
	}
	return func() {
		l.log.Warn("the e-stop cannot be stored: after a restart it may be as it was before (it is tried again until it is)", "file", l.path, "err", err)
		l.changed(now)
	}
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
