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

// Options say what a [Log] keeps, and where.
type Options struct {
	Dir      string           // made if it is missing
	FS       FS               // nil: the operating system's, in Dir
	Sensors  []string         // names, by the sensor number of a record
	MaxBytes int64            // of all files together; 0: 256 MiB; at least 1 MiB
	MaxAge   time.Duration    // 0: 7 days
	Boot     string           // identifies the boot in which the offsets of the clock hold; "": not known
	Log      *slog.Logger     // nil: silent
	Changed  func(err error)  // readings are not kept durably now, for this reason; nil: they are again. Called by Run, quick
	Now      func() time.Time // nil: time.Now; what is too old, is told by it

	pages int64 // of a journal; 0: as the space allows
}

const (
	defaultBytes = 256 << 20
	defaultAge   = 7 * 24 * time.Hour
	minBytes     = 1 << 20
)

// Log keeps the records of the newest days. One goroutine appends, [Log.Run]
// writes, any number of goroutines read.
type Log struct {
	o    Options
	fs   FS
	log  *slog.Logger
	boot string

	// The disk's side: the writer writes pages, the keeper does all that can take
	// long. disk guards the journal; it is taken before mu, and held while a page
	// is written, never while something is synced.
	disk    turnstile
	journal *journal
	keeper  keeper

	mu        sync.Mutex
	index     *index.Index
	run       format.Run
	paged     format.Run      // of the next page: Begin may be ahead of it
	streams   []*index.Stream // by number
	queue     queue
	size      int64 // bytes on disk
	trouble   error // why readings are not durable
	running   bool
	syncFrom  time.Time // the sync under way began then; zero: none is
	writeFrom time.Time // the write likewise
	closed    bool

	wake  chan struct{} // 1: the writer has something to do
	wrote chan struct{} // 1: the writer has written
	call  chan struct{} // 1: the keeper is to look
	tell  chan struct{} // 1: trouble has changed
	timer *time.Timer   // of Append
}

// turnstile is a lock that may be held for as long as a disk hangs. Unlike a
// mutex, it lets the fake time of a test go on meanwhile.
type turnstile chan struct{}

func (t turnstile) Lock()   { t <- struct{}{} }
func (t turnstile) Unlock() { <-t }

// Open recovers what is in the directory. Damaged files are moved to the
// directory "damaged" in it and told to the log; they stay until readings need
// their room. If the disk cannot be used, the Log keeps in memory what there is
// room for and tries again while it runs: an error means that the options are
// wrong.
func Open(o Options) (*Log, error) {
	if o.Dir == "" && o.FS == nil {
		return nil, errors.New("history: no directory is named")
	}
	if o.MaxBytes < 0 || o.MaxAge < 0 {
		return nil, fmt.Errorf("history: MaxBytes %d, MaxAge %v: a limit is negative", o.MaxBytes, o.MaxAge)
	}
	l := &Log{o: o, fs: o.FS, log: o.Log, boot: o.Boot, disk: make(turnstile, 1),
		wake: make(chan struct{}, 1), wrote: make(chan struct{}, 1), call: make(chan struct{}, 1), tell: make(chan struct{}, 1)}
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
	l.queue.open = true
	r, err := l.recover(true)
	if err != nil {
		l.index = index.New()
		l.trouble = err
		l.keeper.unread = true
		// What is on the disk comes before what is made now, once it can be read.
		for _, name := range o.Sensors {
			l.index.Stream(name).Ordinals = math.MaxInt64 / 2
		}
		l.log.Warn("readings cannot be kept", "dir", o.Dir, "err", err)
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
		l.o.MaxBytes = defaultBytes
	}
	l.o.MaxBytes = max(l.o.MaxBytes, minBytes)
	if l.o.MaxAge == 0 {
		l.o.MaxAge = defaultAge
	}
	if l.o.Now == nil {
		l.o.Now = time.Now
	}
	if l.o.Changed == nil {
		l.o.Changed = func(error) {}
	}
	if l.boot == "" { // like no other
		l.boot = "process " + rand.Text()
	}
}

// recover reads the directory, which it makes if it is missing.
func (l *Log) recover(patient bool) (*recovery, error) {
	r := &recovery{fs: l.fs, log: l.log, patient: patient, aside: func(name string, why error) error {
		to, err := setAside(l.fs, name)
		if err == nil {
			l.log.Warn("a file of readings is set aside", "dir", l.o.Dir, "file", name, "as", to, "why", why)
		}
		return err
	}}
	if err := r.recover(); err != nil {
		return nil, err
	}
	var err error
	if r.away, err = setAsideBefore(l.fs); err != nil {
		l.log.Warn("what was set aside cannot be listed: it is not counted", "dir", l.o.Dir, "err", err)
	}
	return r, nil
}

// Epoch returns that of the newest record, "" if there is none.
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

// Begin tells the numbers that come next, by sensor, before the first Append and
// whenever the epoch changes. Numbers of a continued epoch that are neither kept
// nor to come count as lost. An epoch is 200 bytes long at most.
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
	for i, t := range l.streams {
		t.Begin(epoch, next[i])
		next[i] = t.Prev + 1
	}
	l.run.Epoch = epoch
	l.queue.push(tick{run: l.run, begin: next}, nil)
}

// Kept returns the smallest number from beyond after such that no record of this
// epoch with a number from then on is lost: for being too old, by a damaged
// file, a cut of power or a disk that was too slow. It asks the memory only.
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

// Oldest returns the sensor's oldest number of this epoch. It asks the memory
// only.
func (l *Log) Oldest(sensor uint16) (seq uint32, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if int(sensor) >= len(l.streams) {
		return 0, false
	}
	return l.streams[sensor].Oldest(l.epoch())
}

// epoch returns the present one: Begin's, or before it that of the newest record.
func (l *Log) epoch() string {
	if l.run.Epoch != "" {
		return l.run.Epoch
	}
	return l.index.Newest.Epoch
}

// Append takes in the records of a tick, which it copies. It waits up to 20 ms
// until they are in the system's hands, and tells whether they are. If the disk
// is slower than that, they wait in memory; while some do, nobody waits for the
// disk. offset is the wall clock minus the boot clock, in ms, that the records'
// times were made with. One goroutine at a time may call it.
func (l *Log) Append(records []wire.Record, offset int64) (written bool) {
	l.mu.Lock()
	records = l.known(records)
	for _, r := range records {
		l.index.Add(l.streams[r.Sensor], l.run.Epoch, l.boot, r, offset)
	}
	if lost := l.index.Shrink(memoryMax); lost > 0 {
		l.keeper.dropped.Add(int64(lost))
	}
	behind, mine := l.queue.len() > 0, uint64(0)
	if len(records) > 0 {
		mine = l.queue.push(tick{offset: offset}, records)
	}
	wait := mine > 0 && !behind && l.running
	l.mu.Unlock()
	select {
	case l.wake <- struct{}{}:
	default:
	}
	return wait && l.await(mine)
}

// known returns the records of sensors that there are.
func (l *Log) known(records []wire.Record) []wire.Record {
	foreign := func(r wire.Record) bool { return int(r.Sensor) >= len(l.streams) }
	if slices.ContainsFunc(records, foreign) {
		return slices.DeleteFunc(slices.Clone(records), foreign)
	}
	return records
}

const appendWait = 20 * time.Millisecond

// await waits until the tick has been written.
func (l *Log) await(mine uint64) bool {
	l.timer.Reset(appendWait)
	defer l.timer.Stop()
	for {
		l.mu.Lock()
		written, open := l.queue.taken >= mine, l.queue.open && l.running
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

// Durable returns nil, or why readings are not kept durably now.
func (l *Log) Durable() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, since := range []time.Time{l.syncFrom, l.writeFrom} {
		if stuck := time.Since(since); l.trouble == nil && !since.IsZero() && stuck > slowDisk {
			return fmt.Errorf("the disk has not answered for %v", stuck.Round(time.Second))
		}
	}
	return l.trouble
}

// Size returns how many bytes the files take.
func (l *Log) Size() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.size
}

// Run writes what is appended until ctx ends: the ticks at once, to the disk
// once a second, into segments once an hour, all of which are read once a day.
func (l *Log) Run(ctx context.Context) error {
	l.mu.Lock()
	l.running = !l.closed
	l.mu.Unlock()
	var others sync.WaitGroup
	others.Go(func() { l.writes(ctx) })
	others.Go(func() { l.keeps(ctx) })
	others.Go(func() { l.scrubs(ctx) })
	l.tells(ctx)
	others.Wait()
	l.mu.Lock()
	l.running = false
	l.mu.Unlock()
	signal(l.wrote)
	return nil
}

// Close writes and syncs what is left. Run has returned before.
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
	l.queue.shut()
	l.mu.Unlock()
	return err
}
