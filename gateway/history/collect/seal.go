package collect

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"sensorgateway/gateway/history/codec"
	"sensorgateway/gateway/history/disk"
	"sensorgateway/gateway/history/format"
	"sensorgateway/wire"
)

// seal moves the blocks that are in files of the intake up to a number into segments.
func (l *log) seal(last uint64) error {
	l.order.Lock() // what is being written into one of these files is pending then
	defer l.order.Unlock()
	if l.before(last) == 0 {
		return nil
	}
	if err := l.load(); err != nil { // which drops what is there twice
		return err
	}
	for n := l.before(last); n > 0; n = l.before(last) {
		if err := l.sealFirst(fitting(l.pending[:n], l.c.intake.sealAt)); err != nil {
			return err
		}
	}
	if err := l.forgetSummaries(); err != nil {
		l.c.o.Log.Warn("summaries of readings that have come stay for now", "dir", l.dir.at, "err", err)
	}
	if len(l.there) >= streamsMost {
		defer l.forget() // those that were evicted meanwhile make room
	}
	return l.evict()
}

// before returns how many of the pending blocks are in files of the intake up to a number.
func (l *log) before(last uint64) (n int) {
	for n < len(l.pending) && l.pending[n].file <= last {
		n++
	}
	return n
}

// fitting returns how many of some blocks have so many bytes at most, at least one.
func fitting(places []place, most int64) (n int) {
	size := int64(0)
	for n < len(places) && (n == 0 || size+int64(places[n].size) <= most) {
		size += int64(places[n].size)
		n++
	}
	return n
}

// sealFirst moves the first n pending blocks into a segment, which is in memory while it is made:
// those of each sensor in a row, in the order of their numbers.
func (l *log) sealFirst(n int) error {
	var all []*located
	var newest format.Moment
	err := l.blocks(n, func(b codec.Block, raw []byte) error {
		newest = format.Moment{Epoch: b.Origin.Epoch, Boot: b.Origin.Boot}
		all = append(all, &located{PackedBlock: format.PackedBlock{Origin: b.Origin, Prev: b.Prev, Summary: b.Summary, Bytes: raw}})
		return nil
	})
	if err != nil {
		return err
	}
	file, _ := format.FormatSegment(inOrder(all), 0, newest)
	if err := l.create(format.SegmentName(l.next), file); err != nil {
		return fmt.Errorf("%s: %w", l.dir.at, err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.pending = slices.Clone(l.pending[n:])
	l.size += int64(len(file))
	l.next += 2  // the numbers between are for those that are merged
	l.view = nil // which has these blocks in memory
	l.due = true
	return nil
}

// located is a block, and where its bytes are if not in memory.
type located struct {
	format.PackedBlock
	part int // segment
	at   int64
}

// inOrder puts what came in any order in the order of a segment: by sensor, by epoch in
// the order in which these came, and by number.
func inOrder(all []*located) (packed []format.PackedBlock) {
	of := func(b *located) stream { return stream{b.Origin.Sensor, b.Origin.Epoch} }
	rank := map[stream]int{}
	for _, b := range all {
		if k := of(b); rank[k] == 0 {
			rank[k] = len(rank) + 1
		}
	}
	slices.SortStableFunc(all, func(a, b *located) int {
		one, other := of(a), of(b)
		if one != other {
			return cmp.Or(strings.Compare(one.sensor, other.sensor), rank[one]-rank[other])
		}
		return compare(a.Summary.First, b.Summary.First)
	})
	for _, b := range all {
		packed = append(packed, b.PackedBlock)
	}
	return packed
}

func before(a, b uint32) bool { return wire.Before(a, b) }

// compare orders numbers of an epoch.
func compare(a, b uint32) int {
	switch {
	case before(a, b):
		return -1
	case before(b, a):
		return 1
	}
	return 0
}

// create makes a file in the log's directory, or replaces it, as a whole. l.order is held.
func (l *log) create(name string, data []byte) error {
	err := l.dir.replace(name, func(f disk.File) error { _, err := f.WriteAt(data, 0); return err })
	if !l.rooted && err == nil {
		err = l.dir.syncParents()
		l.rooted = err == nil
	}
	return err
}

// evict removes files while there are too many bytes: first those that were set aside, then
// the oldest segments, but for the newest.
func (l *log) evict() error {
	if l.c.o.MaxBytes == 0 {
		return nil
	}
	if err := l.removeAside(); err != nil || l.size <= l.c.o.MaxBytes {
		return err
	}
	if err := l.removeDoubles(); err != nil {
		return err
	}
	files, err := l.dir.List("")
	if err != nil {
		return err
	}
	files = slices.DeleteFunc(files, func(f disk.Info) bool { return !strings.HasSuffix(f.Name, format.SegmentSuffix) })
	slices.SortStableFunc(files, func(a, b disk.Info) int { return strings.Compare(a.Name, b.Name) })
	for len(files) > 1 && l.size > l.c.o.MaxBytes {
		chapters := l.chapters(files[0])
		if err := l.dir.Remove(files[0].Name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		l.mu.Lock()
		l.size -= files[0].Size
		l.view = nil
		for _, c := range chapters {
			if h := l.there[stream{c.Origin.Sensor, c.Origin.Epoch}]; h != nil && !before(c.Last, h.oldest) {
				h.oldest = c.Last + 1
			}
		}
		l.mu.Unlock()
		files = files[1:]
	}
	return nil
}

// removeAside removes files that were set aside while there are too many bytes. l.order is held.
func (l *log) removeAside() error {
	for len(l.aside) > 0 && l.size > l.c.o.MaxBytes {
		f := l.aside[0]
		if err := l.dir.Remove(f.Name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		l.c.o.Log.Warn("a damaged file that was set aside is removed: readings need its space", "dir", l.dir.at, "file", f.Name)
		l.mu.Lock()
		l.size, l.aside = l.size-f.Size, l.aside[1:]
		l.mu.Unlock()
	}
	return nil
}

// chapters returns what is in a segment, as far as it can be read.
func (l *log) chapters(file disk.Info) []*format.Chapter {
	f, err := l.dir.Open(file.Name, false)
	if err != nil {
		return nil
	}
	defer f.Close()
	s, _, err := format.ReadSegment(f, file.Size)
	if err != nil {
		return nil
	}
	return s.Chapters
}
