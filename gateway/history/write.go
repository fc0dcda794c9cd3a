package history

import (
	"context"
	"errors"
	"time"

	"sensorgateway/gateway/history/disk"
)

// signal puts a token into a channel of size 1, unless it has one.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// runWriter writes ticks as they come, until ctx ends.
func (l *Log) runWriter(ctx context.Context) {
	for {
		select {
		case <-l.wakeWriter:
			l.write()
		case <-ctx.Done():
			return
		}
	}
}

// write writes the queued ticks into pages of the journal.
func (l *Log) write() {
	l.disk.Lock()
	defer l.disk.Unlock()
	for l.journal != nil && l.writePage() {
		if l.flush(); l.journal != nil {
			l.journal.Advance()
		}
	}
}

// writeNow does the same if the page is in memory, where no write waits: waking the
// writer would cost more. It returns whether nothing is left to write.
func (l *Log) writeNow() bool {
	if !l.disk.TryLock() {
		return false
	}
	defer l.disk.Unlock()
	_, memory := l.fs.(*disk.Memory)
	return l.journal != nil && (memory || l.journal.Staged()) && !l.writePage()
}

// writePage writes what the page has room for, and returns whether the rest needs another
// page. l.disk is held, and there is a journal.
func (l *Log) writePage() (full bool) {
	j := l.journal
	l.mu.Lock()
	some, full := l.fill()
	written := l.queue.pushed - uint64(l.queue.len())
	l.mu.Unlock()
	if !some {
		return full
	}
	staged := j.Staged()
	if err := j.Write(); err != nil {
		l.abandon(err)
		return false
	}
	if staged && !j.Staged() {
		l.unstage(errors.New("the file was cut off"))
	}
	l.mu.Lock()
	l.queue.taken = max(l.queue.taken, written)
	l.mu.Unlock()
	signal(l.wrote)
	return full
}

// flush writes to the disk what is staged. l.disk is held.
func (l *Log) flush() {
	if l.journal == nil {
		return
	}
	if err := l.journal.Flush(); err != nil {
		l.abandon(err)
	}
}

// fill moves queued ticks into the page. It returns whether there were some, and
// whether the next one needs another page. Both locks are held.
func (l *Log) fill() (some, full bool) {
	j, q := l.journal, &l.queue
	for q.len() > 0 {
		t, records := q.next()
		if t.begin != nil {
			if j.Page.Events() > 0 {
				return some, true
			}
			if l.values.Changed() { // no record is on the disk before what its values are
				signal(l.wakeMaintainer)
				return some, false
			}
			l.paged = t.run
			j.Page.Describe(t.run)
			j.Page.AppendBegin(t.begin)
			q.took(0)
			some = true
			continue
		}
		n := j.Page.AppendTick(records, t.offset)
		if n == 0 {
			return some, true
		}
		q.took(n)
		some = true
	}
	return some, false
}

// abandon ends the use of the journal after an error: the system may have dropped
// what was written but not synced. All of it is in memory too, and goes into a
// segment when the disk works again. l.disk is held.
func (l *Log) abandon(err error) {
	j := l.journal
	l.maintainer.lastPage = j.Seq
	l.maintainer.oldJournals = append(l.maintainer.oldJournals, oldJournal{j.Name, j.Size, false})
	l.journal = nil
	l.mu.Lock()
	l.queue.close()
	l.mu.Unlock()
	l.setFailure(err)
	signal(l.wrote) // so that Append does not wait for it
	j.Close()
	signal(l.wakeMaintainer)
}

// setFailure sets why readings are not durable, nil if they are.
func (l *Log) setFailure(err error) {
	l.mu.Lock()
	l.failure = err
	l.mu.Unlock()
	signal(l.wakeNotifier)
}

// dropEvery is how often it is reported, at most, that memory had no room for readings.
const dropEvery = time.Minute

// runNotifier calls Changed and logs when readings become durable or no longer are,
// until ctx ends.
func (l *Log) runNotifier(ctx context.Context) {
	check := l.o.Seconds() // whether the disk answers
	var notified error
	var dropped time.Time // when readings that memory had no room for were last reported
	var late lateReport
	for {
		if now := time.Now(); now.Sub(dropped) >= dropEvery {
			if n := l.dropped.Swap(0); n > 0 {
				l.damaged(Damage{Reason: "they could not be written, and the memory for them was full", Readings: int(n)})
				dropped = now
			}
		}
		l.reportDamage()
		err := l.Durable()
		if slow := (slowError{}); err == nil && errors.As(notified, &slow) && !l.keepsUp() {
			err = notified
		}
		if err != errStarting && (err == nil) != (notified == nil) {
			l.o.Changed(err)
			if err != nil {
				l.log.Warn("readings are not durable: a power cut loses them", "dir", l.o.Dir, "err", err)
			} else {
				l.log.Info("readings are durable again", "dir", l.o.Dir)
			}
			notified = err
		}
		l.reportLate(&late, err == nil)
		select {
		case <-l.wakeNotifier:
		case <-check:
		case <-ctx.Done():
			return
		}
	}
}

// lateEvery is how often late readings are logged at most.
const lateEvery = time.Minute

// lateReport is what was logged of late readings.
type lateReport struct {
	readings uint64
	at       time.Time
}

// reportLate logs how many readings were late since it last did. Those that were not
// durable anyway are not logged again.
func (l *Log) reportLate(r *lateReport, durable bool) {
	late := l.Late()
	switch {
	case !durable:
		r.readings = late
	case late > r.readings && time.Since(r.at) >= lateEvery:
		l.log.Warn("readings were not handed to the system in time: a crash at that moment would have lost them; is the disk slow, or the machine busy?",
			"readings", late-r.readings, "within", appendWait)
		r.readings, r.at = late, time.Now()
	}
}
