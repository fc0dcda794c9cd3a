package codec

import (
	"encoding/binary"
	"math"
	"slices"
)

// A column of float32 is packed as integers in one of two ways, said by its
// first byte. Both preserve every bit.
//
//	0 steps of the float32 scale, by which their order is that of the numbers
//	1 a converter's codes: origin and step as float64, then the codes, then how
//	  many steps of the float32 scale each value is off origin + code × step
//
// The values of a chip are a linear function of its converter's codes, which take a
// third of the bits. The function is not known here, but fitted.
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

// line is a linear map of codes to numbers.
type line struct{ origin, step float64 }

// at returns the number of a code. The conversion prevents that the product is
// fused with the sum, which some processors do and others do not.
func (l line) at(code int64) float32 {
	return float32(l.origin + float64(l.step*float64(code)))
}

// Packer packs columns, in memory that it uses again.
type Packer struct {
	rest         []uint64
	ints, off    []int64
	plain, coded []byte
	distinct     []float64
	floats       []float32
}

func (p *Packer) appendInts(b []byte, v []int64) []byte { return appendInts(b, v, &p.rest) }

// appendFloats appends v, packed.
func (p *Packer) appendFloats(b []byte, v []float32) []byte {
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
func (p *Packer) fit(v []float32) (l line, ok bool) {
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
	// more precisely they give it. The line through all of them is the best estimate.
	for _, f := range d[1:] {
		k := math.Round((f - d[0]) / l.step)
		if k < 1 || k > 1<<24 || math.Abs(f-d[0]-k*l.step) > l.step/4 {
			return l, false
		}
		l.step = (f - d[0]) / k
	}
	return l.through(d), true
}

// through returns the line that rounds to each of the numbers, whose codes l gives:
// the one in the middle of what they allow. Where none does, because the numbers
// were rounded more than once, it returns the line of least squares.
//
// A number f with code c allows low ≤ origin + step × c ≤ high. An origin exists for
// a step if each low is under each high: so each two numbers bound the step, and
// all these bounds together are all there is to know.
func (l line) through(numbers []float64) line {
	type bounds struct{ code, low, high float64 }
	allowed := make([]bounds, len(numbers))
	for i, f := range numbers {
		half := (float64(math.Nextafter32(float32(f), math.MaxFloat32)) - f) / 2
		allowed[i] = bounds{float64(l.code(float32(f))), f - half, f + half}
	}
	least, most := math.Inf(-1), math.Inf(1)
	for i, a := range allowed {
		for _, b := range allowed[i+1:] {
			least = max(least, (b.low-a.high)/(b.code-a.code))
			most = min(most, (b.high-a.low)/(b.code-a.code))
		}
	}
	if !(least <= most) { // or one of them is NaN, because two numbers have one code
		return l.regress(numbers)
	}
	l.step = least + (most-least)/2
	least, most = math.Inf(-1), math.Inf(1)
	for _, a := range allowed {
		least = max(least, a.low-l.step*a.code)
		most = min(most, a.high-l.step*a.code)
	}
	l.origin = least + (most-least)/2
	return l
}

// regress returns the line of least squares through the numbers, whose codes l gives.
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
