package state

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"sensorgateway/gateway/atomicfile"
)

const (
	// latchFile has who latched the e-stop in its first line, which is empty if it
	// is not latched. It is opened at the start and overwritten in place: then
	// neither descriptors nor space on the disk can be lacking when it matters, and
	// what is written survives any death of the process.
	latchFile = "estop"
	// latchSize is the size of the file: less than a sector, so that a cut of power
	// leaves the old or the new.
	latchSize = 128
	// keepTime is how long the answer to an e-stop waits for the file.
	keepTime = 20 * time.Millisecond
	// latchRetry is the pause between attempts to store the latch.
	latchRetry = time.Second
)

// Latch stores a latched e-stop over a restart, which is no reset. It is no
// command that is played later: nothing moves by it. One goroutine writes
// ([Latch.Run]), another syncs behind it, and both try again until they succeed.
type Latch struct {
	path    string // "" stores nothing
	by      string // who had latched it at the start
	changed func(error)
	log     *slog.Logger
	open    func(path string) (latchStore, error)

	wake     chan struct{} // there is something to write; size 1: one stands for all
	sync     chan struct{} // there is something to sync; size 1 likewise
	unsynced chan struct{} // a sync failed; size 1 likewise

	mu      sync.Mutex
	text    string        // to be stored
	pending chan struct{} // closed when text was written; nil: it was
	file    latchStore    // nil: not open yet
	created bool          // the directory may not have it durably
	err     error         // why the latch is not stored durably; nil: it is
}

// latchStore is what a Latch uses of an [os.File].
type latchStore interface {
	io.WriterAt
	io.Closer
	Sync() error
}

func openLatch(path string) (latchStore, error) {
	return os.OpenFile(path, os.O_WRONLY|os.O_CREATE, 0o640)
}

// NewLatch returns the latch that is stored in dir; "" stores nothing. changed is
// called when storing it begins to fail, with the reason, and with nil when it
// works again.
func NewLatch(dir string, changed func(error), log *slog.Logger) *Latch {
	return newLatch(dir, changed, log, openLatch)
}

func newLatch(dir string, changed func(error), log *slog.Logger, open func(string) (latchStore, error)) *Latch {
	l := &Latch{
		changed: changed, log: log, open: open,
		wake: make(chan struct{}, 1), sync: make(chan struct{}, 1), unsynced: make(chan struct{}, 1),
	}
	if dir == "" {
		return l
	}
	l.path = filepath.Join(dir, latchFile)
	l.by = l.read()
	l.set(l.by)
	if l.write() == nil {
		<-l.wake // done
	}
	return l
}

// By returns who had latched it when the program started, "" if it was not
// latched. In doubt it was.
func (l *Latch) By() string { return l.by }

func (l *Latch) read() string {
	const unknown = "somebody before the restart"
	text, err := os.ReadFile(l.path)
	if errors.Is(err, fs.ErrNotExist) {
		return ""
	}
	if err != nil {
		l.log.Warn("whether an e-stop is latched cannot be read, so it is until a reset", "file", l.path, "err", err)
		return unknown
	}
	by, _, _ := strings.Cut(string(text), "\n")
	if by = strings.Trim(by, "\x00"); by == "" && !strings.HasPrefix(string(text), "\n") {
		return unknown // a file without a line was cut short
	}
	return by
}

// Set has [Latch.Run] store an e-stop or a reset, and returns at once. kept waits
// for a short time until it is written, and returns whether it is.
func (l *Latch) Set(latched bool, by string) (kept func() bool) {
	switch {
	case l.path == "":
		return func() bool { return true }
	case !latched:
		by = ""
	case by == "":
		by = "somebody"
	}
	written := l.set(by)
	return func() bool {
		timer := time.NewTimer(keepTime)
		defer timer.Stop()
		select {
		case <-written:
			return true
		case <-timer.C:
			return false
		}
	}
}

func (l *Latch) set(by string) (written <-chan struct{}) {
	by = strings.ToValidUTF8(strings.ReplaceAll(by, "\n", " "), "")
	by = strings.ToValidUTF8(by[:min(len(by), latchSize-1)], "")
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text = by + "\n" + strings.Repeat(" ", latchSize-1-len(by))
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
	for {
		select {
		case <-l.unsynced:
			retry.Reset(latchRetry)
			continue
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
	pending := l.pending != nil
	l.mu.Unlock()
	if pending && l.write() != nil {
		return // it has been logged
	}
	_ = l.flush() // likewise
	if err := l.file.Close(); err != nil {
		l.log.Warn("the e-stop's file cannot be closed", "file", l.path, "err", err)
	}
}

// write writes the text to the page cache. The file that is open is tried first:
// another may not be had.
func (l *Latch) write() error {
	l.mu.Lock()
	text, file := l.text, l.file
	l.mu.Unlock()
	err := fs.ErrClosed
	if file != nil {
		_, err = file.WriteAt([]byte(text), 0)
	}
	if err != nil {
		if file, err = l.reopen(); err == nil {
			_, err = file.WriteAt([]byte(text), 0)
		}
	}
	if err != nil {
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
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

// report notes whether the latch is stored durably, and says so if that changed.
func (l *Latch) report(err error) {
	l.mu.Lock()
	was := l.err
	l.err = err
	if err != nil {
		l.err = fmt.Errorf("the e-stop's latch is not stored: %w", err)
	}
	now := l.err
	l.mu.Unlock()
	switch {
	case (was == nil) == (now == nil):
	case now == nil:
		l.log.Info("the e-stop's latch is stored again", "file", l.path)
		l.changed(nil)
	default:
		l.log.Warn("the e-stop cannot be stored: after a restart it may be another (it is tried again every second)", "file", l.path, "err", err)
		l.changed(now)
	}
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
