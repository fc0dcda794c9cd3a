package query

import (
	"errors"
	"io"
	"slices"

	"sensorgateway/gateway/history/codec"
	"sensorgateway/gateway/history/disk"
	"sensorgateway/gateway/history/format"
	"sensorgateway/gateway/history/index"
	"sensorgateway/gateway/history/values"
)

// Block is a block as it is in the log, of records as they were measured.
type Block struct {
	Sensor, Epoch string
	First, Last   uint32
	Records       int
	From, To      int64       // times of the first and the last record by the clock of then, Unix ms
	Bytes         []byte      // until the next one is read
	Values        values.Span // what the values of its records are; empty: not known
}

// Blocks returns the blocks of a sensor that wants returns true of, in the order in which
// their records were made, those of all epochs. A block that may still grow, or that a
// power cut could take, is not returned, nor any after it: then, and at the end, the
// error is [io.EOF], and a later call may return more. What cannot be read is left out.
func (l Source) Blocks(name string, wants func(epoch string, first, last uint32) bool) func() (Block, error) {
	r := &reader{Source: l, name: name, whole: true,
		wants: func(o codec.Origin, s span) bool { return wants(o.Epoch, s.first, s.last) }}
	return func() (Block, error) {
		for {
			p := r.next()
			if p == nil || p.chapter == nil && !r.durable(p) {
				return Block{}, io.EOF
			}
			b := Block{
				Sensor: name, Epoch: p.origin.Epoch, First: p.summary.First, Last: p.summary.Last, Records: p.summary.Count(),
				From: p.summary.From, To: p.summary.To, Bytes: p.packed,
			}
			if p.chapter != nil {
				if err := r.bytes(p.chapter, p.place); err != nil {
					r.report(p.chapter, b.First, b.Last, err)
					r.moveTo(r.ordinal + 1)
					continue
				}
				b.Bytes = r.buf
			}
			r.moveTo(r.ordinal + 1)
			b.Values = r.valuesOf(b)
			return b, nil
		}
	}
}

// durable returns whether a block in memory is complete, and on the disk.
func (r *reader) durable(p *piece) bool {
	if p.packed == nil {
		return false
	}
	defer r.Lock()()
	t := r.Index().Streams[r.name]
	return t != nil && t.Durable(r.ordinal, p.summary.Count())
}

// bytes reads a block of a chapter, and checks it.
func (r *reader) bytes(c *index.Chapter, at format.Place) error {
	if at.Length > codec.BlockMax || at.At+int64(at.Length) > c.Segment.Size {
		return codec.ErrBlock
	}
	f, err := disk.Retry(func() (disk.File, error) { return r.FS.Open(c.Segment.Name, false) })
	if err != nil {
		return err
	}
	defer f.Close()
	r.buf = slices.Grow(r.buf[:0], at.Length)[:at.Length]
	if err := format.ReadFull(f, r.buf, at.At); err != nil {
		return err
	}
	_, size, err := codec.ParseBlock(r.buf)
	if err == nil && size != len(r.buf) {
		err = errors.Join(codec.ErrBlock, errors.New("its length is not that of the index"))
	}
	return err
}

// valuesOf returns what is said of the records of a block. If nothing is said of its
// epoch, what was said last of an epoch before it holds.
func (r *reader) valuesOf(b Block) values.Span {
	if span := r.Values(b.Sensor, b.Epoch).Within(b.First, b.Last); len(span) > 0 {
		return span
	}
	for _, epoch := range slices.Backward(r.epochsBefore(b.Epoch)) {
		if span := r.Values(b.Sensor, epoch); len(span) > 0 {
			e := span[len(span)-1]
			e.Epoch, e.From = b.Epoch, b.First
			return values.Span{e}
		}
	}
	return nil
}

// epochsBefore returns the epochs of the sensor before one, in their order.
func (r *reader) epochsBefore(epoch string) (epochs []string) {
	defer r.Lock()()
	t := r.Index().Streams[r.name]
	if t == nil {
		return nil
	}
	add := func(e string) bool {
		if e != epoch && (len(epochs) == 0 || epochs[len(epochs)-1] != e) {
			epochs = append(epochs, e)
		}
		return e != epoch
	}
	for _, c := range t.Chapters {
		if !add(c.Origin.Epoch) {
			return epochs
		}
	}
	for _, b := range t.Blocks {
		if !add(b.Origin.Epoch) {
			break
		}
	}
	return epochs
}
