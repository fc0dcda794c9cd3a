package history

import (
	"context"
	"time"
)

// syncEvery is how often the journal is synced: a power cut costs up to that much, and
// each sync costs a page of the disk's life.
const syncEvery = time.Second

// runSyncer syncs the journal once a second until ctx ends. It has a goroutine of its
// own, since the maintainer waits for the disk longer while it writes a segment.
func (l *Log) runSyncer(ctx context.Context) {
	every := l.o.Seconds()
	for {
		select {
		case <-every:
			_ = l.sync() // the journal is abandoned, and Durable says why
		case <-ctx.Done():
			return
		}
	}
}

// sync syncs the journal.
func (l *Log) sync() error {
	l.disk.Lock()
	j := l.journal
	if j == nil {
		l.disk.Unlock()
		return nil
	}
	l.mu.Lock()
	queued := l.queue.oldest()
	if !l.queue.accepting { // what comes is in memory only
		queued = l.waiting.since
	}
	l.waiting.syncing(queued)
	covers := l.queue.accepting && l.queue.len() == 0 // else the next one does
	if covers {
		l.index.Syncing()
	}
	l.mu.Unlock()
	if !j.Dirty {
		l.disk.Unlock()
		l.synced(nil, covers)
		return nil
	}
	last := j.Seq
	if j.Page.Events() == 0 {
		last--
	}
	err := j.Flush()
	if err == nil {
		j.Advance() // a page that is on the disk is never written again
		j.Dirty = false
	}
	l.disk.Unlock()
	if err == nil {
		err = j.Sync()
	}
	l.synced(err, covers)

	l.disk.Lock()
	defer l.disk.Unlock()
	if err == nil {
		j.Synced = last
	} else if l.journal == j {
		l.abandon(err)
	}
	return err
}

func (l *Log) synced(err error, covered bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.waiting.synced(err)
	if covered && err == nil {
		l.index.Synced()
	}
}
