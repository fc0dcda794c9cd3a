package codec

import (
	"encoding/binary"
	"fmt"
	"math/bits"
)

// A column of integers is packed in the shorter of two ways. Its first byte says in
// which: 0 is runs, each a zigzag varint and a length; else a Rice code of
// what remains when a smoothed mean of the earlier values is taken away: the
// measurements of a chip are noise around a slow drift.
//
//	bits 0–1  1 + how slowly the mean follows: it moves by 1, 1/4 or 1/8 of the error
//	bits 2–7  the Rice code's parameter
//
// The first value follows as a zigzag varint, the others as bits, the highest
// first, filled up to a byte: the quotient in unary (ones, then a zero), the
// remainder; after [riceEscape] ones the number itself in 64 bits.
const (
	columnRuns = 0
	riceEscape = 24
	riceMax    = 40 // highest parameter
	meanScale  = 3  // bits of the mean's fraction
)

var follow = [...]uint{1: 0, 2: 2, 3: 3} // by bits 0–1: the shift

var errColumn = fmt.Errorf("%w: a column", ErrBlock)

func zigzag(v int64) uint64   { return uint64(v<<1) ^ uint64(v>>63) }
func unzigzag(u uint64) int64 { return int64(u>>1) ^ -int64(u&1) }

// mean predicts the next value of a column.
type mean struct {
	at    int64 // scaled
	shift uint
}

func startMean(first int64, shift uint) mean { return mean{first << meanScale, shift} }

func (m *mean) predict() int64 { return (m.at + 1<<(meanScale-1)) >> meanScale }

func (m *mean) saw(v int64) { m.at += (v<<meanScale - m.at) >> m.shift }

// appendInts appends v, packed. scratch is memory that is reused.
func appendInts(b []byte, v []int64, scratch *[]uint64) []byte {
	if len(v) == 0 {
		return b
	}
	best, bestBits, bestK := columnRuns, 8*runsLen(v), uint(0)
	for way := 1; way < len(follow); way++ {
		rest := remainders((*scratch)[:0], v, follow[way])
		*scratch = rest
		for k, end := riceGuess(rest); k <= end; k++ {
			if n := riceBits(rest, k) + 8*len(binary.AppendVarint(nil, v[0])); n < bestBits {
				best, bestBits, bestK = way, n, k
			}
		}
	}
	b = append(b, byte(best)|byte(bestK<<2))
	if best == columnRuns {
		for i := 0; i < len(v); {
			n := sameAs(v[i:])
			b = binary.AppendVarint(b, v[i])
			b = binary.AppendUvarint(b, uint64(n))
			i += n
		}
		return b
	}
	b = binary.AppendVarint(b, v[0])
	rest := remainders((*scratch)[:0], v, follow[best])
	*scratch = rest
	w := bitWriter{b: b}
	for _, u := range rest {
		if q := u >> bestK; q < riceEscape {
			w.write(1<<(q+1)-2, uint(q)+1)
			w.write(u&(1<<bestK-1), bestK)
		} else {
			w.write(1<<riceEscape-1, riceEscape)
			w.write(u>>32, 32)
			w.write(u&(1<<32-1), 32)
		}
	}
	return w.end()
}

// decodeInts is the inverse of appendInts for len(v) values. It returns what
// follows in b.
func decodeInts(b []byte, v []int64) ([]byte, error) {
	if len(v) == 0 {
		return b, nil
	}
	if len(b) == 0 {
		return nil, errColumn
	}
	way, k := b[0]&3, uint(b[0]>>2)
	b = b[1:]
	if way == columnRuns {
		return decodeRuns(b, v, k)
	}
	first, n := binary.Varint(b)
	if n <= 0 || k > riceMax {
		return nil, errColumn
	}
	v[0] = first
	m := startMean(first, follow[way])
	r := bitReader{b: b[n:]}
	for i := 1; i < len(v); i++ {
		u, ok := r.rice(k)
		if !ok {
			return nil, errColumn
		}
		v[i] = m.predict() + unzigzag(u)
		m.saw(v[i])
	}
	return r.rest(), nil
}

func decodeRuns(b []byte, v []int64, k uint) ([]byte, error) {
	for i := 0; i < len(v); {
		value, n := binary.Varint(b)
		if n <= 0 || k != 0 {
			return nil, errColumn
		}
		b = b[n:]
		length, n := binary.Uvarint(b)
		if n <= 0 || length == 0 || length > uint64(len(v)-i) {
			return nil, errColumn
		}
		b = b[n:]
		for end := i + int(length); i < end; i++ {
			v[i] = value
		}
	}
	return b, nil
}

// sameAs returns how many values at the beginning of v are the same.
func sameAs(v []int64) int {
	n := 1
	for n < len(v) && v[n] == v[0] {
		n++
	}
	return n
}

func runsLen(v []int64) (n int) {
	var buf [binary.MaxVarintLen64]byte
	for i := 0; i < len(v); {
		length := sameAs(v[i:])
		n += binary.PutVarint(buf[:], v[i]) + binary.PutUvarint(buf[:], uint64(length))
		i += length
	}
	return n
}

// remainders appends how far the mean is off for each of v[1:].
func remainders(rest []uint64, v []int64, shift uint) []uint64 {
	m := startMean(v[0], shift)
	for _, x := range v[1:] {
		rest = append(rest, zigzag(x-m.predict()))
		m.saw(x)
	}
	return rest
}

// riceGuess returns the range of parameters worth trying: around the mean.
func riceGuess(rest []uint64) (from, to uint) {
	if len(rest) == 0 {
		return 0, 0
	}
	sum := uint64(0)
	for _, u := range rest {
		sum += min(u, 1<<riceMax)
	}
	k := uint(bits.Len64(sum / uint64(len(rest))))
	k = min(k, riceMax)
	return k - min(k, 2), k
}

func riceBits(rest []uint64, k uint) (n int) {
	for _, u := range rest {
		if q := u >> k; q < riceEscape {
			n += int(q) + 1 + int(k)
		} else {
			n += riceEscape + 64
		}
	}
	return n
}

// bitWriter appends bits to b, the highest first.
type bitWriter struct {
	b []byte
	v uint64
	n uint // bits in v, under 8 between writes
}

// write appends the lowest n bits of v, 48 at most.
func (w *bitWriter) write(v uint64, n uint) {
	w.v = w.v<<n | v
	for w.n += n; w.n >= 8; w.n -= 8 {
		w.b = append(w.b, byte(w.v>>(w.n-8)))
	}
}

func (w *bitWriter) end() []byte {
	if w.n > 0 {
		w.b = append(w.b, byte(w.v<<(8-w.n)))
	}
	return w.b
}

// bitReader takes bits from b.
type bitReader struct {
	b  []byte
	at int    // of b, the next byte that is not in v
	v  uint64 // the next n bits, at the top; zeros below
	n  uint
}

func (r *bitReader) fill() {
	for ; r.n <= 56 && r.at < len(r.b); r.n += 8 {
		r.v |= uint64(r.b[r.at]) << (56 - r.n)
		r.at++
	}
}

func (r *bitReader) take(n uint) (uint64, bool) {
	if n == 0 {
		return 0, true
	}
	if r.n < n {
		if r.fill(); r.n < n {
			return 0, false
		}
	}
	v := r.v >> (64 - n)
	r.v <<= n
	r.n -= n
	return v, true
}

func (r *bitReader) rice(k uint) (uint64, bool) {
	r.fill()
	q := uint(bits.LeadingZeros64(^r.v))
	if q >= riceEscape {
		if _, ok := r.take(riceEscape); !ok {
			return 0, false
		}
		high, _ := r.take(32)
		low, ok := r.take(32)
		return high<<32 | low, ok
	}
	if _, ok := r.take(q + 1); !ok {
		return 0, false
	}
	low, ok := r.take(k)
	return uint64(q)<<k | low, ok
}

// rest returns what follows the byte that was begun.
func (r *bitReader) rest() []byte { return r.b[r.at-int(r.n/8):] }
