package collect

import (
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"sensorgateway/gateway/history/codec"
	"sensorgateway/gateway/history/collect/spans"
	"sensorgateway/gateway/history/disk"
	"sensorgateway/gateway/history/recovery"
	"sensorgateway/gateway/history/values"
)

// stream is a sensor's epoch.
type stream struct{ sensor, epoch string }

// streamsMost is how many of them a gateway's log has at most: 64 sensors can begin a new epoch each
// week for five years. Without a bound, a gateway that sends blocks of ever new ones takes all memory.
const streamsMost = 1 << 14

// refused is why blocks that can be read are never stored all the same. It is [codec.ErrBlock] too.
type refused string

func (r refused) Error() string { return string(r) }

func (refused) Is(err error) bool { return err == codec.ErrBlock }

// log is a gateway's log. While nobody reads it, it has in memory which numbers are
// there, as spans, and where its newest blocks are in the intake.
type log struct {
	c       *Collection
	gateway string
	dir     directory

	order   sync.Mutex // held by who changes the log, until what it has changed is durable
	visited bool       // it was loaded only to be merged; guarded by order

	// What follows is changed only with order held as well.
	mu      sync.Mutex // held for moments
	loaded  bool
	there   map[stream]*held
	values  values.Table
	pending []place           // in the intake
	next    uint64            // number of the next segment
	rooted  bool              // the directory is there after a power cut
	size    int64             // bytes of the segments, and of the files that are set aside
	doubles []recovery.Double // segments whose records are in others
	aside   []disk.Info       // files that are set aside
	found   int64             // the size when the files were listed, if the log is not loaded
	view    *view             // nil: nobody reads

	due        bool      // there may be segments to merge
	mergeAfter time.Time // not before
	doubled    time.Time // when the doubles were merged
	over       int64     // days before it are complete; of the goroutine that merges, like what follows
	open       uint64    // segments with lower numbers are not to be merged

	used time.Time // when it was last read; mu alone guards this and what follows
	lost int       // readings that were found to be lost
	why  string    // the last of them were lost
}

// held is what is there of a stream.
type held struct {
	spans.Spans
	oldest uint32 // those before it were evicted, or never came
}

// note notes that the numbers from first to last are there.
func (h *held) note(first, last uint32) {
	if len(h.Spans) == 0 || before(first, h.oldest) && before(first, h.Spans[0].First) {
		h.oldest = first
	}
	h.Add(first, last)
}

// append is [Collection.Append]. l.order is held.
func (l *log) append(blocks [][]byte, said []Values) error {
	if err := l.load(); err != nil {
		return err
	}
	fresh, heads, err := fresh(l.there, blocks)
	if err != nil {
		return err
	}
	if len(blocks) > 0 {
		b, _, err := codec.ParseBlock(blocks[0])
		if err == nil {
			err = l.learn(b.Origin, said)
		}
		if err != nil {
			return err
		}
	}
	if len(fresh) == 0 {
		return nil
	}
	places, err := l.c.intake.store(l.gateway, fresh)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.pending = append(l.pending, places...)
	for i, b := range fresh {
		l.note(l.there, heads[i])
		l.see(heads[i], b)
	}
	return nil
}

// fresh returns the blocks of the records that are not there, and their heads.
func fresh(have map[stream]*held, blocks [][]byte) (all [][]byte, heads []codec.Block, err error) {
	for i, raw := range blocks {
		b, size, err := codec.ParseBlock(raw)
		if err != nil || size != len(raw) {
			return nil, nil, fmt.Errorf("block %d: %w", i, codec.ErrBlock)
		}
		var there spans.Spans
		if h := have[stream{b.Origin.Sensor, b.Origin.Epoch}]; h != nil {
			there = h.Spans
		}
		cut, err := there.Fresh(b, raw)
		if err != nil {
			return nil, nil, fmt.Errorf("block %d: %w", i, err)
		}
		for _, raw := range cut {
			head, _, err := codec.ParseBlock(raw)
			if err != nil {
				return nil, nil, err
			}
			all, heads = append(all, raw), append(heads, head)
		}
	}
	return all, heads, nil
}

// learn makes durable what is said of the values of a sensor's epoch, unless it is known. It is an
// error if there is no room for that epoch.
func (l *log) learn(of codec.Origin, said []Values) error {
	if n := len(l.there); n >= streamsMost && l.there[stream{of.Sensor, of.Epoch}] == nil {
		return refused(fmt.Sprintf("%s has %d epochs of sensors, which is as many as there can be: does the gateway lose its state at each start? fix: give it a state directory that stays; then stop the hub, move this directory elsewhere, and start the hub", l.dir.at, n))
	}
	if len(said) == 0 {
		return nil
	}
	l.mu.Lock()
	for _, v := range said {
		v.Sensor.Name = of.Sensor
		l.values.Learn(v.Sensor, of.Epoch, v.From)
	}
	changed, copied := l.values.Changed(), l.values
	l.mu.Unlock()
	if !changed {
		return nil
	}
	if err := l.create(values.FileName, copied.Format()); err != nil {
		return fmt.Errorf("%s: what the values are cannot be stored: %w", l.dir.at, err)
	}
	l.mu.Lock()
	l.values.Saved(copied)
	l.mu.Unlock()
	return nil
}

// note notes in there that the records of a block are stored.
func (*log) note(there map[stream]*held, b codec.Block) {
	k := stream{b.Origin.Sensor, b.Origin.Epoch}
	if there[k] == nil {
		there[k] = &held{}
	}
	there[k].note(spans.Begin(b.Prev, b.Summary), b.Summary.Last)
}

// load reads what is in the directory and, of the intake, what is not in a segment yet.
// l.order is held.
func (l *log) load() error {
	l.visited = false
	if l.loaded {
		return nil
	}
	found, err := l.read(recovery.Options{Log: l.c.o.Log.With("dir", l.dir.at)})
	if err != nil {
		return err
	}
	there, size := map[stream]*held{}, int64(0)
	for _, g := range found.Index.Segments {
		size += g.Size
		for _, c := range g.Chapters {
			l.note(there, codec.Block{Origin: c.Origin, Prev: c.Prev, Summary: codec.Summary{First: c.First, Last: c.Last}})
		}
	}
	var rest []place
	err = l.c.intake.load(l.pending, func(p place, raw []byte) error {
		fresh, heads, err := fresh(there, [][]byte{raw})
		if err != nil {
			l.leaveOut(p)
			return nil
		}
		for k, cut := range fresh { // none, if a crash came after they were in a segment, before the intake was removed
			p := p
			if len(cut) < len(raw) { // the rest came twice: when it was not confirmed, it could not be cut off
				p.cut = &cut
			}
			rest = append(rest, p)
			l.note(there, heads[k])
		}
		return nil
	})
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.there, l.values, l.pending, l.size = there, found.Values, rest, size
	for _, d := range found.Doubles {
		l.size += d.Size
	}
	for _, f := range found.Aside {
		l.size += f.Size
	}
	l.aside = found.Aside
	l.doubles, l.doubled, l.due, l.view = found.Doubles, time.Time{}, true, nil
	l.next, l.loaded = max(found.NextSegment, 1)+1, true
	for _, d := range found.Damages {
		l.lost, l.why = l.lost+d.Readings, d.Reason
	}
	return nil
}

// read reads the directory. A file that cannot be read, unless that is for lack of
// descriptors or memory, does not keep the others from being used.
func (l *log) read(o recovery.Options) (*recovery.Found, error) {
	o.FS, o.UnreadableFails, o.Collected = l.dir, true, true
	found, err := recovery.Read(o)
	if err != nil && !disk.Exhausted(err) {
		o.UnreadableFails = false
		found, err = recovery.Read(o)
	}
	if err != nil {
		return nil, fmt.Errorf("the log in %s cannot be read: %w", l.dir.at, err)
	}
	return found, nil
}

// blocks calls take for the first n of the pending blocks. If one was damaged since they were
// loaded, it fails, and the next load leaves that out. l.order is held.
func (l *log) blocks(n int, take func(b codec.Block, raw []byte) error) error {
	return l.c.intake.load(l.pending[:n], func(p place, raw []byte) error {
		b, _, err := codec.ParseBlock(raw)
		if err != nil {
			l.forget()
			return fmt.Errorf("%s: block at %d: %w", filepath.Join(l.c.intake.dir.at, intakeName(p.file)), p.at, err)
		}
		return take(b, raw)
	})
}

// forget has the log loaded anew when it is needed. l.order is held.
func (l *log) forget() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.loaded {
		l.loaded, l.found = false, l.size
	}
}

// leaveOut says that a block in the intake cannot be used any more.
func (l *log) leaveOut(p place) {
	l.c.o.Log.Warn("a block of readings that was stored is damaged, and is lost unless its gateway still has it",
		"gateway", l.gateway, "file", filepath.Join(l.c.intake.dir.at, intakeName(p.file)), "at", p.at, "bytes", p.size)
}
