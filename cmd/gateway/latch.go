package main

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
)

// latchFile is there while an e-stop is latched. It has the name of who did it.
const latchFile = "estop"

// latch keeps an e-stop over a restart, which is no reset. It is no command that
// is played later: nothing moves by it. Like all that is on a disk it is written
// by a goroutine of its own ([latch.keep]), for which no stop waits; so one of
// the last milliseconds before a SIGKILL may be forgotten.
type latch struct {
	dir  string // "" keeps nothing
	log  *slog.Logger
	news chan string // by whom, "" is a reset; size 1, the newest displaces what waits
}

func newLatch(dir string, log *slog.Logger) *latch {
	return &latch{dir: dir, log: log, news: make(chan string, 1)}
}

// by returns who latched it, "" if it is not latched. In doubt it is.
func (l *latch) by() string {
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
		l.log.Warn("it cannot be known whether an e-stop is latched, so it is until a reset", "file", path, "err", err)
		return unknown
	case len(name) == 0:
		return unknown
	}
	return string(name)
}

// set is told of each e-stop and reset, by one goroutine.
func (l *latch) set(latched bool, by string) {
	if !latched {
		by = ""
	}
	select {
	case <-l.news:
	default:
	}
	l.news <- by
}

// keep writes what is set until ctx ends, close what is left then.
func (l *latch) keep(ctx context.Context) {
	for {
		select {
		case by := <-l.news:
			l.write(by)
		case <-ctx.Done():
			return
		}
	}
}

func (l *latch) close() {
	select {
	case by := <-l.news:
		l.write(by)
	default:
	}
}

func (l *latch) write(by string) {
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
		err = syncDir(l.dir)
	}
	if err != nil {
		l.log.Warn("the e-stop could not be written down: after a restart it may be another", "latched", by != "", "file", path, "err", err)
	}
}

// writeSynced needs no second file: that this one is there is what counts.
func writeSynced(path, text string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o640)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Sync(), f.Close())
}
