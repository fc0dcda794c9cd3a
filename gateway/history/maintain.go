package history

import (
	"context"
	"errors"
	"fmt"
	"time"

	"sensorgateway/gateway/history/codec"
	"sensorgateway/gateway/history/disk"
	"sensorgateway/gateway/history/format"
	"sensorgateway/gateway/history/index"
	"sensorgateway/gateway/history/journal"
	"sensorgateway/gateway/history/recovery"
)

const (
	sealEvery  = time.Hour
	retryFirst = time.Second
	retryMax   = time.Minute
	readTries  = 4 // of a file, before it is set aside

	memoryMax = 16 << 20 // bytes of records that are in no segment; beyond, the oldest are dropped
	sealBytes = 4 << 20  // of packed blocks; beyond, they go into a segment before the hour is over
	sealUsed  = 0.75     // of the journal; the same
)

// maintainer is the state of the goroutine that may wait for the disk. lastPage and
// oldJournals are the writer's too, and guarded by Log.disk.
type maintainer struct {
	tries        int              // of reading the directory
	unread       bool             // the directory could not be read yet
	incomplete   bool             // the journal does not hold all that is in no segment
	reusable     *journal.Journal // of the previous process, to be continued
	nextSegment  uint64           // number of the next segment
	lastPage     uint64           // the newest page that was ever written
	oldJournals  []oldJournal
	aside        []disk.Info // the files that were set aside; the first is removed first
	asideLogged  bool        // it has been logged that one was removed
	sealedAt     time.Time   // when a segment was last written, zero before the first
	sealAfter    time.Time   // the next segment is not tried before, since one failed
	fullReported bool        // it has been reported that the disk is full
	noneForFull  time.Time   // until then nothing is evicted because the disk is full
	valuesSize   int64       // of the file of what the values are
	unsynced     bool        // a removal may not be durable yet
	removeFailed bool        // a file could not be removed, which has been logged
	backoff      time.Duration
	retryAt      time.Time
	packer       codec.Packer

	checkedAt  time.Time     // when the directory was last searched for missing files
	retainedAt time.Time     // when retain was last called, at first when prepare was
	credit     time.Duration // of recorded time that may be evicted by age
	evicted    Eviction      // since it was last reported
	segments   int           // of it
}

// oldJournal is a journal that is removed once all its records are in segments.
type oldJournal struct {
	name    string
	size    int64
	damaged bool // it is set aside instead
}

// errStarting is why readings are not durable at first. It is not a fault, so there is
// no event for it.
var errStarting = errors.New("the journal is not ready yet: the log has just started")

// runMaintainer calls maintain once a second and after a failure, until ctx ends.
func (l *Log) runMaintainer(ctx context.Context) {
	select {
	case <-l.loaded:
	case <-ctx.Done():
		return
	}
	every := l.o.Seconds()
	l.maintain(time.Now())
	for {
		select {
		case now := <-every:
			l.maintain(now)
		case <-l.wakeMaintainer:
			l.maintain(time.Now())
		case <-ctx.Done():
			return
		}
	}
}

// maintain does what is due: it makes a journal at the start and after a failure, moves
// records to a segment, and evicts.
func (l *Log) maintain(now time.Time) {
	l.pack()
	l.mu.Lock()
	behind := l.queue.full
	l.mu.Unlock()
	l.disk.Lock()
	if behind && l.journal != nil {
		l.abandon(journal.ErrSlow)
	}
	ready := l.journal != nil
	l.disk.Unlock()
	if !ready {
		if now.Before(l.maintainer.retryAt) {
			return
		}
		if err := l.prepare(now); err != nil {
			l.maintainer.backoff = min(max(2*l.maintainer.backoff, retryFirst), retryMax)
			l.maintainer.retryAt = now.Add(l.maintainer.backoff)
			l.setFailure(err)
			l.retain(now)
			return
		}
		l.maintainer.backoff, l.maintainer.retryAt = 0, time.Time{}
		l.setFailure(nil)
		signal(l.wakeWriter)
		return
	}
	if err := l.saveValues(); err != nil {
		l.disk.Lock()
		if l.journal != nil {
			l.abandon(err)
		}
		l.disk.Unlock()
		return
	}
	l.checkFiles(now)
	l.preallocate()
	if l.maintainer.sealedAt.IsZero() {
		l.maintainer.sealedAt = now
	}
	if l.sealDue(now) {
		if err := l.seal(false); err != nil { // all of it is in the journal too
			l.log.Warn("readings cannot be moved to a segment; it is tried again in a minute", "err", err)
			l.maintainer.sealAfter = now.Add(retryMax)
			l.retain(now)
			return
		}
		l.maintainer.sealedAt = now
	}
	l.retain(now)
}

// sealDue returns whether it is time for a segment.
func (l *Log) sealDue(now time.Time) bool {
	l.disk.Lock()
	defer l.disk.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	return !now.Before(l.maintainer.sealAfter) && (now.Sub(l.maintainer.sealedAt) >= sealEvery ||
		l.journal != nil && l.journal.Used() > sealUsed || l.index.Memory > l.sealBytes())
}

// sealBytes is how many bytes in memory make a segment due.
func (l *Log) sealBytes() int {
	return int(min(sealBytes, l.o.MaxBytes/16)) + len(l.streams)*codec.BlockRecords*index.RecordMemory
}

// How much of a new journal is filled in a second: not more than a slow disk can write
// in addition to readings.
const (
	fillTime  = 100 * time.Millisecond
	fillBytes = 1 << 20
)

// preallocate fills a part of a new journal with zeros, well ahead of the page that is written.
func (l *Log) preallocate() {
	begin := time.Now()
	for bytes := 0; bytes < fillBytes && time.Since(begin) < fillTime; bytes += journal.ZerosAtOnce {
		l.disk.Lock()
		j, n := l.journal, uint64(0)
		if j != nil {
			n = j.BeginFill()
		}
		l.disk.Unlock()
		if n == 0 {
			return
		}
		err := j.Fill(n)
		l.disk.Lock()
		j.EndFill(n)
		if err != nil && l.journal == j {
			l.abandon(err)
		}
		l.disk.Unlock()
	}
}

// pack packs the blocks that no longer grow.
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
		packed := l.maintainer.packer.AppendBlock(nil, b.Origin, b.Prev, b.Summary, b.Records)
		l.mu.Lock()
		l.index.Pack(b, packed)
		l.mu.Unlock()
	}
}

// adopt takes over what was found in the directory. It uses no file, since the
// locks may be held.
func (l *Log) adopt(r *recovery.Found) {
	k := &l.maintainer
	k.nextSegment, k.lastPage = max(r.NextSegment, 1), r.LastPage
	for _, t := range r.Index.Streams {
		t.Close()
	}
	for _, d := range r.Damages {
		l.damages.add(d)
	}
	l.damages.found = r
	l.size, k.valuesSize = r.ValuesSize, r.ValuesSize
	for _, g := range r.Index.Segments {
		l.size += g.Size
	}
	k.aside = r.Aside
	for _, f := range r.Aside {
		l.size += f.Size
	}
	for _, j := range r.Journals {
		l.size += j.Size
		k.oldJournals = append(k.oldJournals, oldJournal{j.Name, j.Size, j.Newer || j.Missing(r.Through) > 0})
	}
	k.incomplete = len(k.oldJournals) > 0
}

// reuse opens the newest journal to continue it, if it has the form that a new one
// would have.
func (l *Log) reuse(r *recovery.Found) {
	k, n := &l.maintainer, len(r.Journals)-1
	if n < 0 {
		return
	}
	j, p := r.Journals[n], format.NewPage(l.run)
	if j.Newer || 1<<j.Shift != p.Size() || j.Size != l.journalPages(p)*int64(p.Size()) || !j.Whole(r.Through) {
		return
	}
	f, err := disk.Retry(func() (disk.File, error) { return l.fs.Open(j.Name, true) })
	if err != nil {
		return
	}
	p.Before = r.LastEvents
	k.reusable = journal.Continue(j.Name, f, j.Size, p, r.LastPage+1, r.Through)
	k.oldJournals, k.incomplete = k.oldJournals[:n], false
}

func (l *Log) journalPages(p *format.Page) int64 {
	if l.o.pages > 0 {
		return l.o.pages
	}
	return journal.Pages(l.o.MaxBytes, p.Size())
}

// prepare makes readings durable, at the start and after a failure: it moves what
// is in memory to a segment if the old journal does not hold all of it, and
// continues or creates a journal.
func (l *Log) prepare(now time.Time) error {
	k := &l.maintainer
	if k.retainedAt.IsZero() { // the hour in which nothing more is evicted for a full disk begins there
		k.retainedAt = now
	}
	if k.unread {
		if err := l.mergeDirectory(); err != nil {
			return err
		}
	}
	err := l.saveValues()
	if err != nil {
		return err
	}
	l.mu.Lock()
	unsafe := k.incomplete || !l.queue.accepting
	l.mu.Unlock()
	if unsafe {
		if err = l.seal(true); err != nil {
			l.mu.Lock()
			l.queue.close()
			l.mu.Unlock()
			return err
		}
		k.incomplete, k.sealedAt = false, now
	}
	j := k.reusable
	k.reusable = nil
	if j != nil { // what the previous process wrote may not be on the disk yet
		l.disk.Lock()
		left := l.left
		l.disk.Unlock()
		if err := errors.Join(left.Restore(j), j.Sync()); err != nil {
			k.oldJournals = append(k.oldJournals, oldJournal{j.Name, j.Size, false})
			k.incomplete = true
			return errors.Join(err, j.Close())
		}
		j.Synced = j.Seq - 1
	} else if j, err = l.createJournal(); err != nil {
		k.lastPage++ // the next try has another name, in case a foreign file has this one
		return fmt.Errorf("a journal cannot be created: %w", err)
	}
	l.disk.Lock()
	defer l.disk.Unlock()
	l.left = journal.Left{} // it is on the disk
	l.stage(j)
	l.mu.Lock()
	defer l.mu.Unlock()
	j.Page.Describe(l.paged)
	l.journal = j
	return nil
}

// createJournal creates the next journal.
func (l *Log) createJournal() (j *journal.Journal, err error) {
	p := format.NewPage(l.run)
	j = journal.New(l.maintainer.lastPage+1, l.journalPages(p), p)
	err = l.withRoom(j.Size, func() error {
		err := create(l.fs, j.Name, j.Init)
		if err == nil {
			j.File, err = l.fs.Open(j.Name, true)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	l.size += j.Size
	l.mu.Unlock()
	return j, nil
}

// stage has the pages of a journal staged in memory, if they can be. l.disk is held.
func (l *Log) stage(j *journal.Journal) {
	if l.staging == nil && l.o.Memory != "" {
		var err error
		if l.staging, err = journal.NewStaging(l.o.Memory, j.Page.Size()); err != nil {
			l.unstage(err)
		}
	}
	if l.staging != nil {
		j.Stage(l.staging)
	}
}

// unstage has each tick written to the disk from now on. l.disk is held.
func (l *Log) unstage(err error) {
	l.log.Warn("pages cannot be staged in memory: each tick is written to the disk at once", "file", l.o.Memory, "err", err)
	l.staging, l.o.Memory = nil, ""
}
