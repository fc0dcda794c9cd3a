package history

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"sensorgateway/gateway/history/disk"
	"sensorgateway/gateway/history/format"
	"sensorgateway/gateway/history/index"
	"sensorgateway/gateway/history/journal"
	"sensorgateway/gateway/history/values"
	"sensorgateway/wire"
)

// Log is the log of readings. One goroutine appends, [Log.Run] writes, any number
// of goroutines read.
type Log struct {
	o    Options
	fs   FS
	log  *slog.Logger
	boot string

	// The writer writes pages of the journal, which the syncer syncs; the maintainer does
	// everything else that changes the disk. disk guards the journal. It is taken before mu, and held
	// while a page is written, but never during a sync.
	disk       disk.Lock
	journal    *journal.Journal
	staging    *journal.Staging // nil: each tick is written to the disk at once
	left       journal.Left     // staged by the process before, and not on the disk yet
	maintainer maintainer       // not before loaded is closed
	loaded     chan struct{}
	steps      atomic.Int64 // of loading
	dropped    atomic.Int64 // records that memory had no room for, not reported yet

	mu       sync.Mutex
	index    *index.Index
	values   values.Table // what the records' values are
	run      format.Run
	paged    format.Run      // of the next page: Begin may be ahead of it
	streams  []*index.Stream // by number
	queue    queue
	size     int64  // of all files, bytes
	failure  error  // why readings are not durable; nil: they are
	late     uint64 // readings that Append could not hand to the system in time
	running  bool
	waiting  waiting
	closed   bool
	damages  damages
	evicting *index.Segment // its file is being removed
	search   bool           // a file is missing: search for others at once

	wakeWriter     chan struct{} // size 1, as each of these: a token says that the writer has something to do
	wrote          chan struct{} // the writer has written a tick
	wakeMaintainer chan struct{} // the journal was abandoned
	wakeNotifier   chan struct{} // failure has changed
	timer          disk.Timer    // of Append
}

// Epoch returns the epoch of the newest record, "" if there is none.
func (l *Log) Epoch() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.index.Newest.Epoch
}

// Last returns the sensor's newest number in Epoch.
func (l *Log) Last(sensor uint16) (seq uint32, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if int(sensor) >= len(l.streams) {
		return 0, false
	}
	t := l.streams[sensor]
	return t.Last, t.Any && t.Epoch == l.index.Newest.Epoch
}

// Begin says which numbers come next, by sensor. It is called before the first
// Append and whenever the epoch changes. Numbers of a continued epoch that are
// between the newest record and next count as lost. An epoch has at most 200 bytes.
func (l *Log) Begin(epoch string, next []uint32) {
	if len(epoch) > format.MomentMax {
		panic("history: an epoch of more than 200 bytes")
	}
	l.mu.Lock()
	lost := l.lostTail()
	next = slices.Clone(next[:min(len(next), len(l.streams))])
	for len(next) < len(l.streams) {
		next = append(next, 0)
	}
	for i, t := range l.streams {
		t.Begin(epoch, next[i])
		next[i] = t.Prev + 1
		if i < len(l.o.Values) {
			l.values.Begin(l.o.Values[i], epoch, next[i])
		}
	}
	l.run.Epoch = epoch
	l.queue.push(tick{run: l.run, begin: next}, nil)
	l.mu.Unlock()
	l.damaged(lost)
}

// Kept returns the smallest number greater than after from which on no record of
// this epoch is lost: evicted, in a damaged file, by a power cut or because the disk
// was too slow. It does not use the disk.
func (l *Log) Kept(sensor uint16, after uint32) (from uint32) {
	l.mu.Lock()
	defer l.mu.Unlock()
	from = after + 1
	if int(sensor) >= len(l.streams) {
		return from
	}
	if t := l.streams[sensor]; wire.Before(from, t.Lost) && t.Epoch == l.epoch() {
		return t.Lost
	}
	return from
}

// Oldest returns the sensor's oldest number of this epoch. It does not use the disk.
func (l *Log) Oldest(sensor uint16) (seq uint32, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if int(sensor) >= len(l.streams) {
		return 0, false
	}
	return l.streams[sensor].Oldest(l.epoch())
}

// epoch returns Begin's, and before Begin that of the newest record.
func (l *Log) epoch() string {
	if l.run.Epoch != "" {
		return l.run.Epoch
	}
	return l.index.Newest.Epoch
}

// Append adds the records of a tick, which it copies. It waits up to 20 ms for them
// to be written, so that they survive the end of the process, and returns whether
// they are. If the disk is slower than that, they wait in memory; while any do,
// Append returns at once. offset is the wall clock minus the boot clock, in ms,
// when the records were made. One goroutine at a time may call it.
func (l *Log) Append(records []wire.Record, offset int64) (written bool) {
	l.mu.Lock()
	records = l.known(records)
	for _, r := range records {
		l.index.Add(l.streams[r.Sensor], l.run.Epoch, l.boot, r, offset)
	}
	if lost := l.index.Shrink(memoryMax); lost > 0 {
		l.dropped.Add(int64(lost))
	}
	behind, mine := l.queue.len() > 0, uint64(0)
	if len(records) > 0 {
		now := time.Now()
		l.waiting.appended(now)
		mine = l.queue.push(tick{at: now, offset: offset}, records)
	}
	wait := mine > 0 && !behind && l.running
	l.mu.Unlock()
	if !wait || !l.writeNow() {
		signal(l.wakeWriter)
	}
	written = len(records) == 0 || wait && l.waitWritten(mine)
	if !written {
		l.mu.Lock()
		l.late += uint64(len(records))
		l.mu.Unlock()
	}
	return written
}

// Late returns for how many readings Append returned before they were written: a crash
// of the process might have lost them.
func (l *Log) Late() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.late
}

// known returns the records of sensors that are in the options.
func (l *Log) known(records []wire.Record) []wire.Record {
	unknown := func(r wire.Record) bool { return int(r.Sensor) >= len(l.streams) }
	if slices.ContainsFunc(records, unknown) {
		return slices.DeleteFunc(slices.Clone(records), unknown)
	}
	return records
}

const appendWait = 20 * time.Millisecond

// waitWritten waits until the tick has been written.
func (l *Log) waitWritten(mine uint64) bool {
	for waiting := false; ; waiting = true {
		l.mu.Lock()
		written, open := l.queue.taken >= mine, l.queue.accepting && l.running
		l.mu.Unlock()
		if written || !open {
			return written
		}
		if !waiting {
			l.timer.Reset(appendWait)
			defer l.timer.Stop()
		}
		select {
		case <-l.wrote:
		case <-l.timer.C():
			return false
		}
	}
}

// Size returns how many bytes the files have.
func (l *Log) Size() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.size
}

// Run writes each tick into the journal at once, unless Append has, syncs it once a second, moves
// records into a segment once an hour, and reads all segments once a day to find
// damage, until ctx ends. A power cut costs at most 1.2 s where a sync takes less than
// 0.2 s.
func (l *Log) Run(ctx context.Context) error {
	l.mu.Lock()
	l.running = !l.closed
	l.mu.Unlock()
	var others sync.WaitGroup
	others.Go(func() { l.runWriter(ctx) })
	others.Go(func() { l.runSyncer(ctx) })
	others.Go(func() { l.runMaintainer(ctx) })
	others.Go(func() { l.runScrubber(ctx) })
	l.runNotifier(ctx)
	others.Wait()
	l.mu.Lock()
	l.running = false
	l.mu.Unlock()
	signal(l.wrote)
	return nil
}

// Close writes and syncs what remains. It is called after Run has returned.
func (l *Log) Close() error {
	l.mu.Lock()
	closed := l.closed
	l.closed = true
	l.mu.Unlock()
	if closed {
		return nil
	}
	l.timer.Close()
	err := l.finish()
	l.mu.Lock()
	l.queue.close()
	l.mu.Unlock()
	return err
}
