package history

import (
	"errors"
	"io/fs"

	"sensorgateway/gateway/atomicfile"
	"sensorgateway/gateway/history/disk"
	"sensorgateway/gateway/history/format"
	"sensorgateway/gateway/history/index"
)

// seal moves all that is in memory into a segment, so that the pages of the
// journal that hold it are free. With reopen, ticks are queued for the journal
// again from then on.
func (l *Log) seal(reopen bool) error {
	k := &l.keeper
	l.disk.Lock()
	l.mu.Lock()
	if l.journal != nil {
		l.journal.turn()
		k.page = l.journal.seq - 1
	}
	through, old := k.page, k.old
	k.old = nil
	for _, t := range l.index.Streams {
		t.Close()
	}
	blocks, newest := l.index.Unsealed(), l.index.Newest
	if reopen {
		l.queue.shut()
		l.queue.reopen()
		l.paged = l.run
	}
	l.mu.Unlock()
	l.disk.Unlock()

	err := l.writeSegment(blocks, through, newest)
	l.disk.Lock()
	if err != nil {
		k.old = append(old, k.old...)
	} else if len(blocks) > 0 {
		for _, j := range []*journal{l.journal, k.reuse} {
			if j != nil {
				j.through = max(j.through, through)
			}
		}
	}
	l.disk.Unlock()
	if err == nil {
		l.discard(old)
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
		if packed == nil { // given up meanwhile, for want of memory
			packed = l.keeper.packer.AppendBlock(nil, b.Origin, b.Prev, b.Summary, b.Records)
		}
		all = append(all, format.PackedBlock{Origin: b.Origin, Prev: b.Prev, Summary: b.Summary, Bytes: packed})
	}
	file, s := format.FormatSegment(all, through, newest)
	g := index.NewSegment(segmentName(l.keeper.next), l.keeper.next, s)
	l.makeRoom(g.Size)
	if err := writeFile(l.fs, g.Name, file); err != nil {
		return err
	}
	l.keeper.next++
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

// discard removes journals that are not needed any more. One with damaged pages
// is set aside instead.
func (l *Log) discard(old []oldJournal) {
	k := &l.keeper
	for _, j := range old {
		var to string
		var err error
		if j.damaged {
			to, err = setAside(l.fs, j.name)
		} else {
			err = l.fs.Remove(j.name)
		}
		switch {
		case to != "": // if power brings it back, it is set aside again
			k.away = append(k.away, disk.Info{Name: to, Size: j.size})
		case err == nil || errors.Is(err, fs.ErrNotExist):
			l.freed(j.size)
		default:
			l.log.Warn("an old journal cannot be removed", "file", j.name, "err", err)
			l.disk.Lock()
			k.old = append(k.old, j) // after the next segment then
			l.disk.Unlock()
		}
	}
}

// freed notes that so many bytes are gone from the disk.
func (l *Log) freed(size int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.size -= size
}

// retain removes what is too old or too much.
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
		if !expired || !l.remove(g) {
			return
		}
	}
}

// makeRoom removes files until so many bytes more are allowed: first what was set
// aside, then the oldest segments.
func (l *Log) makeRoom(size int64) {
	for {
		l.mu.Lock()
		g, fits := l.oldest(), l.size+size <= l.o.MaxBytes
		l.mu.Unlock()
		if fits || !l.removeAway() && (g == nil || !l.remove(g)) {
			return
		}
	}
}

// removeAway removes the first of what was set aside, and tells whether it is gone.
func (l *Log) removeAway() bool {
	k := &l.keeper
	if len(k.away) == 0 || !l.unlink(k.away[0].Name) {
		return false
	}
	if !k.awayTold {
		l.log.Warn("what was set aside is removed, for readings need its room", "dir", l.o.Dir, "file", k.away[0].Name)
	}
	l.freed(k.away[0].Size)
	k.away, k.awayTold = k.away[1:], true
	return true
}

// oldest returns the oldest segment. The newest one always stays: it tells how
// far the journal is sealed.
func (l *Log) oldest() *index.Segment {
	if len(l.index.Segments) < 2 {
		return nil
	}
	return l.index.Segments[0]
}

// synced tells whether the newest record was made by a synchronised clock: only
// then is it known what is too old.
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

// remove removes a segment; a reader that has not come that far skips it.
func (l *Log) remove(g *index.Segment) bool {
	if !l.unlink(g.Name) {
		return false
	}
	l.mu.Lock()
	l.index.Evict(g)
	l.mu.Unlock()
	l.freed(g.Size)
	return true
}

// unlink removes a file, and tells whether it is gone.
func (l *Log) unlink(name string) bool {
	err := l.fs.Remove(name)
	gone := err == nil || errors.Is(err, fs.ErrNotExist)
	if !gone && !l.keeper.stuck {
		l.log.Warn("a file of readings cannot be removed", "file", name, "err", err)
	}
	l.keeper.stuck = !gone
	return gone
}

// merge takes in what is in the directory, once it can be read. What was made
// meanwhile comes after it.
func (l *Log) merge() error {
	k := &l.keeper
	k.tries++
	r, err := l.recover(k.tries < patience)
	if err != nil {
		return err
	}
	l.disk.Lock()
	defer l.disk.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.adopt(r)
	k.unread, k.unsafe = false, true
	l.index.Prepend(r.index)
	return nil
}

// finish makes durable what is left, and lets go of the disk.
func (l *Log) finish() error {
	l.disk.Lock()
	ready := l.journal != nil
	l.disk.Unlock()
	l.mu.Lock()
	needed := l.queue.len() > 0 || !l.queue.open
	l.mu.Unlock()
	var err error
	if !ready && needed {
		err = l.prepare(l.keeper.sealed)
	}
	if err == nil {
		l.write()
		err = l.sync()
	}
	l.disk.Lock()
	defer l.disk.Unlock()
	for _, j := range []*journal{l.journal, l.keeper.reuse} {
		if j != nil {
			err = errors.Join(err, j.file.Close())
		}
	}
	if err == nil && needed && l.journal == nil {
		err = l.trouble
	}
	l.journal, l.keeper.reuse = nil, nil
	return err
}
