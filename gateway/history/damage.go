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

// checkEvery is how often the directory is searched for files that are missing.
const checkEvery = time.Minute

// damages are those that were found. Log.mu guards them.
type damages struct {
	readings int      // of all of them
	last     string   // the reason of the last
	report   []Damage // not reported yet
	tail     bool     // the last of report lacks its number of readings, which Begin knows
}

const damagesMax = 64 // that wait to be reported

func (d *damages) add(x Damage) {
	d.readings, d.last = d.readings+x.Readings, x.Reason
	if len(d.report) < damagesMax {
		d.report = append(d.report, x)
	}
}

// Lost returns how many stored readings were found to be lost since Open, at least,
// and why the last ones are, "" if none are.
func (l *Log) Lost() (reason string, readings int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.damages.last, l.damages.readings
}

// damaged logs damage, to be reported by Run.
func (l *Log) damaged(d Damage, args ...any) {
	l.log.Warn("stored readings are lost", append([]any{"why", d.Reason, "readings", d.Readings}, args...)...)
	l.mu.Lock()
	l.damages.add(d)
	l.mu.Unlock()
	signal(l.wakeNotifier)
}

// reportDamage calls Damaged for what was found.
func (l *Log) reportDamage() {
	l.mu.Lock()
	report := l.damages.report
	l.damages.report, l.damages.tail = nil, false
	l.mu.Unlock()
	for _, d := range report {
		l.o.Damaged(d)
	}
}

// countTail adds to the damage of a journal what it must have had: the numbers
// before those that come next. l.mu is held.
func (l *Log) countTail(epoch string, next []uint32) {
	d := &l.damages
	if !d.tail || len(d.report) == 0 {
		return
	}
	d.tail = false
	for i, t := range l.streams {
		if t.Epoch == epoch && t.Any && wire.Before(t.Last+1, next[i]) {
			n := int(next[i] - t.Last - 1)
			d.report[len(d.report)-1].Readings += n
			d.readings += n
		}
	}
}

// checkFiles notices files that something else has removed: the log does not hold
// their readings from then on.
func (l *Log) checkFiles(now time.Time) {
	k := &l.maintainer
	l.mu.Lock()
	search := l.search
	l.search = false
	l.mu.Unlock()
	if !search && now.Sub(k.checkedAt) < checkEvery {
		return
	}
	k.checkedAt = now
	files, err := l.fs.List("")
	if err != nil {
		return // no file is known to be missing
	}
	exists := func(name string) bool {
		_, found := slices.BinarySearchFunc(files, name, func(f disk.Info, name string) int { return strings.Compare(f.Name, name) })
		return found
	}
	l.disk.Lock()
	if l.journal != nil && !exists(l.journal.name) {
		l.mu.Lock()
		l.size -= l.journal.size
		l.mu.Unlock()
		l.abandon(fmt.Errorf("%s was removed: something else uses the directory", l.journal.name))
		k.oldJournals = k.oldJournals[:len(k.oldJournals)-1] // it cannot be removed again
	}
	l.disk.Unlock()
	l.mu.Lock()
	var missing []*index.Segment
	for _, g := range l.index.Segments {
		if !exists(g.Name) {
			missing = append(missing, g)
		}
	}
	n := 0
	for _, g := range missing {
		n += g.Readings()
		l.size -= g.Size
		l.index.Evict(g)
	}
	l.mu.Unlock()
	if len(missing) > 0 {
		l.damaged(Damage{Reason: fmt.Sprintf("%d segments were removed by something else, the first is %s", len(missing), missing[0].Name), Readings: n}, "dir", l.o.Dir)
	}
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
