package collect

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"sensorgateway/gateway/history/codec"
	"sensorgateway/gateway/history/disk"
	"sensorgateway/gateway/history/format"
	"sensorgateway/gateway/history/recovery"
)

// An hour's segments would be millions of files in a year of a thousand gateways. So those
// of a day become one, byte by byte the same blocks, as soon as there is one of a later
// day, or the day is long over. What comes late for that day is in the segments of the day in which it comes.
//
// The new segment has a number of its own, in their place, and exists as a whole before
// one of theirs is removed. Until that is done, and after a crash, the records are there
// twice: whoever reads the directory leaves out the segments whose records are all in
// another one. They stay for a while, for another process may be reading them.
const (
	mergeAfter  = 10 * time.Minute       // the start
	mergeAtOnce = 32 << 20               // bytes in a minute
	mergeBytes  = 16 << 20               // that a merged segment has at most
	mergeShare  = 16                     // and at most this part of what is retained, since a segment is evicted as a whole
	mergePause  = 100 * time.Millisecond // after each MiB
	mergeAgain  = time.Hour              // after it failed
	lingers     = 10 * time.Minute       // how long what was merged stays
	aDay        = 24 * time.Hour / time.Millisecond
)

// part is a segment on the disk.
type part struct {
	disk.Info
	number          uint64
	*format.Segment       // nil: it cannot be used, and is not merged
	day             int64 // of its newest record, counted from 1970; unknown: its clock is not known
}

const unknown = math.MinInt64

// merge merges the segments of complete days, one day after the other, as much as is
// allowed at once.
func (c *Collection) merge(ctx context.Context, now time.Time) (err error) {
	left := int64(mergeAtOnce)
	for _, l := range c.all() {
		l.mu.Lock()
		doubles, merged, due := len(l.doubles), l.doubled, l.due && l.loaded && !now.Before(l.mergeAfter)
		l.mu.Unlock()
		if doubles > 0 && now.Sub(merged) >= lingers {
			l.order.Lock()
			err = errors.Join(err, l.removeDoubles())
			l.order.Unlock()
		}
		if doubles == 0 && !due {
			l.unload()
		}
		if doubles > 0 || !due || left <= 0 {
			continue
		}
		n, failed := l.mergeDay(ctx, now)
		left -= n
		err = errors.Join(err, failed)
		if ctx.Err() != nil {
			return err
		}
	}
	return err
}

// mergeDay merges the segments of the oldest complete day that has some, and returns how
// many bytes they have.
func (l *log) mergeDay(ctx context.Context, now time.Time) (n int64, err error) {
	parts, numbers, err := l.parts(l.open, now)
	from, to := firstDay(parts, l.most(), l.over)
	for err == nil && from < to {
		number, free := between(numbers, parts[from].number, parts[to-1].number)
		if free {
			for _, p := range parts[from:to] {
				n += p.Info.Size
			}
			err = l.mergeInto(ctx, format.SegmentName(number), parts[from:to], now)
			break
		}
		parts = parts[to:] // of an older program: no number next to them is free
		from, to = firstDay(parts, l.most(), l.over)
	}
	if from < len(parts) {
		l.open = parts[from].number
	}
	if errors.Is(err, codec.ErrBlock) || errors.Is(err, format.ErrSegment) { // it stays so
		l.open = parts[to-1].number + 1
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.due = from < to || err != nil
	if err != nil {
		err, l.mergeAfter = fmt.Errorf("%s: %w", l.dir.at, err), now.Add(mergeAgain)
	}
	return n, err
}

// most returns how many bytes a merged segment has at most.
func (l *log) most() int64 {
	if most := l.c.o.MaxBytes; most > 0 {
		return min(mergeBytes, most/mergeShare)
	}
	return mergeBytes
}

// between returns a number that is free just before the first of some segments, or
// behind their last one.
func between(numbers []uint64, first, last uint64) (number uint64, free bool) {
	if first > 0 && !slices.Contains(numbers, first-1) {
		return first - 1, true
	}
	return last + 1, !slices.Contains(numbers, last+1)
}

// firstDay finds the first segments that can become one: those from from on and before
// to, none if from is to. Those before from stay as they are. Nothing comes any more of
// days before over.
func firstDay(parts []part, most, over int64) (from, to int) {
	for from < len(parts) {
		to := from
		size, day := int64(0), int64(unknown)
		for to < len(parts) && parts[to].Segment != nil && size+parts[to].Info.Size <= most && (parts[to].day <= day || day == unknown) {
			size, day = size+parts[to].Info.Size, max(day, parts[to].day)
			to++
		}
		switch to = max(to, from+1); {
		case to == len(parts) && (day == unknown || day >= over):
			return from, from // the day is not complete
		case to > from+1:
			return from, to
		}
		from = to
	}
	return from, from
}

// parts returns the segments that may be merged, from a number on, in order, and the numbers
// of all.
func (l *log) parts(open uint64, now time.Time) (parts []part, numbers []uint64, err error) {
	files, err := l.dir.List("")
	if err != nil {
		return nil, nil, err
	}
	latest := now.Add(24 * time.Hour).UnixMilli()
	for _, f := range files {
		name, ours := strings.CutSuffix(f.Name, format.SegmentSuffix)
		number, err := strconv.ParseUint(name, 16, 64)
		if !ours || err != nil || len(name) != 16 {
			continue
		}
		if numbers = append(numbers, number); number < open {
			continue
		}
		p := part{Info: f, number: number, day: unknown}
		if p.Segment, err = l.segment(f); err != nil {
			return nil, nil, err
		}
		if p.Segment != nil {
			for _, c := range p.Chapters {
				if !c.Origin.Unsynced && c.To <= latest {
					p.day = max(p.day, c.To/int64(aDay))
				}
			}
		}
		parts = append(parts, p)
	}
	return parts, numbers, nil
}

// segment reads the directory of a segment; nil if it is damaged.
func (l *log) segment(file disk.Info) (*format.Segment, error) {
	f, err := disk.Retry(func() (disk.File, error) { return l.dir.Open(file.Name, false) })
	if err == nil {
		defer f.Close()
		s, damage, failed := format.ReadSegment(f, file.Size)
		if err = failed; err == nil && damage == nil {
			return s, nil
		}
	}
	if disk.Exhausted(err) {
		return nil, err
	}
	return nil, nil
}

// mergeInto makes a segment of others.
func (l *log) mergeInto(ctx context.Context, name string, parts []part, now time.Time) error {
	m := &merger{l: l, ctx: ctx, parts: parts}
	err := m.write(name)
	m.close()
	l.order.Lock()
	defer l.order.Unlock()
	if err != nil {
		if size, failed := l.dir.size(name); failed == nil && size == 0 {
			return err
		}
		l.mu.Lock() // the new segment is there in spite of that, or may be
		l.loaded, l.found = false, l.size
		l.mu.Unlock()
		return errors.Join(err, l.load())
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.size += m.size
	l.view = nil // before a file is removed that the view reads
	for _, p := range parts {
		l.doubles = append(l.doubles, recovery.Double{Info: p.Info, In: name})
	}
	l.doubled = now
	return nil
}

// removeDoubles removes the segments whose records are in others, after these are sure
// to be there. l.order is held.
func (l *log) removeDoubles() error {
	l.mu.Lock()
	doubles := l.doubles
	l.mu.Unlock()
	synced := map[string]bool{}
	for _, d := range doubles {
		if synced[d.In] {
			continue
		}
		f, err := l.dir.Open(d.In, true)
		if err == nil {
			err = errors.Join(f.Sync(), f.Close())
		}
		if err == nil {
			err = l.dir.SyncDir("")
		}
		if err != nil {
			return fmt.Errorf("%s: what was merged stays: %w", l.dir.at, err)
		}
		synced[d.In] = true
	}
	for _, d := range doubles {
		if err := l.dir.Remove(d.Name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%s: what was merged stays: %w", l.dir.at, err)
		}
		l.mu.Lock()
		l.size -= d.Size
		l.doubles = l.doubles[1:]
		l.mu.Unlock()
	}
	return nil
}
