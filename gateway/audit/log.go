package audit

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// Options of a Log. All paths are required.
type Options struct {
	Dir    string // of the files, created when missing, with mode 0700
	Key    string // file of the key, made when missing
	Anchor string // file of the anchor
	Log    *slog.Logger
	Synced func() bool // whether the clock is synchronised; nil: always
	// Seconds returns a channel with a value once a second; nil: the runtime's ticker.
	Seconds func() <-chan time.Time
	// Guard wraps the function that a goroutine runs, to make a panic safe; nil: none does.
	Guard func(run func(context.Context) error) func(context.Context) error

	write func(*os.File, []byte) (int, error) // nil: (*os.File).Write
	sync  func(*os.File) error                // nil: (*os.File).Sync
}

const (
	queueSize    = 1024             // records that wait for the disk
	retryPause   = time.Second      // after a write that failed
	anchorPause  = 10 * time.Second // between two anchors
	anchorLogged = time.Hour        // between two log lines with the anchor
	stopPatience = time.Second      // with the disk at the end
)

// Log is the audit log of a running gateway.
type Log struct {
	opts  Options
	queue chan entry
	lost  atomic.Int64 // records that found the queue full
	late  atomic.Bool  // a record waits for the disk: Append does not wait for the next ones
	total atomic.Int64 // records written

	mu      sync.Mutex
	counted map[string]*repeated

	failure  atomic.Pointer[string] // of the disk, "" for none
	unsynced atomic.Bool            // it is of a sync: records that are written do not end it
	head     atomic.Pointer[mark]   // of what was carried out, as it is anchored
}

type entry struct {
	record  Record
	written chan struct{} // closed when it is
}

// New returns a log, which [Log.Run] opens: nothing waits for the disk here.
func New(o Options) *Log {
	if o.Guard == nil {
		o.Guard = func(run func(context.Context) error) func(context.Context) error { return run }
	}
	if o.Seconds == nil {
		o.Seconds = func() <-chan time.Time { return time.Tick(time.Second) }
	}
	if o.write == nil {
		o.write = (*os.File).Write
	}
	if o.sync == nil {
		o.sync = (*os.File).Sync
	}
	return &Log{opts: o, queue: make(chan entry, queueSize), counted: map[string]*repeated{}}
}

// Append adds a record of what was carried out, and reports whether it was handed to
// the system within this time, so that no death of the process loses it. One that was
// not is written as soon as the disk takes it. While an earlier record waits for the
// disk, Append waits for nothing.
func (l *Log) Append(r Record, patience time.Duration) (written bool) {
	r.Chain = Done
	e := l.enqueue(r)
	if e == nil || l.late.Load() {
		return false
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-e.written:
		return true
	case <-timer.C:
	}
	l.late.Store(true)
	select {
	case <-e.written: // just now: no later record might come to reset late
		l.late.Store(false)
		return true
	default:
		return false
	}
}

// Note adds a record of what happened without a command, and waits for nothing.
func (l *Log) Note(r Record) {
	r.Chain = Done
	l.enqueue(r)
}

// enqueue returns nil if the queue is full.
func (l *Log) enqueue(r Record) *entry {
	r.At, r.Unsynced = time.Now().UnixMilli(), l.opts.Synced != nil && !l.opts.Synced()
	e := entry{r, make(chan struct{})}
	select {
	case l.queue <- e:
		return &e
	default:
		l.lost.Add(1)
		return nil
	}
}

// Written returns how many records were written, and Lost how many were not, because
// the disk took none for too long.
func (l *Log) Written() int64 { return l.total.Load() }

// Lost is described at [Log.Written].
func (l *Log) Lost() int64 { return l.lost.Load() }

// Head returns the number of the newest anchored record of what was carried out, and its
// code, which [Verify] takes from outside; 0 before there is one.
func (l *Log) Head() (n uint64, code string) {
	if m := l.head.Load(); m != nil {
		return m.Newest, m.Code
	}
	return 0, ""
}

// Err returns why records cannot be written or are not durable, nil if nothing is wrong.
func (l *Log) Err() error {
	if f := l.failure.Load(); f != nil && *f != "" {
		return errors.New(*f)
	}
	return nil
}

// Run writes records until the context ends, and then those that are left, for a second at
// most.
func (l *Log) Run(ctx context.Context) error {
	ended := make(chan struct{})
	go func() { // a system call on a disk that hangs never returns, and cannot be waited for
		defer close(ended)
		_ = l.opts.Guard(l.work)(ctx)
	}()
	<-ctx.Done()
	select {
	case <-ended:
	case <-time.After(stopPatience):
		l.opts.Log.Error("audit records that the disk did not take are lost", "records", len(l.queue)+1)
	}
	return nil
}

func (l *Log) work(ctx context.Context) error {
	var disk *disk
	for disk == nil {
		var err error
		if disk, err = l.open(); err != nil {
			l.failed(fmt.Errorf("the audit log cannot be opened: %w", err))
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(retryPause):
			}
		}
	}
	var beside sync.WaitGroup
	beside.Go(func() {
		_ = l.opts.Guard(func(ctx context.Context) error { return l.syncRegularly(ctx, disk) })(ctx)
	})
	defer func() {
		beside.Wait()
		l.syncOnce(disk, true)
		disk.close()
	}()
	flush := time.NewTicker(countFor)
	defer flush.Stop()
	var lost int64
	for {
		select {
		case e := <-l.queue:
			l.write(ctx, disk, e)
		case <-flush.C:
			l.flushCounted(time.Now())
		case <-ctx.Done():
			l.flushCounted(time.Now().Add(countFor))
			for {
				select {
				case e := <-l.queue:
					l.write(ctx, disk, e)
				default:
					return nil
				}
			}
		}
		if n := l.lost.Load(); n > lost {
			r := Record{Chain: Done, At: time.Now().UnixMilli(), Kind: KindLost, Result: "the disk took no records for too long", Count: n - lost}
			l.write(ctx, disk, entry{r, make(chan struct{})})
			lost = n
		}
	}
}

// write writes a record, again and again until the disk takes it or the context ends.
func (l *Log) write(ctx context.Context, d *disk, e entry) {
	for {
		err := d.chain(e.record.Chain).append(e.record)
		if err == nil {
			l.late.Store(false)
			l.total.Add(1)
			close(e.written)
			if !l.unsynced.Load() {
				l.failed(nil)
			}
			return
		}
		l.late.Store(true)
		l.failed(fmt.Errorf("an audit record cannot be written: %w", err))
		select {
		case <-ctx.Done():
			return
		case <-time.After(retryPause):
		}
	}
}

// failed logs a failure when it begins, and its end.
func (l *Log) failed(err error) {
	words := ""
	if err != nil {
		words = err.Error()
	}
	before := l.failure.Swap(&words)
	was := before != nil && *before != ""
	switch {
	case err != nil && !was:
		l.opts.Log.Error("audit records wait for the disk", "err", err)
	case err == nil && was:
		l.opts.Log.Info("audit records are written again")
	}
}

// syncRegularly syncs once a second: that is what a power cut may cost.
func (l *Log) syncRegularly(ctx context.Context, d *disk) error {
	second := l.opts.Seconds()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-second:
			l.syncOnce(d, false)
		}
	}
}

// syncOnce makes durable what was written, evicts what is too much, and now and then
// writes the anchor of what is durable.
func (l *Log) syncOnce(d *disk, last bool) {
	now := time.Now()
	marks := map[string]mark{}
	for _, w := range d.writers {
		m, dirty, err := w.sync()
		if err != nil {
			l.unsynced.Store(true)
			l.failed(fmt.Errorf("the audit log is not durable: %w", err))
			return
		}
		marks[w.chain] = m
		d.anchorDue, d.grown = d.anchorDue || dirty, d.grown || dirty // also if the other chain fails now
	}
	if l.unsynced.Swap(false) {
		l.failed(nil)
	}
	if d.grown {
		d.grown = !l.evict(d, marks)
	}
	if !d.anchorDue || !last && now.Sub(d.anchored) < anchorPause {
		return
	}
	if err := writeAnchor(l.opts.Anchor, d.key, marks); err != nil {
		l.opts.Log.Warn("the audit log's anchor is not stored", "err", err)
		return
	}
	d.anchored, d.anchorDue = now, false
	head := marks[Done]
	l.head.Store(&head)
	if last || now.Sub(d.logged) >= anchorLogged {
		d.logged = now
		l.opts.Log.Info("audit anchor", "n", marks[Done].Newest, "code", marks[Done].Code)
	}
}
