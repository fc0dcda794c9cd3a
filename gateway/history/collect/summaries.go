package collect

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"sensorgateway/gateway/history/codec"
	"sensorgateway/gateway/history/collect/spans"
	"sensorgateway/gateway/history/disk"
)

const (
	// summariesFile has the heads of blocks that have not come, in the directory of a
	// gateway's log: as they came, one after the other.
	summariesFile = "summaries"
	// summariesMax is its greatest size, three weeks of two sensors: beyond it, the
	// oldest half is dropped.
	summariesMax = 4 << 20
)

// Summarise stores what blocks say of a minute of which the records have not come, as
// [codec.AppendHeads] has it, and returns when that is durable.
func (c *Collection) Summarise(ctx context.Context, gateway string, raw []byte, said []Values) error {
	heads, size, err := codec.ParseHeads(raw)
	if err == nil && size != len(raw) {
		err = codec.ErrHeads
	}
	if err != nil {
		return err
	}
	l := c.log(gateway)
	l.order.Lock()
	defer l.order.Unlock()
	if err := context.Cause(ctx); err != nil {
		return err
	}
	if err := l.load(); err != nil {
		return err
	}
	if err := l.learn(heads[0].Origin, said); err != nil {
		return err
	}
	return l.summarise(raw)
}

// summarise appends to the file. l.order is held.
func (l *log) summarise(raw []byte) (err error) {
	size, err := l.dir.size(summariesFile)
	if err == nil && (size == 0 || size+int64(len(raw)) > summariesMax) {
		return l.rewriteSummaries(raw)
	}
	if err != nil {
		return fmt.Errorf("summaries cannot be stored: %w", err)
	}
	f, err := l.dir.Open(summariesFile, true)
	if err != nil {
		return fmt.Errorf("summaries cannot be stored: %w", err)
	}
	if _, err = f.WriteAt(raw, size); err == nil {
		err = f.Sync()
	}
	if err != nil { // readers leave out what is not complete
		err = errors.Join(err, disk.Truncate(f, size))
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("summaries cannot be stored: %w", err)
	}
	return nil
}

// rewriteSummaries replaces the file by what of it is still missing, and more.
func (l *log) rewriteSummaries(more []byte) error {
	pieces, err := l.readSummaries()
	if err != nil {
		return err
	}
	var kept [][]byte
	for _, p := range pieces {
		if slices.ContainsFunc(p.heads, func(h codec.Head) bool { return !l.hasRecords(h) }) {
			kept = append(kept, p.raw)
		}
	}
	size := len(more)
	for _, raw := range kept {
		size += len(raw)
	}
	for size > summariesMax/2 && len(kept) > 0 && size > len(more) {
		size, kept = size-len(kept[0]), kept[1:]
	}
	data := slices.Concat(append(kept, more)...)
	if len(data) == 0 {
		err := l.dir.Remove(summariesFile)
		if errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
		return err
	}
	if err := l.create(summariesFile, data); err != nil {
		return fmt.Errorf("summaries cannot be stored: %w", err)
	}
	return nil
}

// hasRecords returns whether any record of a block is there: then its summary counts no
// more.
func (l *log) hasRecords(h codec.Head) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	there := l.there[stream{h.Origin.Sensor, h.Origin.Epoch}]
	return there != nil && there.Touches(h.Summary.First, h.Summary.Last)
}

// hasAllRecords returns whether all of them are.
func (l *log) hasAllRecords(h codec.Head) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	there := l.there[stream{h.Origin.Sensor, h.Origin.Epoch}]
	return there != nil && there.HasAll(h.Summary.First, h.Summary.Last)
}

// heads returns the heads of the file that are wanted, each minute once: after a crash a
// gateway may say it again.
func (l *log) heads(wants func(codec.Head) bool) (all []codec.Head, err error) {
	pieces, err := l.readSummaries()
	seen := map[stream]spans.Spans{}
	for _, p := range pieces {
		for _, h := range p.heads {
			k := stream{h.Origin.Sensor, h.Origin.Epoch}
			if had := seen[k]; !had.Touches(h.Summary.First, h.Summary.Last) && wants(h) {
				had.Add(h.Summary.First, h.Summary.Last)
				seen[k] = had
				all = append(all, h)
			}
		}
	}
	return all, err
}

// summaries are what came at once.
type summaries struct {
	raw   []byte
	heads []codec.Head
}

// readSummaries returns what the file has. Behind a piece that is not complete there
// may be more, if it was not at the end.
func (l *log) readSummaries() (all []summaries, err error) {
	data, err := disk.Retry(func() ([]byte, error) { return l.dir.read(summariesFile) })
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("summaries cannot be read: %w", err)
	}
	for len(data) > 0 {
		heads, size, err := codec.ParseHeads(data)
		if err != nil { // a crash came, and then more
			data = data[1:]
			for len(data) > 0 && !codec.HasHeads(data) {
				data = data[1:]
			}
			continue
		}
		all = append(all, summaries{data[:size], heads})
		data = data[size:]
	}
	return all, nil
}

// forgetSummaries removes those whose records have come. l.order is held.
func (l *log) forgetSummaries() error {
	pieces, err := l.readSummaries()
	if err != nil || len(pieces) == 0 {
		return err
	}
	for _, p := range pieces {
		if slices.ContainsFunc(p.heads, func(h codec.Head) bool { return !l.hasRecords(h) }) {
			return nil // all at once, when the last has come
		}
	}
	return l.rewriteSummaries(nil)
}
