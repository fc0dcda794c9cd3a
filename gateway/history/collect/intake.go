package collect

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"sensorgateway/gateway/history/collect/frame"
	"sensorgateway/gateway/history/disk"
)

// The intake is where blocks of all gateways are durable first: one file to which all
// of them are appended in frames, so that one sync serves many blocks.
const (
	intakeSuffix = ".intake"
	intakeDir    = "_intake" // is no name of a gateway
	groupBytes   = 8 << 20   // that are synced at once
)

// ErrIntake says that nothing can be stored, of whichever gateway.
var ErrIntake = errors.New("the intake of all gateways")

// place is where a block is in the intake.
type place struct {
	file uint64
	at   int64
	size int32
	cut  *[]byte // what of it is used; nil: all
}

// read calls take for each block of each file, and begins another file after them. What
// follows a frame that is not whole was never confirmed to anybody.
func (in *intake) read(take func(gateway string, at place)) error {
	numbers, _, err := in.files()
	if err != nil {
		return err
	}
	for _, n := range numbers {
		in.number = n
		if err := in.readFile(n, take); err != nil {
			return err
		}
	}
	return nil
}

func (in *intake) readFile(n uint64, take func(string, place)) error {
	f, err := in.dir.Open(intakeName(n), false)
	if err != nil {
		return err
	}
	defer f.Close()
	file := filepath.Join(in.dir.at, intakeName(n))
	err = frame.Read(f, func(gateway string, at int64, size int) { take(gateway, place{file: n, at: at, size: int32(size)}) }, func(at, size int64, last bool) {
		if last {
			in.log.Info("the newest blocks that came before a crash were not complete: gateways send them again", "file", file, "bytes", size)
			return
		}
		in.log.Warn("blocks of readings that were stored are damaged, and are lost unless their gateways still have them", "file", file, "at", at, "bytes", size)
	})
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	return nil
}

// entry is what waits to be written.
type entry struct {
	frame []byte
	head  int // bytes before the blocks
	at    place
	done  chan error // size 1
}

func newEntry(gateway string, blocks [][]byte) *entry {
	e := &entry{done: make(chan error, 1)}
	e.frame, e.head = frame.Format(gateway, blocks)
	return e
}

// intake appends. One goroutine runs write.
type intake struct {
	dir directory
	log *slog.Logger

	mu    sync.Mutex
	queue []*entry
	ended error         // why nothing is written any more
	wake  chan struct{} // size 1: there is something in the queue

	file   disk.File // of the writer; nil: none is open
	number uint64
	size   int64
	since  time.Time // of the first frame in it
	rotate bool      // the next frame begins another file
	full   bool      // a file has sealAt bytes that may not be in segments
	rooted bool      // a power cut leaves the directory there
	sealAt int64     // bytes of a file, after which another begins
}

func newIntake(dir directory, log *slog.Logger) *intake {
	return &intake{dir: dir, log: log, wake: make(chan struct{}, 1), sealAt: sealAt}
}

func intakeName(number uint64) string { return fmt.Sprintf("%016x%s", number, intakeSuffix) }

// files returns the numbers of the files that are there, in order, and how large all are.
func (in *intake) files() (numbers []uint64, size int64, err error) {
	files, err := in.dir.List("")
	if err != nil {
		return nil, 0, err
	}
	for _, f := range files {
		name, ours := strings.CutSuffix(f.Name, intakeSuffix)
		if n, err := strconv.ParseUint(name, 16, 64); ours && err == nil && len(name) == 16 {
			numbers, size = append(numbers, n), size+f.Size
		}
	}
	slices.Sort(numbers)
	return numbers, size, nil
}

// add waits until the blocks are durable, and returns where they begin, or why they are
// not stored. The wait cannot be cut short: what is being written may become durable.
func (in *intake) add(e *entry) (place, error) {
	in.mu.Lock()
	if err := in.ended; err != nil {
		in.mu.Unlock()
		return place{}, err
	}
	in.queue = append(in.queue, e)
	in.mu.Unlock()
	select {
	case in.wake <- struct{}{}:
	default:
	}
	err := <-e.done
	return e.at, err
}

// store makes blocks of a gateway durable, and returns where they are.
func (in *intake) store(gateway string, blocks [][]byte) (places []place, err error) {
	at, err := in.add(newEntry(gateway, blocks))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrIntake, err)
	}
	for _, b := range blocks {
		places = append(places, place{file: at.file, at: at.at, size: int32(len(b))})
		at.at += int64(len(b))
	}
	return places, nil
}

// run writes what is added until ctx ends.
func (in *intake) run(ctx context.Context) error {
	for {
		select {
		case <-in.wake:
		case <-ctx.Done():
			in.fail(context.Cause(ctx))
			return in.closeFile()
		}
		for group := in.take(); len(group) > 0; group = in.take() {
			err := in.write(group)
			if err != nil {
				in.log.Warn("the intake of readings begins another file", "err", errors.Join(err, in.abandon()))
			}
			for _, e := range group {
				e.done <- err
			}
		}
	}
}

// take returns what is written at once.
func (in *intake) take() (group []*entry) {
	in.mu.Lock()
	defer in.mu.Unlock()
	bytes := 0
	for len(in.queue) > len(group) && (bytes == 0 || bytes+len(in.queue[len(group)].frame) <= groupBytes) {
		bytes += len(in.queue[len(group)].frame)
		group = in.queue[:len(group)+1]
	}
	in.queue = slices.Clone(in.queue[len(group):])
	return group
}

// fail ends the intake: nothing that waits is written, and nothing that comes.
func (in *intake) fail(err error) {
	in.mu.Lock()
	in.ended = err
	in.mu.Unlock()
	for group := in.take(); len(group) > 0; group = in.take() {
		for _, e := range group {
			e.done <- err
		}
	}
}

// write appends the frames of a group, and syncs them.
func (in *intake) write(group []*entry) error {
	if err := in.open(); err != nil {
		return err
	}
	var b []byte
	for _, e := range group {
		e.at = place{file: in.number, at: in.size + int64(len(b)+e.head)}
		b = append(b, e.frame...)
	}
	if _, err := in.file.WriteAt(b, in.size); err != nil {
		return fmt.Errorf("readings cannot be stored: %w", err)
	}
	if err := in.file.Sync(); err != nil {
		return fmt.Errorf("readings cannot be stored: %w", err)
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.size += int64(len(b)); in.size >= in.sealAt {
		in.rotate, in.full = true, true
	}
	return nil
}

// open begins a file, if there is none that may grow.
func (in *intake) open() error {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.rotate && in.file != nil {
		if err := in.file.Close(); err != nil {
			return err
		}
		in.file = nil
	}
	in.rotate = false
	if in.file != nil {
		return nil
	}
	name := intakeName(in.number + 1)
	if f, err := in.dir.Open(name, false); err == nil {
		return errors.Join(fmt.Errorf("readings cannot be stored: %s is there: does another hub use the directory?", filepath.Join(in.dir.at, name)), f.Close())
	}
	f, err := in.dir.Create(name)
	if err != nil {
		return fmt.Errorf("readings cannot be stored: %w", err)
	}
	in.number++
	in.file, in.size, in.since = f, 0, time.Now()
	err = in.dir.SyncDir("")
	if !in.rooted && err == nil {
		err = in.dir.syncParents()
		in.rooted = err == nil
	}
	return err
}

// abandon ends the file after an error. What was not confirmed is cut off: it comes again,
// perhaps in other blocks.
func (in *intake) abandon() error {
	if in.file == nil {
		return nil
	}
	return errors.Join(disk.Truncate(in.file, in.size), in.closeFile())
}

func (in *intake) closeFile() error {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.file == nil {
		return nil
	}
	err := in.file.Close()
	in.file = nil
	return err
}

// finish has the next frame begin another file, and returns the number of the last one
// that is complete then.
func (in *intake) finish() (last uint64) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.rotate, in.full = true, false
	return in.number
}

// due returns whether it is time to move the blocks.
func (in *intake) due(now time.Time) bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.full || in.file != nil && !in.rotate && now.Sub(in.since) >= sealEvery
}

// remove removes the files up to a number.
func (in *intake) remove(last uint64) error {
	numbers, _, err := in.files()
	if err != nil {
		return err
	}
	for _, n := range numbers {
		if n <= last {
			err = errors.Join(err, in.dir.Remove(intakeName(n)))
		}
	}
	return err
}

// load calls take for the block of each place.
func (in *intake) load(places []place, take func(p place, raw []byte) error) error {
	var f disk.File
	defer func() {
		if f != nil {
			_ = f.Close()
		}
	}()
	open := uint64(0)
	for _, p := range places {
		if p.cut != nil {
			if err := take(p, *p.cut); err != nil {
				return err
			}
			continue
		}
		if f == nil || open != p.file {
			if f != nil {
				_ = f.Close()
			}
			var err error
			if f, err = in.dir.Open(intakeName(p.file), false); err != nil {
				return err
			}
			open = p.file
		}
		b := make([]byte, p.size)
		if _, err := f.ReadAt(b, p.at); err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		if err := take(p, b); err != nil {
			return err
		}
	}
	return nil
}
