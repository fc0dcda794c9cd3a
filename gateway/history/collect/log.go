package collect

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	"sensorgateway/gateway/atomicfile"
	"sensorgateway/gateway/history/codec"
	"sensorgateway/gateway/history/disk"
	"sensorgateway/gateway/history/format"
	"sensorgateway/gateway/history/recovery"
)

// stream is a sensor's epoch.
type stream struct{ sensor, epoch string }

// log is a gateway's. At rest it is what it has, as spans, and where its newest blocks
// are in the intake.
type log struct {
	c   *Collection
	dir string

	order sync.Mutex // held by who appends, until what it has appended is durable

	mu       sync.Mutex
	loaded   bool
	there    map[stream]*spans
	pending  []place // in the intake
	segments []disk.Info
	next     uint64 // number of the next segment
}

// append is [Collection.Append]. l.order is held.
func (l *log) append(gateway string, blocks [][]byte) error {
	fresh, heads, err := l.fresh(blocks)
	if err != nil || len(fresh) == 0 {
		return err
	}
	at, err := l.c.intake.add(newEntry(gateway, fresh))
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, b := range fresh {
		l.pending = append(l.pending, place{at.file, at.at, int32(len(b))})
		at.at += int64(len(b))
		l.note(heads[i])
	}
	return nil
}

// fresh returns the blocks of the records that are not there, and their heads.
func (l *log) fresh(blocks [][]byte) (all [][]byte, heads []codec.Block, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.load(); err != nil {
		return nil, nil, err
	}
	for i, raw := range blocks {
		b, size, err := codec.ParseBlock(raw)
		if err != nil || size != len(raw) {
			return nil, nil, fmt.Errorf("block %d: %w", i, codec.ErrBlock)
		}
		cut, err := l.spans(b.Origin).fresh(b, raw)
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

func (l *log) spans(o codec.Origin) *spans {
	k := stream{o.Sensor, o.Epoch}
	if l.there[k] == nil {
		l.there[k] = &spans{}
	}
	return l.there[k]
}

// note notes that the records of a block are there.
func (l *log) note(b codec.Block) { l.spans(b.Origin).add(begin(b.Prev, b.Summary), b.Summary.Last) }

// load reads what is in the directory and, of the intake, what is not in a segment yet.
// l.mu is held.
func (l *log) load() error {
	if l.loaded {
		return nil
	}
	found, err := recovery.Read(recovery.Options{FS: disk.OS(l.dir), Log: l.c.o.Log.With("dir", l.dir), UnreadableFails: true})
	if err != nil {
		return fmt.Errorf("the log in %s cannot be read: %w", l.dir, err)
	}
	l.there, l.next, l.segments = map[stream]*spans{}, max(found.NextSegment, 1), nil
	for _, g := range found.Index.Segments {
		l.segments = append(l.segments, disk.Info{Name: g.Name, Size: g.Size})
		for _, c := range g.Chapters {
			l.spans(c.Origin).add(begin(c.Prev, codec.Summary{First: c.First}), c.Last)
		}
	}
	blocks, err := l.c.intake.load(l.pending)
	if err != nil {
		return err
	}
	var rest []place
	for i, raw := range blocks {
		b, _, err := codec.ParseBlock(raw)
		if err != nil {
			return fmt.Errorf("the intake: %w", err)
		}
		if !l.spans(b.Origin).hasAll(b.Summary.First, b.Summary.Last) { // else a crash came between the segment and the intake's end
			rest = append(rest, l.pending[i])
			l.note(b)
		}
	}
	l.pending, l.loaded = rest, true
	return nil
}

// seal moves the blocks that are in files of the intake up to a number into a segment.
func (l *log) seal(last uint64) error {
	l.order.Lock() // what is being written into one of these files is pending then
	defer l.order.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.pending) == 0 {
		return nil
	}
	if err := l.load(); err != nil { // which drops what is there twice
		return err
	}
	n := 0
	for n < len(l.pending) && l.pending[n].file <= last {
		n++
	}
	blocks, err := l.c.intake.load(l.pending[:n])
	if err != nil {
		return err
	}
	if err := l.writeSegment(blocks); err != nil {
		return fmt.Errorf("%s: %w", l.dir, err)
	}
	l.pending = slices.Clone(l.pending[n:])
	return l.evict()
}

// writeSegment writes blocks into the next segment, those of each sensor in a row.
func (l *log) writeSegment(blocks [][]byte) error {
	if len(blocks) == 0 {
		return nil
	}
	var packed []format.PackedBlock
	var newest format.Moment
	for _, raw := range blocks {
		b, _, err := codec.ParseBlock(raw)
		if err != nil {
			return err
		}
		newest = format.Moment{Epoch: b.Origin.Epoch, Boot: b.Origin.Boot}
		packed = append(packed, format.PackedBlock{Origin: b.Origin, Prev: b.Prev, Summary: b.Summary, Bytes: raw})
	}
	slices.SortStableFunc(packed, func(a, b format.PackedBlock) int { return strings.Compare(a.Origin.Sensor, b.Origin.Sensor) })
	file, _ := format.FormatSegment(packed, 0, newest)
	name, dir := format.SegmentName(l.next), disk.OS(l.dir)
	f, err := dir.Create(name + atomicfile.TempSuffix)
	if err != nil {
		return err
	}
	err = atomicfile.Commit(dir, f, name+atomicfile.TempSuffix, name, func() error { _, err := f.WriteAt(file, 0); return err })
	if err != nil {
		return err
	}
	l.segments = append(l.segments, disk.Info{Name: name, Size: int64(len(file))})
	l.next++
	return nil
}

// evict removes the oldest segments while there are too many bytes.
func (l *log) evict() error {
	total := int64(0)
	for _, g := range l.segments {
		total += g.Size
	}
	for l.c.o.MaxBytes > 0 && total > l.c.o.MaxBytes && len(l.segments) > 1 {
		if err := disk.OS(l.dir).Remove(l.segments[0].Name); err != nil && !missing(err) {
			return err
		}
		total -= l.segments[0].Size
		l.segments = l.segments[1:]
	}
	return nil
}
