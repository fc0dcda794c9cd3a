// Package collect keeps the logs of readings of many gateways on one machine: blocks that
// come from them, each record once. What is confirmed is durable.
//
// It knows blocks and files. It refuses to know how blocks come, and what the gateways
// are to anybody.
//
// A block is durable first in the intake, one file for all gateways, so that one sync
// serves many blocks. Once an hour the blocks of each gateway go into a segment in its
// own directory, which is a log as package history has it, and the intake begins anew.
// The segments of a day that is over become one, also those of a gateway that is silent.
package collect

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"sensorgateway/gateway/history/disk"
	"sensorgateway/wire"
)

const (
	sealEvery  = time.Hour   // how long blocks stay in the intake
	sealAt     = 32 << 20    // bytes of a file of it, at which they do not stay so long: a segment has 64 MiB at most
	checkEvery = time.Minute // whether it is time
	// LogDir is the directory of a gateway's log, in the gateway's own directory, which
	// commands read like a state directory.
	LogDir = "log"
)

// Options are what a [Collection] is made of.
type Options struct {
	Dir      string // has a directory for each gateway, and the intake; it must be there
	FS       FS     // what is in it; nil: the operating system's
	MaxBytes int64  // of the segments of each gateway; 0: no limit
	Log      *slog.Logger
}

// Collection is the logs of many gateways.
type Collection struct {
	o      Options
	intake *intake
	pause  time.Duration // after each MiB that is merged

	visits visits    // of the goroutine that merges
	listed sync.Once // the logs that nobody has read
	mu     sync.Mutex
	logs   map[string]*log
}

// Open returns the logs in a directory. It reads the intake, and the directory of a
// gateway once that sends something.
func Open(o Options) (*Collection, error) {
	if o.FS == nil {
		o.FS = disk.OS(o.Dir)
	}
	in := newIntake(o.directory(intakeDir), o.Log)
	c := &Collection{o: o, intake: in, pause: mergePause, logs: map[string]*log{}}
	err := in.read(func(gateway string, at place) {
		l := c.log(gateway)
		l.pending = append(l.pending, at)
	})
	if err != nil {
		return nil, fmt.Errorf("the intake cannot be read: %w", err)
	}
	return c, nil
}

// log returns the log of a gateway.
func (c *Collection) log(gateway string) *log {
	c.mu.Lock()
	defer c.mu.Unlock()
	l := c.logs[gateway]
	if l == nil {
		l = &log{c: c, gateway: gateway, dir: c.o.directory(logDir(gateway))}
		c.logs[gateway] = l
	}
	return l
}

func logDir(gateway string) string { return gateway + "/" + LogDir }

// Values says what the values of a sensor's records are, from a number on.
type Values struct {
	From   uint32
	Sensor wire.SensorInfo
}

// all returns the logs of all gateways that sent something.
func (c *Collection) all() []*log {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Collect(maps.Values(c.logs))
}

// Append stores blocks of a sensor's epoch, each record once, and what is said of their
// values, and returns when both are durable. The gateway is the name of a directory.
// [Collection.Run] must run, or have ended. What is begun before ctx ends is completed.
// Blocks that can never be stored, because they cannot be read, are [codec.ErrBlock]; what would
// befall those of any gateway is [ErrIntake].
func (c *Collection) Append(ctx context.Context, gateway string, blocks [][]byte, said []Values) error {
	l := c.log(gateway)
	l.order.Lock()
	defer l.order.Unlock()
	if err := context.Cause(ctx); err != nil {
		return err
	}
	return l.append(blocks, said)
}

// Reader returns a reader of a gateway's log. epoch and sensors are the gateway's
// present ones. It is an error if the log cannot be read.
func (c *Collection) Reader(gateway, epoch string, sensors []string) (*Reader, error) {
	l := c.log(gateway)
	l.order.Lock()
	defer l.order.Unlock()
	if err := l.load(); err != nil {
		return nil, err
	}
	return &Reader{l, epoch, sensors}, nil
}

// Run writes what is appended, and moves blocks from the intake to the gateways' logs,
// until ctx ends; then it moves what is left.
func (c *Collection) Run(ctx context.Context) error {
	var parts errgroup.Group
	parts.Go(func() error { return c.intake.run(ctx) })
	parts.Go(func() error { c.maintain(ctx); return nil })
	return errors.Join(parts.Wait(), c.seal())
}

func (c *Collection) maintain(ctx context.Context) {
	tick := time.NewTicker(checkEvery)
	defer tick.Stop()
	begun := time.Now()
	last, due, failed := uint64(0), true, false
	for { // what a crash has left is due at once
		if due || failed { // what could not be moved is tried again; the rest stays until it is due
			again := due && failed
			if due {
				last = c.intake.finish()
			}
			err := c.move(last, again)
			if due, failed = false, err != nil; failed {
				c.o.Log.Warn("readings stay in the intake: they cannot be moved to the gateways' logs; it is tried again", "err", err)
			}
		}
		select {
		case now := <-tick.C:
			for _, l := range c.all() {
				l.rest(now)
			}
			due = c.intake.due(now)
			if now.Sub(begun) < mergeAfter {
				continue
			}
			if err := errors.Join(c.visit(now), c.merge(ctx, now)); err != nil && ctx.Err() == nil {
				c.o.Log.Warn("the files of a day cannot be merged now: they stay as they are", "err", err)
			}
		case <-ctx.Done():
			return
		}
	}
}

// seal moves the blocks that are in the intake now into the gateways' logs.
func (c *Collection) seal() error { return c.move(c.intake.finish(), false) }

// move moves the blocks that are in files of the intake up to a number into the gateways'
// logs, and removes these files. A log that cannot be written keeps them; if again, which
// is for one that could not be written for long, its blocks are repeated in the intake.
func (c *Collection) move(last uint64, again bool) (err error) {
	var failed []*log
	for _, l := range c.all() {
		if e := l.seal(last); e != nil {
			failed, err = append(failed, l), errors.Join(err, e)
		}
	}
	if len(failed) > 0 && (!again || !c.repeat(failed, last)) {
		return err // the files of the intake stay
	}
	return errors.Join(err, c.intake.remove(last))
}
