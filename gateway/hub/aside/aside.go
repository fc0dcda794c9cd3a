// Package aside keeps readings of gateways whose logs cannot be used, until they can: the
// failure of one gateway's log must not hold up the others, whose messages come behind its
// own.
//
// It knows files with payloads as they come. It refuses to know how a log is written, and
// where payloads come from.
package aside

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"sensorgateway/gateway/atomicfile"
	"sensorgateway/gateway/fleet"
	"sensorgateway/gateway/history/codec"
	"sensorgateway/gateway/history/collect"
)

const (
	suffix = ".up" // of a file with a payload; before it is a number, the later the greater
	// mostBytes is how large the files of a gateway are, all together, while its log cannot be
	// used: the readings of two weeks of two sensors. The oldest make room.
	mostBytes = 64 << 20
	tryEvery  = time.Minute // whether the log can be used again
)

// What a warning says of a gateway, or of a path.
const (
	unusable = "unusable " // its log
	full     = "full "     // the oldest that was kept is dropped
	stays    = "stays "    // what is kept at a path
)

// Options are what an [Aside] is made of.
type Options struct {
	Dir string // has a directory for each gateway of which something is kept; made when needed
	// Store stores blocks in the gateway's log, and returns when they are durable. The error
	// [codec.ErrBlock] says that they never can be, [collect.ErrIntake] that those of no gateway
	// can be now. Any other is of this log.
	Store func(ctx context.Context, gateway string, blocks fleet.Blocks) error
	// Stored is called when all that was kept of a gateway is in its log, but for what was
	// dropped or damaged: only now can be found out what is missing; nil: nobody wants to know.
	Stored func(gateway string)
	Log    *slog.Logger
}

// Aside stores blocks, and keeps those that cannot be stored now.
type Aside struct {
	o      Options
	number atomic.Int64 // of the last file
	most   int64        // bytes of a gateway

	mu   sync.Mutex
	said map[string]bool // what a warning said, and is so still
}

// New returns what keeps payloads in a directory. [Aside.Run] stores them.
func New(o Options) *Aside {
	a := &Aside{o: o, most: mostBytes, said: map[string]bool{}}
	last := time.Now().UnixNano()
	for _, gateway := range a.gateways() {
		for _, f := range a.kept(gateway) { // with another clock
			if n, err := strconv.ParseInt(strings.TrimSuffix(f.Name(), suffix), 10, 64); err == nil {
				last = max(last, n)
			}
		}
	}
	a.number.Store(last)
	return a
}

// Store returns when the blocks are durable, in the gateway's log or aside.
func (a *Aside) Store(ctx context.Context, gateway string, blocks fleet.Blocks) error {
	if a.isKept(gateway) { // Run tries whether the log can be used again
		return a.keep(gateway, blocks)
	}
	err := a.o.Store(ctx, gateway, blocks)
	if err == nil || errors.Is(err, codec.ErrBlock) || errors.Is(err, collect.ErrIntake) || ctx.Err() != nil {
		return err
	}
	if failed := a.keep(gateway, blocks); failed != nil { // such as when the disk is full
		return fmt.Errorf("%w; nor can they be kept aside: %w", err, failed)
	}
	if a.first(unusable + gateway) {
		a.o.Log.Warn("the log of a gateway cannot be used: its readings are kept aside until it can; fix: let the hub's user read and write the directory of the log",
			"gateway", gateway, "aside", filepath.Join(a.o.Dir, gateway), "err", err)
	}
	return nil
}

// isKept returns whether what comes of a gateway goes aside.
func (a *Aside) isKept(gateway string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.said[unusable+gateway]
}

// first returns whether a warning is to say what it has not said yet.
func (a *Aside) first(what string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	said := a.said[what]
	a.said[what] = true
	return !said
}

// over notes that what warnings have said of a gateway is so no longer.
func (a *Aside) over(gateway string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.said, unusable+gateway)
	delete(a.said, full+gateway)
}

// keep makes blocks durable in a file of their own.
func (a *Aside) keep(gateway string, b fleet.Blocks) error {
	dir := filepath.Join(a.o.Dir, gateway)
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return err
	}
	payload := slices.Concat(append([][]byte{fleet.AppendUpHeader(nil, b.Values), b.Heads}, b.Blocks...)...)
	path := filepath.Join(dir, fmt.Sprintf("%020d%s", a.number.Add(1), suffix))
	err := atomicfile.Write(path, 0o600, func(f *os.File) error { _, err := f.Write(payload); return err })
	for _, parent := range []string{a.o.Dir, filepath.Dir(a.o.Dir)} { // a power cut must leave the directories there
		err = errors.Join(err, atomicfile.OS{}.SyncDir(parent))
	}
	return err
}

// Run stores what is kept, as soon as the log of its gateway can be used, until ctx ends.
func (a *Aside) Run(ctx context.Context) error {
	tick := time.NewTicker(tryEvery)
	defer tick.Stop()
	for {
		a.storeAll(ctx)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// storeAll stores what is kept of all gateways whose logs can be used.
func (a *Aside) storeAll(ctx context.Context) {
	for _, gateway := range a.gateways() {
		stored, err := a.storeKept(ctx, gateway)
		if ctx.Err() != nil {
			return
		}
		if err == nil && stored > 0 {
			a.over(gateway)
			if a.o.Stored != nil {
				a.o.Stored(gateway)
			}
			a.o.Log.Info("the log of a gateway can be used again: what was kept aside is stored", "gateway", gateway, "parts", stored)
		}
		if err == nil {
			continue
		}
		a.makeRoom(gateway)
		if !errors.Is(err, collect.ErrIntake) && a.first(unusable+gateway) { // since the start of the hub
			a.o.Log.Warn("the log of a gateway cannot be used: its readings stay aside", "gateway", gateway, "err", err)
		}
	}
}

// gateways returns those of which something is or was kept.
func (a *Aside) gateways() (names []string) {
	for _, d := range a.list(a.o.Dir) {
		if fleet.CheckName(d.Name()) == nil {
			names = append(names, d.Name())
		}
	}
	return names
}

// kept returns the files with what is kept of a gateway, the oldest first.
func (a *Aside) kept(gateway string) []fs.DirEntry {
	return slices.DeleteFunc(a.list(filepath.Join(a.o.Dir, gateway)), func(f fs.DirEntry) bool { return !strings.HasSuffix(f.Name(), suffix) })
}

// list returns what is in a directory, sorted; nothing if it cannot be read.
func (a *Aside) list(dir string) []fs.DirEntry {
	all, err := os.ReadDir(dir)
	if !errors.Is(err, fs.ErrNotExist) {
		a.left(dir, err)
	}
	return all
}

// left says, once, that what is kept at a path stays there because of an error, if there is one.
// The rest goes on, for nothing of it is a failure of the gateway's log.
func (a *Aside) left(path string, err error) {
	if err != nil && a.first(stays+path) {
		a.o.Log.Warn("readings that are kept aside cannot be read or removed, and stay there; fix: let the hub's user read and write them, or remove them", "path", path, "err", err)
	}
}

// makeRoom removes the oldest of what is kept of a gateway, as far as that is more than there may be.
func (a *Aside) makeRoom(gateway string) {
	size := int64(0)
	for _, f := range slices.Backward(a.kept(gateway)) {
		info, err := f.Info()
		if err == nil {
			size += info.Size()
		}
		path := filepath.Join(a.o.Dir, gateway, f.Name())
		if err == nil && size > a.most {
			err = os.Remove(path)
		}
		a.left(path, err)
	}
	if size > a.most && a.first(full+gateway) {
		a.o.Log.Warn("more readings of a gateway are kept aside than there may be: the oldest are dropped; fix: let the hub's user read and write the directory of its log",
			"gateway", gateway, "aside", filepath.Join(a.o.Dir, gateway), "bytes", a.most)
	}
}

// storeKept stores what is kept of a gateway, the oldest first, and returns how many parts of
// messages that was. An error is of the log.
func (a *Aside) storeKept(ctx context.Context, gateway string) (stored int, err error) {
	for _, f := range a.kept(gateway) {
		path := filepath.Join(a.o.Dir, gateway, f.Name())
		payload, err := atomicfile.Read(path)
		if err == nil {
			if err := a.storePayload(ctx, gateway, path, payload); err != nil {
				return stored, err
			}
			err = os.Remove(path)
		}
		if a.left(path, err); err == nil {
			stored++
		}
	}
	return stored, nil
}

// storePayload stores what a file has, which is one part. What can never be stored is no error.
func (a *Aside) storePayload(ctx context.Context, gateway, path string, payload []byte) error {
	parts, err := fleet.ParseUp(payload)
	for _, blocks := range parts {
		if err = a.o.Store(ctx, gateway, blocks); err != nil && !errors.Is(err, codec.ErrBlock) {
			return err
		}
	}
	if err != nil {
		a.o.Log.Warn("readings that were kept aside cannot be read, and are lost unless their gateway still has them", "file", path, "err", err)
	}
	return nil
}
