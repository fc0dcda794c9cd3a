package history

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"sync"
	"time"

	"sensorgateway/gateway/history/codec"
	"sensorgateway/gateway/history/disk"
	"sensorgateway/gateway/history/format"
	"sensorgateway/gateway/history/index"
	"sensorgateway/wire"
)

// Options say what a [Log] retains, and where.
type Options struct {
	Dir      string          // created if it is missing
	FS       FS              // nil: Dir
	Sensors  []string        // names; a record's sensor number is the index
	MaxBytes int64           // of all files together; 0: DefaultMaxBytes; at least 1 MiB
	MaxAge   time.Duration   // of the readings that are retained; 0: DefaultMaxAge
	Boot     string          // identifies the boot of the machine, whose clock the offsets are of; "": not known
	Log      *slog.Logger    // nil: silent
	Changed  func(err error) // called by Run when readings become durable (nil), or no longer are; must not block
	Damaged  func(Damage)    // called by Run when stored readings are found to be lost; must not block
	Evicted  func(Eviction)  // called by Run when more than the ordinary was evicted; must not block

	pages int64 // of a journal; 0: as MaxBytes allows
}

// What a log retains unless its options say otherwise.
const (
	DefaultMaxBytes = 256 << 20
	DefaultMaxAge   = 7 * 24 * time.Hour

	minBytes = 1 << 20
)

// Log is the log of readings. One goroutine appends, [Log.Run] writes, any number
// of goroutines read.
type Log struct {
	o    Options
	fs   FS
	log  *slog.Logger
	boot string

	// The writer writes pages of the journal; the maintainer does everything else
	// that uses the disk. disk guards the journal. It is taken before mu, and held
	// while a page is written, but never during a sync.
	disk       slowLock
	journal    *journal
	maintainer maintainer

	mu        sync.Mutex
	index     *index.Index
	run       format.Run
	paged     format.Run      // of the next page: Begin may be ahead of it
	streams   []*index.Stream // by number
	queue     queue
	size      int64 // of all files, bytes
	failure   error // why readings are not durable; nil: they are
	running   bool
	syncFrom  time.Time // when the sync that is in progress began; zero: none is
	writeFrom time.Time // the same of a write
	closed    bool
	damages   damages
	evicting  *index.Segment // its file is being removed
	search    bool           // a file is missing: search for others at once

	wakeWriter     chan struct{} // size 1, as each of these: a token says that the writer has something to do
	wrote          chan struct{} // the writer has written a tick
	wakeMaintainer chan struct{} // the journal was abandoned
	wakeNotifier   chan struct{} // failure has changed
	timer          *time.Timer   // of Append
}

// slowLock is a lock that may be held for as long as a disk does not answer. Unlike
// a mutex, it lets the fake clock of testing/synctest advance meanwhile.
type slowLock chan struct{}

func (t slowLock) Lock()   { t <- struct{}{} }
func (t slowLock) Unlock() { <-t }

// Open reads what is in the directory. Damaged files are moved to the directory
// "damaged" in it and logged; they stay there until readings need their space. If the
// disk cannot be used, readings stay in memory as far as there is room, and Run
// tries again: an error means that the options are wrong.
func Open(o Options) (*Log, error) {
	if o.Dir == "" && o.FS == nil {
		return nil, errors.New("history: Dir is empty")
	}
	if o.MaxBytes < 0 || o.MaxAge < 0 {
		return nil, fmt.Errorf("history: MaxBytes %d, MaxAge %v: a limit is negative", o.MaxBytes, o.MaxAge)
	}
	l := &Log{o: o, fs: o.FS, log: o.Log, boot: o.Boot, disk: make(slowLock, 1),
		wakeWriter: make(chan struct{}, 1), wrote: make(chan struct{}, 1), wakeMaintainer: make(chan struct{}, 1), wakeNotifier: make(chan struct{}, 1)}
	names := map[string]bool{}
	for _, name := range o.Sensors {
		if name == "" || len(name) > codec.StringMax || names[name] {
			return nil, fmt.Errorf("history: sensor %q: a name must be unique and 1 to %d bytes long", name, codec.StringMax)
		}
		names[name] = true
	}
	if len(o.Boot) > format.MomentMax {
		return nil, fmt.Errorf("history: Boot is longer than %d bytes", format.MomentMax)
	}
	l.defaults()
	l.timer = time.NewTimer(time.Hour)
	l.timer.Stop()
	l.run = format.Run{Boot: l.boot, Sensors: slices.Clone(o.Sensors)}
	if len(format.AppendRun(nil, l.run)) > format.RunMax {
		return nil, fmt.Errorf("history: the names of %d sensors are too long: a page of the journal has room for %d bytes", len(o.Sensors), format.RunMax)
	}
	l.paged = l.run
	l.queue.accepting = true
	r, err := l.recover(true)
	if err != nil {
		l.index = index.New()
		l.failure = err
		l.maintainer.unread = true
		// What is on the disk will come before, once it can be read.
		for _, name := range o.Sensors {
			l.index.Stream(name).Ordinals = math.MaxInt64 / 2
		}
		l.log.Warn("readings stay in memory: the directory cannot be read; it is tried again", "dir", o.Dir, "err", err)
	} else {
		l.adopt(r)
		l.reuse(r)
		l.index = r.index
	}
	for _, name := range o.Sensors {
		l.streams = append(l.streams, l.index.Stream(name))
	}
	return l, nil
}

func (l *Log) defaults() {
	if l.fs == nil {
		l.fs = disk.OS(l.o.Dir)
	}
	if l.log == nil {
		l.log = slog.New(slog.DiscardHandler)
	}
	if l.o.MaxBytes == 0 {
		l.o.MaxBytes = DefaultMaxBytes
	}
	l.o.MaxBytes = max(l.o.MaxBytes, minBytes)
	if l.o.MaxAge == 0 {
		l.o.MaxAge = DefaultMaxAge
	}
	if l.o.Damaged == nil {
		l.o.Damaged = func(Damage) {}
	}
	if l.o.Evicted == nil {
		l.o.Evicted = func(Eviction) {}
	}
	if l.o.Changed == nil {
		l.o.Changed = func(error) {}
	}
	if l.boot == "" { // it is no other process's
		l.boot = "process " + rand.Text()
	}
}

// recover reads the directory.
func (l *Log) recover(unreadableFails bool) (*recovery, error) {
	r := &recovery{fs: l.fs, log: l.log, unreadableFails: unreadableFails}
	r.moveAside = func(name string, why error) error {
		to, err := setAside(l.fs, name)
		if err == nil {
			l.log.Warn("a file of readings is set aside: it is damaged or of a newer version", "dir", l.o.Dir, "file", name, "as", to, "why", why)
		}
		return err
	}
	list := func() {
		var err error
		if r.aside, err = listAside(l.fs); err != nil {
			l.log.Warn("the files that were set aside cannot be listed, and are not counted", "dir", l.o.Dir, "err", err)
		}
	}
	list() // a segment that is there is not missing
	if err := r.recover(); err != nil {
		return nil, err
	}
	list()
	return r, nil
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
	defer l.mu.Unlock()
	next = slices.Clone(next[:min(len(next), len(l.streams))])
	for len(next) < len(l.streams) {
		next = append(next, 0)
	}
	l.countTail(epoch, next)
	for i, t := range l.streams {
		t.Begin(epoch, next[i])
		next[i] = t.Prev + 1
	}
	l.run.Epoch = epoch
	l.queue.push(tick{run: l.run, begin: next}, nil)
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
		l.maintainer.lostRecords.Add(int64(lost))
	}
	behind, mine := l.queue.len() > 0, uint64(0)
	if len(records) > 0 {
		mine = l.queue.push(tick{offset: offset}, records)
	}
	wait := mine > 0 && !behind && l.running
	l.mu.Unlock()
	select {
	case l.wakeWriter <- struct{}{}:
	default:
	}
	return wait && l.waitWritten(mine)
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
	l.timer.Reset(appendWait)
	defer l.timer.Stop()
	for {
		l.mu.Lock()
		written, open := l.queue.taken >= mine, l.queue.accepting && l.running
		l.mu.Unlock()
		if written || !open {
			return written
		}
		select {
		case <-l.wrote:
		case <-l.timer.C:
			return false
		}
	}
}

// Durable returns why a power cut would lose more than the newest second of
// readings, nil if it would not.
func (l *Log) Durable() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, since := range []time.Time{l.syncFrom, l.writeFrom} {
		if stuck := time.Since(since); l.failure == nil && !since.IsZero() && stuck > slowDisk {
			return fmt.Errorf("the disk has not answered for %v", stuck.Round(time.Second))
		}
	}
	return l.failure
}

// Size returns how many bytes the files have.
func (l *Log) Size() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.size
}

// Run writes each tick into the journal at once, syncs it once a second, moves
// records into a segment once an hour, and reads all segments once a day to find
// damage, until ctx ends.
func (l *Log) Run(ctx context.Context) error {
	l.mu.Lock()
	l.running = !l.closed
	l.mu.Unlock()
	var others sync.WaitGroup
	others.Go(func() { l.runWriter(ctx) })
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
	err := l.finish()
	l.mu.Lock()
	l.queue.close()
	l.mu.Unlock()
	return err
}
