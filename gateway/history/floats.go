package history

import (
	"encoding/binary"
	"math"
	"slices"
)

// A column of float32 is packed as integers in one of two ways, said by its
// first byte. Both keep every bit.
//
//	0 steps of the float32 scale, by which their order is that of the numbers
//	1 a converter's codes: origin and step as float64, then the codes, then how
//	  many steps of the float32 scale each value is off origin + code × step
//
// For a chip's numbers are a linear map of its converter's codes, and the codes
// take a third of the bits. The map is not known here: it is fitted.
const (
	floatsPlain = 0
	floatsCodes = 1
)

// ordered maps a float32's bits to integers in the order of the numbers.
func ordered(f float32) int64 {
	b := int32(math.Float32bits(f))
	if b < 0 {
		b ^= math.MaxInt32
	}
	return int64(b)
}

func unordered(i int64) float32 {
	b := int32(i)
	if b < 0 {
		b ^= math.MaxInt32
	}
	return math.Float32frombits(uint32(b))
}

const fitRounds = 30

// line is a linear map of codes to numbers.
type line struct{ origin, step float64 }

// at returns the number of a code. The conversion keeps the product from being
// fused with the sum, which some processors do and others do not.
func (l line) at(code int64) float32 {
	return float32(l.origin + float64(l.step*float64(code)))
}

// packer packs columns; it is the room that this takes.
type packer struct {
	rest         []uint64
	ints, off    []int64
	plain, coded []byte
	distinct     []float64
	floats       []float32
}

func (p *packer) appendInts(b []byte, v []int64) []byte { return appendInts(b, v, &p.rest) }

// appendFloats appends v, packed.
func (p *packer) appendFloats(b []byte, v []float32) []byte {
	if len(v) == 0 {
		return b
	}
	p.ints = p.ints[:0]
	for _, f := range v {
		p.ints = append(p.ints, ordered(f))
	}
	p.plain = p.appendInts(append(p.plain[:0], floatsPlain), p.ints)
	if l, ok := p.fit(v); ok {
		p.off = p.off[:0]
		for i, f := range v {
			code := l.code(f)
			p.off = append(p.off, p.ints[i]-ordered(l.at(code)))
			p.ints[i] = code
		}
		p.coded = append(p.coded[:0], floatsCodes)
		p.coded = binary.BigEndian.AppendUint64(p.coded, math.Float64bits(l.origin))
		p.coded = binary.BigEndian.AppendUint64(p.coded, math.Float64bits(l.step))
		p.coded = p.appendInts(p.coded, p.ints)
		p.coded = p.appendInts(p.coded, p.off)
		if len(p.coded) < len(p.plain) {
			return append(b, p.coded...)
		}
	}
	return append(b, p.plain...)
}

// code returns the code whose number is nearest to f.
func (l line) code(f float32) int64 { return int64(math.Round((float64(f) - l.origin) / l.step)) }

// fit finds the linear map whose codes the numbers of v are.
func (p *packer) fit(v []float32) (l line, ok bool) {
	d := p.distinct[:0]
	for _, f := range v {
		if math.IsNaN(float64(f)) || math.IsInf(float64(f), 0) {
			return l, false
		}
		d = append(d, float64(f))
	}
	slices.Sort(d)
	d = slices.Compact(d)
	p.distinct = d
	if len(d) < 2 {
		return l, false
	}
	l = line{d[0], math.Inf(1)}
	for i := 1; i < len(d); i++ {
		l.step = min(l.step, d[i]-d[i-1])
	}
	// The smallest gap is about a step; the further apart two numbers are, the
	// better they tell it. Then the line through all of them is the best guess.
	for _, f := range d[1:] {
		k := math.Round((f - d[0]) / l.step)
		if k < 1 || k > 1<<24 || math.Abs(f-d[0]-k*l.step) > l.step/4 {
			return l, false
		}
		l.step = (f - d[0]) / k
	}
	return l.regress(d), true
}

// regress returns a line through the numbers, whose codes l tells: that of least
// squares, then moved until it rounds to each of them, or nearly so (projection
// onto what each number allows, in turn).
func (l line) regress(numbers []float64) line {
	n := float64(len(numbers))
	var k, y, kk, ky float64 // means, numbers relative to the first for precision
	for _, f := range numbers {
		c, f := float64(l.code(float32(f))), f-numbers[0]
		k, y, kk, ky = k+c/n, y+f/n, kk+c*c/n, ky+c*f/n
	}
	spread := kk - k*k
	if spread <= 0 {
		return l
	}
	l.step = (ky - k*y) / spread
	l.origin = numbers[0] + y - l.step*k
	for range fitRounds {
		moved := false
		for _, f := range numbers {
			c := float64(l.code(float32(f)))
			half := float64(math.Nextafter32(float32(f), math.MaxFloat32)-float32(f)) / 2
			off := f - (l.origin + l.step*c)
			if math.Abs(off) <= half {
				continue
			}
			moved = true
			off -= math.Copysign(0.8*half, off)
			u := (c - k) / spread
			off /= 1 + (c-k)*u
			l.origin += off - off*u*k
			l.step += off * u
		}
		if !moved {
			break
		}
	}
	return l
}

// decodeFloats is the inverse of appendFloats for len(v) values; ints is as long
// and is overwritten.
func decodeFloats(b []byte, v []float32, ints []int64) ([]byte, error) {
	if len(v) == 0 {
		return b, nil
	}
	if len(b) == 0 || b[0] > floatsCodes {
		return nil, errColumn
	}
	way, b := b[0], b[1:]
	if way == floatsPlain {
		b, err := decodeInts(b, ints)
		for i := range v {
			v[i] = unordered(ints[i])
		}
		return b, err
	}
	if len(b) < 16 {
		return nil, errColumn
	}
	l := line{math.Float64frombits(binary.BigEndian.Uint64(b)), math.Float64frombits(binary.BigEndian.Uint64(b[8:]))}
	b, err := decodeInts(b[16:], ints)
	if err != nil {
		return nil, err
	}
	for i, code := range ints {
		v[i] = l.at(code)
	}
	if b, err = decodeInts(b, ints); err != nil {
		return nil, err
	}
	for i, off := range ints {
		v[i] = unordered(ordered(v[i]) + off)
	}
	return b, nil
}
