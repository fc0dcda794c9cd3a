package collect

import (
	"slices"

	"sensorgateway/gateway/history/codec"
	"sensorgateway/wire"
)

// span is numbers that are there, or were never made, from first to last. Numbers of an
// epoch are counted from its first one on, so that they do not wrap within one.
type span struct{ first, last uint32 }

// spans are those of a sensor's epoch, in order, none next to another: one while nothing
// is missing.
type spans []span

// add adds the numbers from first to last.
func (s *spans) add(first, last uint32) {
	list := *s
	// Those from i on do not end before the new one begins, those from j on begin behind it.
	i, _ := slices.BinarySearchFunc(list, first, func(x span, first uint32) int {
		if wire.Before(x.last+1, first) {
			return -1
		}
		return 1
	})
	j := i
	for j < len(list) && !wire.Before(last+1, list[j].first) {
		if wire.Before(list[j].first, first) {
			first = list[j].first
		}
		if wire.Before(last, list[j].last) {
			last = list[j].last
		}
		j++
	}
	*s = slices.Replace(list, i, j, span{first, last})
}

// has returns whether a number is there.
func (s spans) has(seq uint32) bool {
	for _, x := range slices.Backward(s) { // most often the last
		if !wire.Before(seq, x.first) {
			return !wire.Before(x.last, seq)
		}
	}
	return false
}

// hasAll returns whether all numbers from first to last are there.
func (s spans) hasAll(first, last uint32) bool {
	for _, x := range slices.Backward(s) {
		if !wire.Before(first, x.first) {
			return !wire.Before(x.last, last)
		}
	}
	return false
}

// touches returns whether any number from first to last is there.
func (s spans) touches(first, last uint32) bool {
	return slices.ContainsFunc(s, func(x span) bool { return !wire.Before(last, x.first) && !wire.Before(x.last, first) })
}

// begin returns the first number that a block stands for: those between the record
// before it and its own first were never made.
func begin(prev uint32, s codec.Summary) uint32 {
	if wire.Before(prev, s.First) {
		return prev + 1
	}
	return s.First
}

// fresh returns the blocks of the records of a block that are not there yet: after a
// crash, a gateway may have cut the same records into other blocks.
func (s spans) fresh(b codec.Block, raw []byte) ([][]byte, error) {
	if s.hasAll(b.Summary.First, b.Summary.Last) {
		return nil, nil
	}
	if !s.touches(b.Summary.First, b.Summary.Last) {
		var unpack codec.Unpacker
		_, err := unpack.Records(nil, b, 0) // also one that is used as it is must be one that can be read
		return [][]byte{raw}, err
	}
	return codec.Split(b, func(r wire.Record) int {
		if s.has(r.Seq) {
			return -1
		}
		return 0
	})
}
