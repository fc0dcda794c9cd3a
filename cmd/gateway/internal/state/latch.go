package state

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"sensorgateway/cmd/gateway/internal/notify"
	"sensorgateway/gateway/atomicfile"
	"sensorgateway/wire"
)

// latchFile exists while an e-stop is latched. It has the name of who pressed it.
const latchFile = "estop"

// Latch stores a latched e-stop over a restart, which is no reset. It is no
// command that is played later: nothing moves by it. One goroutine writes to the
// disk ([Latch.Run]), and no stop waits for it: an e-stop of the last milliseconds
// before a SIGKILL may be lost.
type Latch struct {
	notify.Nop
	dir     string // "" stores nothing
	log     *slog.Logger
	changes chan string // by whom, "" is a reset; size 1, the newest replaces one that waits
}

// NewLatch returns the latch that is stored in dir; "" stores nothing.
func NewLatch(dir string, log *slog.Logger) *Latch {
	return &Latch{dir: dir, log: log, changes: make(chan string, 1)}
}

// By returns who latched it, "" if it is not latched. In doubt it is.
func (l *Latch) By() string {
	const unknown = "somebody before the restart"
	if l.dir == "" {
		return ""
	}
	path := filepath.Join(l.dir, latchFile)
	name, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return ""
	case err != nil:
		l.log.Warn("whether an e-stop is latched cannot be read, so it is until a reset", "file", path, "err", err)
		return unknown
	case len(name) == 0:
		return unknown
	}
	return string(name)
}

// Event has [Latch.Run] store each e-stop and each reset. One goroutine makes
// these.
func (l *Latch) Event(e wire.Event) {
	switch e.Kind {
	case wire.EventEStop:
		l.set(e.By)
	case wire.EventReset:
		l.set("")
	}
}

func (l *Latch) set(by string) {
	select {
	case <-l.changes:
	default:
	}
	l.changes <- by
}

// Run writes what is set until ctx ends; [Latch.Close] writes what was set after
// that.
func (l *Latch) Run(ctx context.Context) error {
	for {
		select {
		case by := <-l.changes:
			l.write(by)
		case <-ctx.Done():
			return nil
		}
	}
}

// Close writes what was set last, if Run has not.
func (l *Latch) Close() {
	select {
	case by := <-l.changes:
		l.write(by)
	default:
	}
}

func (l *Latch) write(by string) {
	if l.dir == "" {
		return
	}
	path := filepath.Join(l.dir, latchFile)
	var err error
	if by != "" {
		err = writeSynced(path, by)
	} else {
		err = removeFile(path)
	}
	if err == nil {
		err = atomicfile.OS{}.SyncDir(l.dir)
	}
	if err != nil {
		l.log.Warn("the e-stop could not be stored: after a restart it may be another", "latched", by != "", "file", path, "err", err)
	}
}

// writeSynced creates the file before it writes the name: on a full disk an empty
// one may be all that fits, and an empty one latches too.
func writeSynced(path, text string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o640)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Sync(), f.Close())
}
