package history

import (
	"context"
	"time"
)

// signal puts a token into a channel of one, unless it has one.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// writes writes pages until ctx ends.
func (l *Log) writes(ctx context.Context) {
	for {
		select {
		case <-l.wake:
			l.write()
		case <-ctx.Done():
			return
		}
	}
}

// write writes the ticks that wait into pages of the journal.
func (l *Log) write() {
	l.disk.Lock()
	defer l.disk.Unlock()
	for l.journal != nil {
		j := l.journal
		l.mu.Lock()
		some, full := l.fill()
		written := l.queue.pushed - uint64(l.queue.len())
		if some {
			l.writeFrom = time.Now()
		}
		l.mu.Unlock()
		if some {
			err := j.write()
			l.mu.Lock()
			l.writeFrom = time.Time{}
			if err == nil {
				l.queue.taken = max(l.queue.taken, written)
			}
			l.mu.Unlock()
			if err != nil {
				l.abandon(err)
				return
			}
			signal(l.wrote)
		}
		if !full {
			return
		}
		j.turn()
	}
}

// fill moves ticks into the page, and tells whether there were some and whether
// the page must be turned for the next one. Both locks are held.
func (l *Log) fill() (some, full bool) {
	j, q := l.journal, &l.queue
	for q.len() > 0 {
		t, records := q.next()
		if t.begin != nil {
			if j.page.Events() > 0 {
				return some, true
			}
			l.paged = t.run
			j.page.Describe(t.run)
			j.page.AppendBegin(t.begin)
			q.took(0)
			some = true
			continue
		}
		n := j.page.AppendTick(records, t.offset)
		if n == 0 {
			return some, true
		}
		q.took(n)
		some = true
	}
	return some, false
}

// abandon ends the use of the journal after an error: whatever of it is not on
// the disk may never get there. What it holds is in memory as well, and goes
// into a segment when the disk works again. l.disk is held.
func (l *Log) abandon(err error) {
	j := l.journal
	l.keeper.page = j.seq
	l.keeper.old = append(l.keeper.old, oldJournal{j.name, j.size, false})
	l.journal = nil
	l.mu.Lock()
	l.queue.shut()
	l.mu.Unlock()
	l.fail(err)
	signal(l.wrote) // nobody waits while it is closed
	j.file.Close()
	signal(l.call)
}

// fail notes why readings are not durable, nil if they are.
func (l *Log) fail(err error) {
	l.mu.Lock()
	l.trouble = err
	l.mu.Unlock()
	signal(l.tell)
}

// tells calls Changed until ctx ends.
func (l *Log) tells(ctx context.Context) {
	look := time.NewTicker(time.Second)
	defer look.Stop()
	var told error
	for {
		err := l.Durable()
		if (err == nil) != (told == nil) {
			l.o.Changed(err)
			if err != nil {
				l.log.Warn("readings are not kept durably", "dir", l.o.Dir, "err", err)
			} else {
				l.log.Info("readings are kept durably again", "dir", l.o.Dir)
			}
			told = err
		}
		select {
		case <-l.tell:
		case <-look.C:
		case <-ctx.Done():
			return
		}
	}
}
