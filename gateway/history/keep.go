package history

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"sensorgateway/gateway/history/codec"
	"sensorgateway/gateway/history/disk"
	"sensorgateway/gateway/history/format"
	"sensorgateway/gateway/history/index"
)

const (
	syncEvery  = time.Second
	sealEvery  = time.Hour
	slowDisk   = 5 * time.Second // what takes longer is told
	retryFirst = time.Second
	retryMax   = time.Minute
	patience   = 4 // times that a file is tried to be read before it is set aside

	memoryMax = 16 << 20 // bytes of records that are in no segment; beyond, the oldest are given up
	sealBytes = 4 << 20  // of packed blocks, at which they go into a segment before the hour is over
	sealUsed  = 0.75     // part of the journal, likewise
)

// keeper is what the goroutine that may wait for the disk knows. The page and
// the old journals are the writer's too, and guarded by Log.disk.
type keeper struct {
	tries     int  // to read the directory
	unread    bool // the directory could not be read yet
	unsafe    bool // the journal does not hold all that is in no segment
	reuse     *journal
	next      uint64 // number of the next segment
	page      uint64 // the newest page that was written
	old       []oldJournal
	away      []disk.Info // what was set aside; the first goes first
	awayTold  bool        // that some of it was removed
	sealed    time.Time   // the last time, zero before the first
	sealAgain time.Time   // not before, for it failed
	stuck     bool        // a file cannot be removed, which was told
	retry     time.Duration
	retryAt   time.Time
	dropped   atomic.Int64 // records, from memory, not told yet
	packer    codec.Packer
}

// oldJournal is one that is removed when all its records are in segments.
type oldJournal struct {
	name    string
	size    int64
	damaged bool // then it is set aside instead
}

var errSlow = errors.New("the disk is too slow: more readings wait for it than there is room for")

// keeps looks after the disk until ctx ends.
func (l *Log) keeps(ctx context.Context) {
	every := time.NewTicker(syncEvery)
	defer every.Stop()
	l.keep(time.Now())
	for {
		select {
		case now := <-every.C:
			l.keep(now)
		case <-l.call:
			l.keep(time.Now())
		case <-ctx.Done():
			return
		}
	}
}

// keep does what is to be done now.
func (l *Log) keep(now time.Time) {
	if n := l.keeper.dropped.Swap(0); n > 0 {
		l.log.Warn("readings are lost: the disk takes none and the memory for them is full", "records", n)
	}
	l.pack()
	l.mu.Lock()
	behind := l.queue.full
	l.mu.Unlock()
	l.disk.Lock()
	if behind && l.journal != nil {
		l.abandon(errSlow)
	}
	ready := l.journal != nil
	l.disk.Unlock()
	if !ready {
		if now.Before(l.keeper.retryAt) {
			return
		}
		if err := l.prepare(now); err != nil {
			l.keeper.retry = min(max(2*l.keeper.retry, retryFirst), retryMax)
			l.keeper.retryAt = now.Add(l.keeper.retry)
			l.fail(err)
			return
		}
		l.keeper.retry, l.keeper.retryAt = 0, time.Time{}
		l.fail(nil)
		signal(l.wake)
		return
	}
	if err := l.sync(); err != nil {
		return // abandoned, and told
	}
	if l.keeper.sealed.IsZero() {
		l.keeper.sealed = now
	}
	if l.due(now) {
		if err := l.seal(false); err != nil { // no harm: all of it is in the journal
			l.log.Warn("readings cannot be moved to a segment yet", "err", err)
			l.keeper.sealAgain = now.Add(retryMax)
			return
		}
		l.keeper.sealed = now
	}
	l.retain()
}

// due tells whether it is time for a segment.
func (l *Log) due(now time.Time) bool {
	l.disk.Lock()
	defer l.disk.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	return !now.Before(l.keeper.sealAgain) && (now.Sub(l.keeper.sealed) >= sealEvery ||
		l.journal != nil && l.journal.used() > sealUsed || l.index.Memory > l.sealBytes())
}

// sealBytes is how many bytes a segment may become long.
func (l *Log) sealBytes() int {
	return int(min(sealBytes, l.o.MaxBytes/16)) + len(l.streams)*codec.BlockRecords*index.RecordMemory
}

// sync makes durable what has been written.
func (l *Log) sync() error {
	l.disk.Lock()
	j := l.journal
	if j == nil || !j.written {
		l.disk.Unlock()
		return nil
	}
	last := j.seq
	if j.page.Events() == 0 {
		last--
	}
	j.turn() // what is on the disk is not written again
	j.written = false
	l.disk.Unlock()

	l.mu.Lock()
	l.syncFrom = time.Now()
	l.mu.Unlock()
	err := j.file.Sync()
	l.mu.Lock()
	l.syncFrom = time.Time{}
	l.mu.Unlock()

	l.disk.Lock()
	defer l.disk.Unlock()
	if err == nil {
		j.synced = last
	} else if l.journal == j {
		l.abandon(err)
	}
	return err
}

// pack packs the blocks that do not grow any more.
func (l *Log) pack() {
	l.mu.Lock()
	var blocks []*index.Block
	for _, t := range l.index.Streams {
		for _, b := range t.Blocks {
			if b.Closed && b.Packed == nil {
				blocks = append(blocks, b)
			}
		}
	}
	l.mu.Unlock()
	for _, b := range blocks {
		packed := l.keeper.packer.AppendBlock(nil, b.Origin, b.Prev, b.Summary, b.Records)
		l.mu.Lock()
		l.index.Pack(b, packed)
		l.mu.Unlock()
	}
}

// adopt takes over what was found in the directory. It touches no file, for the
// locks may be held.
func (l *Log) adopt(r *recovery) {
	k := &l.keeper
	k.next, k.page = max(r.next, 1), r.page
	for _, t := range r.index.Streams {
		t.Close()
	}
	l.size = 0
	for _, g := range r.index.Segments {
		l.size += g.Size
	}
	k.away = r.away
	for _, f := range r.away {
		l.size += f.Size
	}
	for _, j := range r.journals {
		l.size += j.Size
		k.old = append(k.old, oldJournal{j.name, j.Size, j.Missing(r.through) > 0})
	}
	k.unsafe = len(k.old) > 0
}

// reuse opens the newest journal to be gone on with, if it is as a new one would be.
func (l *Log) reuse(r *recovery) {
	k, n := &l.keeper, len(r.journals)-1
	if n < 0 {
		return
	}
	j, p := r.journals[n], format.NewPage(l.run)
	if 1<<j.Shift != p.Size() || j.Size != l.journalPages(p)*int64(p.Size()) || j.Missing(r.through) > 0 {
		return
	}
	f, err := again(func() (disk.File, error) { return l.fs.Open(j.name, true) })
	if err != nil {
		return
	}
	p.Before = r.tail
	k.reuse = &journal{name: j.name, file: f, size: j.Size, page: p, seq: r.page + 1, through: r.through}
	k.old, k.unsafe = k.old[:n], false
}

func (l *Log) journalPages(p *format.Page) int64 {
	if l.o.pages > 0 {
		return l.o.pages
	}
	return journalPages(l.o.MaxBytes, p.Size())
}

// prepare makes readings durable again, or for the first time: what is in memory
// goes into a segment if the journal that was there can no longer be trusted,
// and a journal is there for what comes.
func (l *Log) prepare(now time.Time) error {
	k := &l.keeper
	if k.unread {
		if err := l.merge(); err != nil {
			return err
		}
	}
	l.mu.Lock()
	unsafe := k.unsafe || !l.queue.open
	l.mu.Unlock()
	if unsafe {
		if err := l.seal(true); err != nil {
			l.mu.Lock()
			l.queue.shut()
			l.mu.Unlock()
			return err
		}
		k.unsafe, k.sealed = false, now
	}
	j := k.reuse
	k.reuse = nil
	if j != nil { // what the process before wrote may not be on the disk yet
		if err := j.file.Sync(); err != nil {
			k.old = append(k.old, oldJournal{j.name, j.size, false})
			k.unsafe = true
			return errors.Join(err, j.file.Close())
		}
		j.synced = j.seq - 1
	} else {
		p := format.NewPage(l.run)
		l.makeRoom(l.journalPages(p) * int64(p.Size()))
		var err error
		if j, err = createJournal(l.fs, k.page+1, l.journalPages(p), p); err != nil {
			return fmt.Errorf("a journal cannot be made: %w", err)
		}
		l.mu.Lock()
		l.size += j.size
		l.mu.Unlock()
	}
	l.disk.Lock()
	defer l.disk.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	j.page.Describe(l.paged)
	l.journal = j
	return nil
}
