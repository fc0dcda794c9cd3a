package history

import (
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"sync/atomic"
	"time"

	"sensorgateway/gateway/history/codec"
	"sensorgateway/gateway/history/disk"
	"sensorgateway/gateway/history/format"
	"sensorgateway/gateway/history/index"
	"sensorgateway/gateway/history/journal"
	"sensorgateway/gateway/history/recovery"
	"sensorgateway/wire"
)

// Options say what a [Log] retains, and where.
type Options struct {
	Dir      string                  // created if it is missing
	FS       FS                      // nil: Dir
	Memory   string                  // path of a file in memory, see [journal.Staging]; "": each tick is written to the disk at once
	Sensors  []string                // names; a record's sensor number is the index
	Values   []wire.SensorInfo       // what the values of each of them are, and what corrects them; nil: not known
	MaxBytes int64                   // of all files together; 0: DefaultMaxBytes; at least 1 MiB
	MaxAge   time.Duration           // of the readings that are retained; 0: DefaultMaxAge
	Boot     string                  // identifies the boot of the machine, whose clock the offsets are of; "": not known
	Timer    disk.Timer              // that Append waits with; nil: the runtime's; closed with the log
	Seconds  func() <-chan time.Time // returns what has a value once a second; nil: the runtime's ticker
	Log      *slog.Logger            // nil: silent
	Changed  func(err error)         // called by Run when readings become durable (nil), or no longer are; must not block
	Damaged  func(Damage)            // called by Run when stored readings are found to be lost; must not block
	Evicted  func(Eviction)          // called by Run when more than the ordinary was evicted; must not block

	pages int64 // of a journal; 0: as MaxBytes allows
}

// What a log retains unless its options say otherwise.
const (
	DefaultMaxBytes = 256 << 20
	DefaultMaxAge   = 7 * 24 * time.Hour

	minBytes = 1 << 20
)

// Open returns a log that has loaded what is in the directory.
func Open(o Options) (*Log, error) {
	l, err := New(o)
	if err == nil {
		l.Load()
	}
	return l, err
}

// New returns a log that does not use the disk until [Log.Load]. An error means that
// the options are wrong.
func New(o Options) (*Log, error) {
	if o.Dir == "" && o.FS == nil {
		return nil, errors.New("history: Dir is empty")
	}
	if o.MaxBytes < 0 || o.MaxAge < 0 {
		return nil, fmt.Errorf("history: MaxBytes %d, MaxAge %v: a limit is negative", o.MaxBytes, o.MaxAge)
	}
	l := &Log{o: o, fs: o.FS, log: o.Log, boot: o.Boot, disk: make(disk.Lock, 1), timer: o.Timer, loaded: make(chan struct{}),
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
	l.run = format.Run{Boot: l.boot, Sensors: slices.Clone(o.Sensors)}
	if len(format.AppendRun(nil, l.run)) > format.RunMax {
		return nil, fmt.Errorf("history: the names of %d sensors are too long: a page of the journal has room for %d bytes", len(o.Sensors), format.RunMax)
	}
	l.paged = l.run
	l.queue.accepting = true
	l.index, l.failure, l.maintainer.unread = index.New(), errNotLoaded, true
	for _, name := range o.Sensors {
		t := l.index.Stream(name)
		t.Ordinals = math.MaxInt64 / 2 // what is on the disk will come before
		l.streams = append(l.streams, t)
	}
	return l, nil
}

var errNotLoaded = errors.New("the disk has not answered since the start")

// Load adds what is in the directory, however long the disk takes. It is called
// once. Readings may be appended meanwhile, and Run called: they stay in memory as far
// as there is room, and come after what is loaded. Damaged files are moved to the
// directory "damaged" and logged; they stay there until readings need their space. If
// the disk cannot be used, Run tries again.
func (l *Log) Load() {
	defer close(l.loaded)
	l.limit()
	l.disk.Lock()
	l.left = journal.ReadLeft(l.o.Memory)
	l.disk.Unlock()
	r, err := l.recover(true)
	if err != nil {
		l.log.Warn("readings stay in memory: the directory cannot be read; it is tried again", "dir", l.o.Dir, "err", err)
		l.setFailure(err)
		return
	}
	if !l.begin(r) {
		l.merge(r)
		return
	}
	l.reuse(r)
}

// begin begins with what was found in the directory, unless readings were made meanwhile.
func (l *Log) begin(r *recovery.Found) bool {
	l.disk.Lock()
	defer l.disk.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.run.Epoch != "" {
		return false
	}
	l.adopt(r)
	l.index, l.streams, l.values = r.Index, nil, r.Values
	for _, name := range l.o.Sensors {
		l.streams = append(l.streams, l.index.Stream(name))
	}
	l.failure, l.maintainer.unread = errStarting, false
	return true
}

// limit lowers MaxBytes to what the disk can have: beyond that, readings would be
// evicted only when the disk is full.
func (l *Log) limit() {
	fs, ok := l.fs.(interface {
		Space() (bytes int64, err error)
	})
	if !ok {
		return
	}
	space, err := fs.Space()
	if err != nil { // whatever uses the disk next reports it
		return
	}
	most := max(space/10*9, minBytes) // a file system uses a part itself
	if l.o.MaxBytes <= most {
		return
	}
	l.log.Warn("the disk is smaller than the readings may get: their size is lowered; fix: history: size: in the configuration",
		"dir", l.o.Dir, "disk_mib", space>>20, "size_mib", l.o.MaxBytes>>20, "lowered_mib", most>>20)
	l.o.MaxBytes = most
}

// Loading returns a number that grows while Load goes on, as long as the disk answers.
func (l *Log) Loading() int64 { return l.steps.Load() }

// leftFS is the directory as the process before left it, with the page that is only in memory.
type leftFS struct {
	FS
	left journal.Left
}

func (d leftFS) Open(name string, write bool) (disk.File, error) {
	f, err := d.FS.Open(name, write)
	if err != nil {
		return nil, err
	}
	return d.left.Over(name, f), nil
}

// A countedFS counts what it is asked for.
type countedFS struct {
	FS
	n *atomic.Int64
}

func (c countedFS) Open(name string, write bool) (disk.File, error) {
	c.n.Add(1)
	f, err := c.FS.Open(name, write)
	return disk.Counted(f, c.n), err
}

func (l *Log) defaults() {
	if l.fs == nil {
		l.fs = disk.OS(l.o.Dir)
	}
	if l.timer == nil {
		l.timer = disk.NewTimer()
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
	if l.o.Seconds == nil {
		l.o.Seconds = func() <-chan time.Time { return time.Tick(syncEvery) }
	}
	if l.o.Changed == nil {
		l.o.Changed = func(error) {}
	}
	if l.boot == "" { // differs from every other process's
		l.boot = "process " + rand.Text()
	}
}

// recover reads the directory.
func (l *Log) recover(unreadableFails bool) (*recovery.Found, error) {
	l.disk.Lock()
	left := l.left
	l.disk.Unlock()
	return recovery.Read(recovery.Options{
		FS: countedFS{leftFS{l.fs, left}, &l.steps}, Log: l.log.With("dir", l.o.Dir), UnreadableFails: unreadableFails,
	})
}
