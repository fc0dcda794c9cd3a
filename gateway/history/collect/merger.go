package collect

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"sensorgateway/gateway/history/codec"
	"sensorgateway/gateway/history/disk"
	"sensorgateway/gateway/history/format"
)

// merger makes one segment of several. It has one block at a time in memory, and the
// places of all.
type merger struct {
	l     *log
	ctx   context.Context
	parts []part
	size  int64 // of the new segment

	open   disk.File // of the part that is read
	number int       // which that is
	buf    []byte
	moved  int // bytes since the last pause
}

const mergeStep = 1 << 20 // bytes, after each of which there is a pause

// write writes a file that has all blocks of the parts, each once.
func (m *merger) write(name string) error {
	all, err := m.find()
	if err != nil {
		return err
	}
	packed := inOrder(all)
	if all, packed, err = once(all, packed); err != nil {
		return err
	}
	head, tail, s := format.FrameSegment(packed, 0, m.parts[len(m.parts)-1].Newest)
	m.size = s.Size
	return m.l.dir.replace(name, func(f disk.File) error {
		w := bufio.NewWriterSize(io.NewOffsetWriter(f, 0), 256<<10)
		if _, err := w.Write(head); err != nil {
			return err
		}
		for _, b := range all {
			raw, err := m.read(b.part, b.at, b.Length)
			if err == nil {
				_, err = w.Write(raw)
			}
			if err == nil {
				err = m.rest(len(raw), f.Sync)
			}
			if err != nil {
				return err
			}
		}
		if _, err := w.Write(tail); err != nil {
			return err
		}
		return errors.Join(w.Flush(), m.check(f, packed))
	})
}

// find returns the blocks of the parts, in their order.
func (m *merger) find() (all []*located, err error) {
	var last codec.Origin
	for i, p := range m.parts {
		for _, c := range p.Chapters {
			if err := m.use(i); err != nil {
				return nil, err
			}
			places, err := c.Places(m.open)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", p.Name, err)
			}
			for _, at := range places {
				raw, err := m.read(i, at.At, at.Length)
				if err != nil {
					return nil, err
				}
				b, size, err := codec.ParseBlock(raw)
				if err != nil || size != len(raw) || b.Summary.First != at.First || b.Summary.Last != at.Last {
					return nil, fmt.Errorf("%s: the block at %d: %w", p.Name, at.At, codec.ErrBlock)
				}
				if b.Origin == last {
					b.Origin = last // the same strings
				}
				last = b.Origin
				all = append(all, &located{format.PackedBlock{Origin: b.Origin, Prev: b.Prev, Summary: b.Summary, Length: size}, i, at.At})
				if err := m.rest(size, nil); err != nil {
					return nil, err
				}
			}
		}
	}
	return all, nil
}

// once leaves out blocks that are there twice. They are in order.
func once(all []*located, packed []format.PackedBlock) ([]*located, []format.PackedBlock, error) {
	n := 0
	for i, b := range all {
		if n > 0 {
			x := all[n-1]
			related := x.Origin.Sensor == b.Origin.Sensor && x.Origin.Epoch == b.Origin.Epoch
			switch {
			case !related || before(x.Summary.Last, b.Summary.First):
			case x.Summary.First == b.Summary.First && x.Summary.Last == b.Summary.Last && x.Summary.Count() == b.Summary.Count() && x.Length == b.Length:
				continue
			default:
				return nil, nil, fmt.Errorf("%s: numbers from %d on are there in two blocks: %w", b.Origin.Sensor, b.Summary.First, codec.ErrBlock)
			}
		}
		all[n], packed[n] = b, packed[i]
		n++
	}
	return all[:n], packed[:n], nil
}

// check reads what was written, before the segments that it was made of may be removed.
func (m *merger) check(f disk.File, packed []format.PackedBlock) error {
	s, err := disk.Retry(func() (*format.Segment, error) {
		s, damage, err := format.ReadSegment(f, m.size)
		return s, errors.Join(err, damage)
	})
	if err != nil {
		return err
	}
	for _, c := range s.Chapters {
		places, err := c.Places(f)
		if err != nil {
			return err
		}
		for _, at := range places {
			m.buf = slices.Grow(m.buf[:0], at.Length)[:at.Length]
			if err := format.ReadFull(f, m.buf, at.At); err != nil {
				return err
			}
			b, _, err := codec.ParseBlock(m.buf)
			if err != nil || len(packed) == 0 || b.Origin != packed[0].Origin || b.Prev != packed[0].Prev || b.Summary.First != packed[0].Summary.First || b.Summary.Last != packed[0].Summary.Last {
				return fmt.Errorf("what was written is not what there was: %w", errors.Join(codec.ErrBlock, err))
			}
			packed = packed[1:]
			if err := m.rest(at.Length, nil); err != nil {
				return err
			}
		}
	}
	if len(packed) > 0 {
		return fmt.Errorf("of what was written %d blocks are missing: %w", len(packed), codec.ErrBlock)
	}
	return nil
}

// use opens a part.
func (m *merger) use(i int) (err error) {
	if m.open != nil && m.number == i {
		return nil
	}
	m.close()
	m.number = i
	m.open, err = disk.Retry(func() (disk.File, error) { return m.l.dir.Open(m.parts[i].Name, false) })
	return err
}

func (m *merger) close() {
	if m.open != nil {
		_ = m.open.Close()
		m.open = nil
	}
}

// read reads a block, until the next one is read.
func (m *merger) read(part int, at int64, length int) ([]byte, error) {
	if err := m.use(part); err != nil {
		return nil, err
	}
	if length > codec.BlockMax {
		return nil, fmt.Errorf("%s: the block at %d: %w", m.parts[part].Name, at, codec.ErrBlock)
	}
	m.buf = slices.Grow(m.buf[:0], length)[:length]
	return m.buf, format.ReadFull(m.open, m.buf, at)
}

// rest pauses after each mergeStep, and calls sync before that: others use the disk
// too.
func (m *merger) rest(bytes int, sync func() error) error {
	if m.moved += bytes; m.moved < mergeStep {
		return context.Cause(m.ctx)
	}
	m.moved = 0
	if sync != nil {
		if err := sync(); err != nil {
			return err
		}
	}
	select {
	case <-m.ctx.Done():
		return context.Cause(m.ctx)
	case <-time.After(m.l.c.pause):
		return nil
	}
}
