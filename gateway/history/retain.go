package history

import (
	"errors"
	"fmt"
	"io/fs"
	"time"

	"sensorgateway/gateway/history/disk"
	"sensorgateway/gateway/history/index"
)

// Eviction is what was evicted beyond the usual, which is one segment for each new one.
type Eviction struct {
	From, To int64 // times of the oldest and the newest reading, Unix ms
	Readings int   // of all sensors together
	Reason   string
}

// catchUp is how much recorded time is evicted by age in a unit of time while there
// is a backlog: after days without power, or with a clock that is ahead. A wrong
// date for seconds therefore costs nothing, and one for an hour costs two.
const catchUp = 2

// retain evicts as many segments as MaxBytes requires, and those that are too old.
func (l *Log) retain(now time.Time) {
	k := &l.maintainer
	l.makeRoom(0)
	passed := now.Sub(k.retainedAt)
	k.retainedAt = now
	for {
		l.mu.Lock()
		newest, known := l.index.Now()
		g, late := l.expired(newest)
		l.mu.Unlock()
		if !known {
			break
		}
		if g == nil {
			k.credit = 0 // time in which nothing is too old is no credit for later
			break
		}
		k.credit += catchUp * passed
		passed = 0
		cost := min(g.Recorded(), sealEvery)
		if k.credit < cost || !l.evict(g) {
			break
		}
		k.credit -= cost
		if late > 2*sealEvery {
			k.evicted.Reason = fmt.Sprintf("they are older than %v by the present time", l.o.MaxAge)
		}
	}
	l.reportEvicted()
}

// reportEvicted reports what was evicted since it was last called, if that was more
// than the ordinary.
func (l *Log) reportEvicted() {
	k := &l.maintainer
	e := k.evicted
	if k.segments > 1 && e.Reason == "" {
		e.Reason = fmt.Sprintf("all files together have at most %d MiB", l.o.MaxBytes>>20)
	}
	k.evicted, k.segments = Eviction{}, 0
	if e.Reason == "" {
		return
	}
	l.log.Warn("readings are evicted", "why", e.Reason, "readings", e.Readings,
		"from", time.UnixMilli(e.From).UTC(), "to", time.UnixMilli(e.To).UTC())
	l.o.Evicted(e)
}

// expired returns the oldest segment if its newest record is older than MaxAge at
// now, the time of the newest record of all, and by how much.
func (l *Log) expired(now int64) (g *index.Segment, late time.Duration) {
	if g = l.oldest(); g == nil {
		return nil, 0
	}
	until := now
	for i, s := range l.index.Segments {
		from, to, known := l.index.Span(s)
		if !known || to > now { // it was made before the next one, whatever its clock said
			continue
		}
		if until = to; i > 0 {
			until = from
		}
		break
	}
	late = time.Duration(now-until)*time.Millisecond - l.o.MaxAge
	if late <= 0 {
		return nil, 0
	}
	return g, late
}

// makeRoom removes files until size more bytes are within MaxBytes: first those that
// were set aside, then the oldest segments.
func (l *Log) makeRoom(size int64) {
	for {
		l.mu.Lock()
		g, fits := l.oldest(), l.size+size <= l.o.MaxBytes
		l.mu.Unlock()
		if fits || !l.removeAside() && (g == nil || !l.evict(g)) {
			return
		}
	}
}

// withRoom creates a file of so many bytes. If the disk is full, it evicts the oldest
// segments, as many as the file needs: what is new goes before what is old. Where
// several times as much does not suffice, something else fills the disk, and for an
// hour nothing more is evicted for it.
func (l *Log) withRoom(size int64, create func() error) error {
	const enough = 4
	k := &l.maintainer
	l.makeRoom(size)
	for freed := int64(0); ; {
		err := create()
		if !disk.Full(err) || k.retainedAt.Before(k.noneForFull) {
			return err
		}
		if freed > enough*size {
			k.noneForFull = k.retainedAt.Add(sealEvery)
			return err
		}
		l.mu.Lock()
		before, g := l.size, l.oldest()
		l.mu.Unlock()
		if !l.removeAside() {
			if g == nil || !l.evict(g) {
				return err
			}
			if !k.fullReported {
				k.evicted.Reason, k.fullReported = "the disk is full", true
			}
		}
		l.mu.Lock()
		freed += before - l.size
		l.mu.Unlock()
	}
}

// removeAside removes the first file that was set aside, and returns whether it did.
func (l *Log) removeAside() bool {
	k := &l.maintainer
	if len(k.aside) == 0 || !l.removeFile(k.aside[0].Name) {
		return false
	}
	if !k.asideLogged {
		l.log.Warn("a damaged file that was set aside is removed: readings need its space", "dir", l.o.Dir, "file", k.aside[0].Name)
	}
	l.freed(k.aside[0].Size)
	k.aside, k.asideLogged = k.aside[1:], true
	return true
}

// oldest returns the segment to evict first, nil if there is none. The newest one
// always stays: it says which pages of the journal are sealed.
func (l *Log) oldest() *index.Segment {
	if len(l.index.Segments) < 2 {
		return nil
	}
	return l.index.Segments[0]
}

// evict removes a segment. A reader that has not reached it skips it. The removals of
// two segments become durable in their order: after a power cut, an older one must
// not be back without the next, which would look like a loss.
func (l *Log) evict(g *index.Segment) bool {
	if l.maintainer.unsynced && l.fs.SyncDir("") != nil {
		return false
	}
	l.maintainer.unsynced = true
	l.mu.Lock()
	l.evicting = g
	l.mu.Unlock()
	removed := l.removeFile(g.Name)
	l.mu.Lock()
	l.evicting = nil
	if !removed {
		l.mu.Unlock()
		return false
	}
	from, to, _ := l.index.Span(g)
	l.index.Evict(g)
	l.mu.Unlock()
	l.freed(g.Size)
	k := &l.maintainer
	if k.segments == 0 {
		k.evicted.From, k.evicted.To = from, to
	}
	k.evicted.From, k.evicted.To = min(k.evicted.From, from), max(k.evicted.To, to)
	k.evicted.Readings += g.Readings()
	k.segments++
	return true
}

// removeFile removes a file, and returns whether it no longer exists.
func (l *Log) removeFile(name string) bool {
	err := l.fs.Remove(name)
	gone := err == nil || errors.Is(err, fs.ErrNotExist)
	if !gone && !l.maintainer.removeFailed {
		l.log.Warn("a file of readings cannot be removed; it is tried again", "file", name, "err", err)
	}
	l.maintainer.removeFailed = !gone
	return gone
}

// freed subtracts a removed file from the size.
func (l *Log) freed(size int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.size -= size
}
