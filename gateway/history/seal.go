package history

import (
	"errors"
	"io/fs"

	"sensorgateway/gateway/atomicfile"
	"sensorgateway/gateway/history/disk"
	"sensorgateway/gateway/history/format"
	"sensorgateway/gateway/history/index"
	"sensorgateway/gateway/history/journal"
	"sensorgateway/gateway/history/recovery"
)

// seal moves all records in memory into a segment, so that the pages of the journal
// that hold them can be overwritten. With reopen, the queue accepts ticks again,
// starting with those that are not in this segment.
func (l *Log) seal(reopen bool) error {
	k := &l.maintainer
	l.disk.Lock()
	l.flush()
	l.mu.Lock()
	if l.journal != nil {
		l.journal.Advance()
		k.lastPage = l.journal.Seq - 1
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
		for _, j := range []*journal.Journal{l.journal, k.reusable} {
			if j != nil {
				j.Through = max(j.Through, through)
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
	g := index.NewSegment(format.SegmentName(l.maintainer.nextSegment), l.maintainer.nextSegment, s)
	if err := l.withRoom(g.Size, func() error { return writeFile(l.fs, g.Name, file) }); err != nil {
		return err
	}
	l.maintainer.nextSegment++
	l.maintainer.unsynced = false
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

// create creates a file as a whole or not at all. It replaces a file of that name,
// which is there if only the last step failed before.
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
			to, err = recovery.SetAside(l.fs, j.name)
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

// mergeDirectory takes in what is in the directory, once it can be read. The records
// that were made meanwhile come after it.
func (l *Log) mergeDirectory() error {
	k := &l.maintainer
	k.tries++
	r, err := l.recover(k.tries < readTries)
	if err != nil {
		return err
	}
	l.merge(r)
	return nil
}

// merge takes in what was found in the directory.
func (l *Log) merge(r *recovery.Found) {
	l.disk.Lock()
	l.mu.Lock()
	l.adopt(r)
	lost := l.lostTail()
	l.maintainer.unread, l.maintainer.incomplete = false, true
	l.index.Prepend(r.Index)
	l.values.Prepend(r.Values)
	l.mu.Unlock()
	l.disk.Unlock()
	l.damaged(lost)
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
		err = l.saveValues()
	}
	if err == nil {
		l.write()
		err = l.sync()
	}
	l.disk.Lock()
	defer l.disk.Unlock()
	for _, j := range []*journal.Journal{l.journal, l.maintainer.reusable} {
		if j != nil {
			err = errors.Join(err, j.Close())
		}
	}
	if err == nil && needed && l.journal == nil {
		err = l.failure
	}
	l.journal, l.maintainer.reusable = nil, nil
	if err == nil {
		err = l.staging.Remove()
	}
	return err
}
