package ship

import (
	"bytes"
	"slices"

	"sensorgateway/gateway/fleet"
	"sensorgateway/gateway/history/codec"
	"sensorgateway/gateway/history/query"
	"sensorgateway/gateway/history/values"
	"sensorgateway/wire"
)

// piece is a block, or a part of one, that goes up as it is.
type piece struct {
	epoch       string
	first, last uint32
	from, to    int64 // times of the first and the last record, Unix ms
	bytes       []byte
	values      values.Span
}

// stream is what is sent of a sensor.
type stream struct {
	name   string
	next   func() (query.Block, error)
	epochs map[string]bool // that the log has, as far as next has read
	epoch  string          // of the block that was last read
	last   uint32          // the number of the last record of that
	ended  bool            // there was no more to read
	pieces []piece         // read, to be sent next
	flying []*flight       // in the order in which they were sent
}

// flight is the part of a message under way that is of one stream.
type flight struct {
	stream    *stream
	heads     bool   // it has heads of blocks, of no stream
	through   cursor // where the cursor is when this and all before it are confirmed
	size      int    // bytes
	confirmed bool
}

// open begins to read after the cursor.
func (s *Shipper) open(name string) *stream {
	x := &stream{name: name, epochs: map[string]bool{}}
	x.next = s.o.Feed.Blocks(name, func(epoch string, first, last uint32) bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		x.epochs[epoch] = true
		return s.state.Sent.unsent(name, epoch, first, last) > 0
	})
	return x
}

// fill reads blocks until size bytes are ready to be sent, or there is no more to read. It
// cuts them so that no message needs to be longer than limit.
func (s *Shipper) fill(x *stream, size, limit int) {
	for _, p := range x.pieces {
		size -= len(p.bytes)
	}
	for size > 0 && !x.ended {
		b, err := x.next()
		if err != nil { // io.EOF: a later call may return more
			x.ended = true
			if len(x.flying) == 0 && len(x.pieces) == 0 && len(x.epochs) > 0 {
				s.mu.Lock()
				s.state.Sent.retain(x.name, x.epochs)
				s.state.Summarised.retain(x.name, x.epochs)
				s.mu.Unlock()
			}
			return
		}
		for _, p := range s.cut(x, b, limit) {
			x.pieces = append(x.pieces, p)
			size -= len(p.bytes)
		}
		x.epoch, x.last = b.Epoch, b.Last
	}
}

// cut returns what of a block was not sent yet, in pieces.
func (s *Shipper) cut(x *stream, b query.Block, limit int) []piece {
	block, _, err := codec.ParseBlock(b.Bytes)
	if err != nil {
		return s.unusable(b, err)
	}
	raw, n, from := [][]byte{b.Bytes}, max((len(b.Bytes)+limit-1)/limit, 1), s.begin(x, b, block.Prev)
	if n > 1 || from != b.First {
		at := -1
		raw, err = codec.Split(block, func(r wire.Record) int {
			if wire.Before(r.Seq, from) {
				return -1
			}
			at++
			return at * n / b.Records
		})
		if err != nil {
			return s.unusable(b, err)
		}
	}
	var all []piece
	for _, bytes := range raw {
		all = append(all, newPiece(b, bytes))
	}
	return all
}

// begin returns the first number of a block that was not sent, and notes what is missing
// before the block: prev is the number of the record before it.
func (s *Shipper) begin(x *stream, b query.Block, prev uint32) uint32 {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := x.last
	if x.epoch != b.Epoch {
		c := s.state.Sent.of(b.Sensor, b.Epoch)
		if c == nil {
			return b.First
		}
		before = c.Last
	}
	if !wire.Before(before, b.First) {
		return before + 1
	}
	if wire.Before(before, prev) {
		s.lost += int64(prev - before)
		s.o.Log.Warn("readings cannot be sent: they were evicted from the log before, or cannot be read", "sensor", b.Sensor, "first", before+1, "last", prev)
		if x.epoch != b.Epoch { // nothing of the epoch is under way, so the cursor may move: it is logged once
			s.state.Sent.move(cursor{b.Sensor, b.Epoch, prev, b.From})
		}
	}
	return b.First
}

func (s *Shipper) unusable(b query.Block, err error) []piece {
	s.o.Log.Warn("a block of readings cannot be sent", "sensor", b.Sensor, "first", b.First, "last", b.Last, "err", err)
	return nil
}

// newPiece returns the piece of a block that has these bytes.
func newPiece(b query.Block, raw []byte) piece {
	head, _, _ := codec.ParseBlock(raw) // it was parsed or made here
	sum := head.Summary
	return piece{b.Epoch, sum.First, sum.Last, sum.From, sum.To, bytes.Clone(raw), b.Values.Within(sum.First, sum.Last)}
}

// take appends to a message the stream's next part, of up to room bytes of blocks if it has
// more than one piece.
func (x *stream) take(m *Message, room int) *flight {
	n, size := 1, len(x.pieces[0].bytes)
	for n < len(x.pieces) && x.pieces[n].epoch == x.pieces[0].epoch && size+len(x.pieces[n].bytes) <= room {
		size += len(x.pieces[n].bytes)
		n++
	}
	var said values.Span
	for _, p := range x.pieces[:n] {
		said = append(said, p.values...)
	}
	before, last := len(m.Payload), x.pieces[n-1]
	m.Payload = fleet.AppendUpHeader(slices.Grow(m.Payload, size+partRoom), saidOf(said))
	for _, p := range x.pieces[:n] {
		m.Payload = append(m.Payload, p.bytes...)
	}
	m.Epoch, m.Last = last.epoch, last.last
	x.pieces = slices.Delete(x.pieces, 0, n)
	return &flight{stream: x, through: cursor{x.name, last.epoch, last.last, last.to}, size: len(m.Payload) - before}
}
