package history

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"sensorgateway/gateway/history/disk"
	"sensorgateway/gateway/history/index"
	"sensorgateway/gateway/history/recovery"
	"sensorgateway/wire"
)

// Damage is stored readings that are lost, although they had been synced.
type Damage = recovery.Damage

// searchEvery is how often the directory is searched for files that are missing.
const searchEvery = 10 * time.Second

// damages are those that were found. Log.mu guards them.
type damages struct {
	all    Damage   // the readings of all of them, and the reason of the last
	report []Damage // not reported yet

	found   *recovery.Found // at the start, until it is compared with the expected numbers
	epoch   string          // of the expected numbers
	used    []uint32        // the expected numbers are those below these
	skipped bool            // perhaps some of them were never used
}

const damagesMax = 64 // that wait to be reported

// add adds damage to what was found for the same reason, and to what is reported.
func (d *damages) add(x Damage) {
	d.all.Reason = x.Reason
	d.all.Lose(int64(x.Readings))
	i := slices.IndexFunc(d.report, func(y Damage) bool { return y.Reason == x.Reason })
	switch {
	case i >= 0:
		d.report[i].Lose(int64(x.Readings))
	case len(d.report) < damagesMax:
		d.report = append(d.report, x)
	}
}

// Lost returns how many stored readings were found to be lost since Open, at least,
// and why the last ones are, "" if none are.
func (l *Log) Lost() (reason string, readings int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.damages.all.Reason, l.damages.all.Readings
}

// damaged logs damage, if there is some, and notes it for Run to report.
func (l *Log) damaged(d Damage) {
	if d.Reason == "" {
		return
	}
	l.log.Warn("stored readings are lost", "dir", l.o.Dir, "why", d.Reason, "readings", d.Readings)
	l.mu.Lock()
	l.damages.add(d)
	l.mu.Unlock()
	signal(l.wakeNotifier)
}

// reportDamage calls Damaged for what was found.
func (l *Log) reportDamage() {
	l.mu.Lock()
	report := l.damages.report
	l.damages.report = nil
	l.mu.Unlock()
	for _, d := range report {
		l.o.Damaged(d)
	}
}

// Expect says which numbers of an epoch were used by earlier runs, by sensor: those
// below used; if skipped, some of them may never have been used. The newest of them are
// lost if they are not stored. It is called before Begin.
func (l *Log) Expect(epoch string, used []uint32, skipped bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.damages.epoch, l.damages.used, l.damages.skipped = epoch, slices.Clone(used), skipped
}

// lostTail returns the damage of the newest records, if it is known what is stored, but
// not counted yet. l.mu is held.
func (l *Log) lostTail() (d Damage) {
	k := &l.damages
	found := k.found
	if k.found = nil; found == nil {
		return d
	}
	for i, t := range l.streams[:min(len(l.streams), len(k.used))] {
		t = found.Index.Streams[t.Name]
		switch {
		case t != nil && t.Any && t.Epoch == k.epoch && wire.Before(t.Prev+1, k.used[i]):
			d.Lose(int64(k.used[i] - t.Prev - 1))
		case found.Index.Newest.Epoch == "": // there is no reading at all
			d.Lose(int64(k.used[i]))
		}
	}
	switch n := len(found.Damages); {
	case found.Tail:
		d.Reason = found.Damages[n-1].Reason
	case d.Readings == 0:
	case found.Torn:
		d.Reason = "the newest pages of the journal are damaged"
	case found.Empty():
		d.Reason = "the directory has no file of the log"
	case !k.skipped:
		d.Reason = "the newest readings are not in the journal: it is of an earlier time, or the disk did not work at the end"
	}
	return d
}

// unreadable notes that a chapter's numbers from first to last cannot be read. Those
// that were not noted before are damage, unless the process has no descriptors or
// memory left: then they are only missing in what is read now.
func (l *Log) unreadable(c *index.Chapter, first, last uint32, err error) {
	l.mu.Lock()
	l.index.Stream(c.Origin.Sensor).Lose(c.Origin.Epoch, last)
	n := 0
	if !disk.Exhausted(err) && slices.Contains(l.index.Segments, c.Segment) {
		n = c.Lose(first, last)
	}
	if n > 0 {
		l.damages.add(Damage{Reason: fmt.Sprintf("%s cannot be read: %v", c.Segment.Name, err), Readings: n})
	}
	l.mu.Unlock()
	if n > 0 || disk.Exhausted(err) {
		l.log.Warn("readings cannot be read", "file", c.Segment.Name, "sensor", c.Origin.Sensor, "first", first, "last", last, "err", err)
	}
}

// checkFiles notices files that something else has removed or changed: the log does not
// hold their readings from then on.
func (l *Log) checkFiles(now time.Time) {
	k := &l.maintainer
	l.mu.Lock()
	search := l.search
	l.search = false
	l.mu.Unlock()
	if !l.checkJournalFile() && !search && now.Sub(k.checkedAt) < searchEvery {
		return
	}
	k.checkedAt = now
	files, err := l.fs.List("")
	if err != nil {
		return // no file is known to be missing
	}
	exists := func(name string, size int64) bool {
		i, found := slices.BinarySearchFunc(files, name, func(f disk.Info, name string) int { return strings.Compare(f.Name, name) })
		return found && files[i].Size == size
	}
	l.mu.Lock()
	var missing []*index.Segment
	for _, g := range l.index.Segments {
		if !exists(g.Name, g.Size) {
			missing = append(missing, g)
		}
	}
	n := 0
	for _, g := range missing {
		for _, c := range g.Chapters {
			n += c.Lose(c.First, c.Last) // a reader may have found some of it
		}
		l.size -= g.Size
		l.index.Evict(g)
	}
	l.mu.Unlock()
	if len(missing) > 0 {
		l.damaged(Damage{Reason: fmt.Sprintf("%d segments were removed by something else, the first is %s", len(missing), missing[0].Name), Readings: n})
	}
}

// checkJournalFile ends the use of a journal that the next start would not find as it
// is, and returns whether it did: the directory may have been renamed, unmounted, or
// replaced by a copy.
func (l *Log) checkJournalFile() bool {
	l.disk.Lock()
	j := l.journal
	l.disk.Unlock()
	if j == nil {
		return false
	}
	err := disk.InPlace(j.File, j.Size)
	if err == nil {
		return false
	}
	l.disk.Lock()
	defer l.disk.Unlock()
	if l.journal != j { // abandoned meanwhile, and closed
		return false
	}
	l.abandon(fmt.Errorf("%s is not the journal any more: %w; something else uses the directory", j.Name, err))
	old := l.maintainer.oldJournals
	old[len(old)-1].damaged = true // what has its name now is something else's
	return true
}

// removed notes that the file of a chapter does not exist. Unless it was evicted,
// that is a loss from now on.
func (l *Log) removed(c *index.Chapter) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.evicting == c.Segment || !slices.Contains(l.index.Segments, c.Segment) {
		return
	}
	l.index.Stream(c.Origin.Sensor).Lose(c.Origin.Epoch, c.Last)
	l.search = true
	signal(l.wakeMaintainer)
}
