// Package spans knows which numbers of a row are there, and cuts out of a block what is not
// there yet.
//
// It knows blocks. It refuses to know files, and whose numbers they are.
package spans

import (
	"slices"

	"sensorgateway/gateway/history/codec"
	"sensorgateway/wire"
)

// Span is numbers that are there, or were never made, from first to last. Numbers of an
// epoch are counted from its first one on, so that they do not wrap within one.
type Span struct{ First, Last uint32 }

// Spans are those of a sensor's epoch, in order, none next to another: one while nothing
// is missing.
type Spans []Span

// Add adds the numbers from first to last.
func (s *Spans) Add(first, last uint32) {
	list := *s
	// Those from i on do not end before the new one begins, those from j on begin behind it.
	i, _ := slices.BinarySearchFunc(list, first, func(x Span, first uint32) int {
		if wire.Before(x.Last+1, first) {
			return -1
		}
		return 1
	})
	j := i
	for j < len(list) && !wire.Before(last+1, list[j].First) {
		if wire.Before(list[j].First, first) {
			first = list[j].First
		}
		if wire.Before(last, list[j].Last) {
			last = list[j].Last
		}
		j++
	}
	*s = slices.Replace(list, i, j, Span{first, last})
}

// Has returns whether a number is there.
func (s Spans) Has(seq uint32) bool {
	for _, x := range slices.Backward(s) { // most often the last
		if !wire.Before(seq, x.First) {
			return !wire.Before(x.Last, seq)
		}
	}
	return false
}

// HasAll returns whether all numbers from first to last are there.
func (s Spans) HasAll(first, last uint32) bool {
	for _, x := range slices.Backward(s) {
		if !wire.Before(first, x.First) {
			return !wire.Before(x.Last, last)
		}
	}
	return false
}

// Touches returns whether any number from first to last is there.
func (s Spans) Touches(first, last uint32) bool {
	return slices.ContainsFunc(s, func(x Span) bool { return !wire.Before(last, x.First) && !wire.Before(x.Last, first) })
}

// Begin returns the first number that a block stands for: those between the record
// before it and its own first were never made.
func Begin(prev uint32, s codec.Summary) uint32 {
	if wire.Before(prev, s.First) {
		return prev + 1
	}
	return s.First
}

// Fresh returns the blocks of the records of a block that are not there yet: after a
// crash, a gateway may have cut the same records into other blocks.
func (s Spans) Fresh(b codec.Block, raw []byte) ([][]byte, error) {
	if s.HasAll(b.Summary.First, b.Summary.Last) {
		return nil, nil
	}
	if !s.Touches(b.Summary.First, b.Summary.Last) {
		var unpack codec.Unpacker
		_, err := unpack.Records(nil, b, 0) // also one that is used as it is must be one that can be read
		return [][]byte{raw}, err
	}
	return codec.Split(b, func(r wire.Record) int {
		if s.Has(r.Seq) {
			return -1
		}
		return 0
	})
}
