package history

import (
	"errors"
	"io/fs"

	"sensorgateway/gateway/atomicfile"
	"sensorgateway/gateway/history/disk"
	"sensorgateway/gateway/history/format"
	"sensorgateway/gateway/history/index"
)

// seal moves all records in memory into a segment, so that the pages of the journal
// that hold them can be overwritten. With reopen, the queue accepts ticks again,
// starting with those that are not in this segment.
func (l *Log) seal(reopen bool) error {
	k := &l.maintainer
	l.disk.Lock()
	l.mu.Lock()
	if l.journal != nil {
		l.journal.advance()
		k.lastPage = l.journal.seq - 1
	}
	through, old := k.lastPage, k.oldJournals
	k.oldJournals = nil
	for _, t := range l.index.Streams {
		t.Close()
	}
	blocks, newest := l.index.Unsealed(), l.index.Newest
	if reopen {
		l.queue.close()
		l.queue.reopen()
		l.paged = l.run
	}
	l.mu.Unlock()
	l.disk.Unlock()

	err := l.writeSegment(blocks, through, newest)
	l.disk.Lock()
	if err != nil {
		k.oldJournals = append(old, k.oldJournals...)
	} else if len(blocks) > 0 {
		for _, j := range []*journal{l.journal, k.reusable} {
			if j != nil {
				j.through = max(j.through, through)
			}
		}
	}
	l.disk.Unlock()
	if err == nil {
		l.discardJournals(old)
	}
	return err
}

// writeSegment writes the blocks into the next segment.
func (l *Log) writeSegment(blocks []*index.Block, through uint64, newest format.Moment) error {
	if len(blocks) == 0 {
		return nil
	}
	l.pack()
	var all []format.PackedBlock
	for _, b := range blocks {
		packed := b.Packed
		if packed == nil { // dropped meanwhile, for lack of memory
			packed = l.maintainer.packer.AppendBlock(nil, b.Origin, b.Prev, b.Summary, b.Records)
		}
		all = append(all, format.PackedBlock{Origin: b.Origin, Prev: b.Prev, Summary: b.Summary, Bytes: packed})
	}
	file, s := format.FormatSegment(all, through, newest)
	g := index.NewSegment(segmentName(l.maintainer.nextSegment), l.maintainer.nextSegment, s)
	l.makeRoom(g.Size)
	if err := writeFile(l.fs, g.Name, file); err != nil {
		return err
	}
	l.maintainer.nextSegment++
	l.mu.Lock()
	defer l.mu.Unlock()
	l.index.Seal(g, blocks)
	l.size += g.Size
	return nil
}

// writeFile creates a file of these bytes.
func writeFile(fs FS, name string, b []byte) error {
	return create(fs, name, func(f disk.File) error {
		_, err := f.WriteAt(b, 0)
		return err
	})
}

// create creates a file that is there as a whole or not at all, in place of what
// has its name: if the last step failed, it is done again.
func create(fs FS, name string, write func(disk.File) error) error {
	temp := name + atomicfile.TempSuffix
	f, err := fs.Create(temp)
	if err != nil {
		return err
	}
	return atomicfile.Commit(fs, f, temp, name, func() error { return write(f) })
}

// discardJournals removes journals that are no longer needed. One with damaged pages
// is set aside instead.
func (l *Log) discardJournals(old []oldJournal) {
	k := &l.maintainer
	for _, j := range old {
		var to string
		var err error
		if j.damaged {
			to, err = setAside(l.fs, j.name)
		} else {
			err = l.fs.Remove(j.name)
		}
		switch {
		case to != "": // if a power cut undoes that, it is set aside again
			k.aside = append(k.aside, disk.Info{Name: to, Size: j.size})
		case err == nil || errors.Is(err, fs.ErrNotExist):
			l.freed(j.size)
		default:
			l.log.Warn("an old journal cannot be removed", "file", j.name, "err", err)
			l.disk.Lock()
			k.oldJournals = append(k.oldJournals, j) // tried again after the next segment
			l.disk.Unlock()
		}
	}
}

// freed subtracts a removed file from the size.
func (l *Log) freed(size int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.size -= size
}

// retain evicts segments that are too old, and as many as MaxBytes requires.
func (l *Log) retain() {
	l.makeRoom(0)
	now := l.o.Now().UnixMilli()
	for {
		l.mu.Lock()
		g := l.oldest()
		expired := false
		if g != nil && l.synced() {
			until, known := l.index.Until(g)
			expired = known && until < now-l.o.MaxAge.Milliseconds()
		}
		l.mu.Unlock()
		if !expired || !l.evict(g) {
			return
		}
	}
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

// synced returns whether the newest record was made by a synchronised clock. Without
// one, the age of readings is not known.
func (l *Log) synced() bool {
	known := false
	for _, t := range l.index.Streams {
		if n := len(t.Blocks); n > 0 {
			if _, ok := l.index.Correction(t.Blocks[n-1].Origin); !ok {
				return false
			}
			known = true
		}
	}
	return known
}

// evict removes a segment. A reader that has not reached it skips it.
func (l *Log) evict(g *index.Segment) bool {
	if !l.removeFile(g.Name) {
		return false
	}
	l.mu.Lock()
	l.index.Evict(g)
	l.mu.Unlock()
	l.freed(g.Size)
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

// mergeDirectory takes in what is in the directory, once it can be read. The records
// that were made meanwhile come after it.
func (l *Log) mergeDirectory() error {
	k := &l.maintainer
	k.tries++
	r, err := l.recover(k.tries < readTries)
	if err != nil {
		return err
	}
	l.disk.Lock()
	defer l.disk.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.adopt(r)
	k.unread, k.incomplete = false, true
	l.index.Prepend(r.index)
	return nil
}

// finish writes and syncs what remains, and closes the journal.
func (l *Log) finish() error {
	l.disk.Lock()
	ready := l.journal != nil
	l.disk.Unlock()
	l.mu.Lock()
	needed := l.queue.len() > 0 || !l.queue.accepting
	l.mu.Unlock()
	var err error
	if !ready && needed {
		err = l.prepare(l.maintainer.sealedAt)
	}
	if err == nil {
		l.write()
		err = l.sync()
	}
	l.disk.Lock()
	defer l.disk.Unlock()
	for _, j := range []*journal{l.journal, l.maintainer.reusable} {
		if j != nil {
			err = errors.Join(err, j.file.Close())
		}
	}
	if err == nil && needed && l.journal == nil {
		err = l.failure
	}
	l.journal, l.maintainer.reusable = nil, nil
	return err
}
