package format

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"sensorgateway/gateway/history/codec"
	"sensorgateway/wire"
)

var update = flag.Bool("update", false, "write testdata anew: the format has changed, and so has its version")

// golden compares b with the bytes in testdata.
func golden(t *testing.T, name string, b []byte) {
	t.Helper()
	file := filepath.Join("testdata", name+".hex")
	if *update {
		if err := os.WriteFile(file, []byte(hex.Dump(b)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got := hex.Dump(b); got != string(want) {
		t.Errorf("%s is\n%s\nwant\n%s", name, got, want)
	}
}

// exampleTicks has each field in each way that a page knows.
func exampleTicks() [][]wire.Record {
	good := func(sensor uint16, seq uint32, t, h float32, at int64) wire.Record {
		return wire.Record{Sensor: sensor, Flags: wire.Simulated, Seq: seq, Reading: wire.Reading{Values: [2]float32{t, h}, UnixMilli: at}}
	}
	odd := good(2, math.MaxUint32, 1, float32(math.Inf(-1)), 1_700_000_000_150)
	odd.Fault, odd.Flags = wire.Implausible, wire.Conflated
	return [][]wire.Record{
		{good(0, 7, 21.5, 40.25, 1_700_000_000_000), good(1, 3000, -3.75, 80, 1_700_000_000_000)},
		{good(0, 8, 21.75, 40, 1_700_000_000_100), odd},
		{{Sensor: 1, Fault: wire.NoAck, Seq: 3002, Reading: wire.Failed(wire.NoAck, 1_700_000_000_200)}},
	}
}

func examplePage() *Page {
	p := NewPage(Run{"epoch", "boot", []string{"a", "b", "c"}})
	p.AppendBegin([]uint32{7, 3000, math.MaxUint32})
	for _, tick := range exampleTicks() {
		p.AppendTick(tick, 1_699_000_000_000)
	}
	return p
}

func exampleBlock() PackedBlock {
	var s codec.Summary
	var records []wire.Record
	for i := range 5 {
		r := wire.Record{Sensor: 1, Flags: wire.Simulated, Seq: 100 + uint32(i)}
		r.Reading = wire.Reading{Values: [2]float32{float32(-45 + 175*float64(25000+i*i)/65535), 40}, UnixMilli: 1_700_000_000_000 + int64(i)*100}
		if i == 3 {
			r.Fault, r.Reading = wire.Checksum, wire.Failed(wire.Checksum, r.UnixMilli)
		}
		s.Add(r)
		records = append(records, r)
	}
	o := codec.Origin{Sensor: "b", Epoch: "epoch", Boot: "boot", Unsynced: true, Offset: 1_699_000_000_000}
	var p codec.Packer
	return PackedBlock{o, 98, s, p.AppendBlock(nil, o, 98, s, records), 0}
}

func TestFormats(t *testing.T) {
	p := examplePage()
	golden(t, "page", bytes.TrimRight(p.Seal(5, 4), "\x00"))
	b := exampleBlock()
	golden(t, "block", b.Bytes)
	file, _ := FormatSegment([]PackedBlock{b}, 4, Moment{"epoch", "boot"})
	golden(t, "segment", file[:segmentHeader])
	golden(t, "footer", file[segmentHeader+len(b.Bytes):])
}

// A page gives back what was put in.
func TestPageRoundTrip(t *testing.T) {
	h, n, err := ParsePage(examplePage().Seal(5, 4))
	if err != nil || n != 4096 || h.Seq != 5 || h.Synced != 4 {
		t.Fatalf("%+v, %d, %v", h, n, err)
	}
	r, ok := ParseRun(h.Run)
	if !ok || fmt.Sprint(r) != "{epoch boot [a b c]}" {
		t.Errorf("run %v, %v", r, ok)
	}
	ticks := exampleTicks()
	err = h.Replay(3, func(next []uint32) {
		if fmt.Sprint(next) != fmt.Sprint([]uint32{7, 3000, math.MaxUint32}) {
			t.Errorf("begins with %v", next)
		}
	}, func(records []wire.Record, offset int64) {
		sameBits(t, records, ticks[0])
		ticks = ticks[1:]
		if offset != 1_699_000_000_000 {
			t.Errorf("offset %d", offset)
		}
	})
	if err != nil || len(ticks) != 0 {
		t.Errorf("%d ticks are missing, %v", len(ticks), err)
	}
}

func sameBits(t *testing.T, got, want []wire.Record) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d records, want %d", len(got), len(want))
	}
	for i := range got {
		if !bytes.Equal(got[i].Append(nil), want[i].Append(nil)) {
			t.Fatalf("record %d is %+v, want %+v", i, got[i], want[i])
		}
	}
}

// Any records come back with every bit from a block and from a page.
func TestRandomRecords(t *testing.T) {
	rnd := rand.New(rand.NewPCG(5, 6))
	floats := []func() float32{
		func() float32 { return float32(rnd.NormFloat64() * 20) },
		func() float32 { return math.Float32frombits(rnd.Uint32()) },
		func() float32 { return float32(rnd.IntN(300)) / 10 },
		func() float32 { return wire.Fault(rnd.IntN(10)).NaN() },
		func() float32 {
			return []float32{0, float32(math.Copysign(0, -1)), 1e-45, math.MaxFloat32}[rnd.IntN(4)]
		},
	}
	var p codec.Packer
	var u codec.Unpacker
	for range 300 {
		f, g := floats[rnd.IntN(len(floats))], floats[rnd.IntN(len(floats))]
		faulty, late, skips := rnd.IntN(3) == 0, rnd.IntN(3) == 0, rnd.IntN(3) == 0
		var records []wire.Record
		var s codec.Summary
		seq, at := rnd.Uint32(), rnd.Int64()
		for range 1 + rnd.IntN(codec.BlockRecords) {
			r := wire.Record{Sensor: 1, Flags: wire.Flags(rnd.IntN(2)), Seq: seq, Reading: wire.Reading{Values: [2]float32{f(), g()}, UnixMilli: at}}
			if faulty && rnd.IntN(4) == 0 {
				r.Fault, r.Flags = wire.Fault(rnd.IntN(256)), wire.Flags(rnd.Uint32())
				if rnd.IntN(2) == 0 {
					r.Reading = wire.Failed(r.Fault, at)
				}
			}
			seq, at = seq+1, at+100
			if late {
				at += rnd.Int64N(10)
			}
			if skips {
				seq += uint32(rnd.IntN(3))
			}
			s.Add(r)
			records = append(records, r)
		}
		h, n, err := codec.ParseBlock(p.AppendBlock(nil, codec.Origin{}, 0, s, records))
		if err != nil {
			t.Fatal(n, err)
		}
		got, err := u.Records(nil, h, 1)
		if err != nil {
			t.Fatal(err)
		}
		sameBits(t, got, records)

		pg := NewPage(Run{Sensors: []string{"a", "b"}})
		n = pg.AppendTick(records, 77)
		head, _, err := ParsePage(pg.Seal(1, 0))
		if err != nil {
			t.Fatal(err)
		}
		err = head.Replay(2, nil, func(got []wire.Record, _ int64) { sameBits(t, got, records[:n]) })
		if err != nil {
			t.Fatal(err)
		}
	}
}

func FuzzPage(f *testing.F) {
	f.Add(bytes.Clone(examplePage().Seal(5, 4)))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > pageHeader { // else hardly anything gets past the checksum
			b = append(b, make([]byte, max(4096-len(b), 0))...)
			b[9] = PageShift
			sealPage(b[:4096])
		}
		h, _, err := ParsePage(b)
		if err != nil {
			return
		}
		if r, ok := ParseRun(h.Run); ok {
			n := 0
			h.Replay(len(r.Sensors), func([]uint32) {}, func(records []wire.Record, _ int64) { n += len(records) })
			if n > len(b) {
				t.Errorf("%d records in %d bytes", n, len(b))
			}
		}
	})
}

func FuzzBlock(f *testing.F) {
	f.Add(exampleBlock().Bytes)
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > codec.BlockPrefix {
			b[8], b[9], b[10], b[11] = 0, byte(len(b)>>16), byte(len(b)>>8), byte(len(b))
			sealPage(b)
		}
		h, _, err := codec.ParseBlock(b)
		if err != nil {
			return
		}
		var u codec.Unpacker
		if got, err := u.Records(nil, h, 0); err == nil && len(got) != h.Count {
			t.Errorf("%d records of %d", len(got), h.Count)
		}
	})
}

func FuzzSegment(f *testing.F) {
	b, _ := FormatSegment([]PackedBlock{exampleBlock()}, 4, Moment{"epoch", "boot"})
	f.Add(b, uint16(directoryLen(b)-segmentTrailer))
	f.Fuzz(func(t *testing.T, b []byte, directory uint16) {
		if n := len(b) - segmentTrailer; n > 0 && int(directory) <= n { // with the right checksum
			b[n], b[n+1], b[n+2], b[n+3] = 0, 0, byte(directory>>8), byte(directory)
			sealDirectory(b, int(directory))
		}
		s, _, err := ReadSegment(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			return
		}
		for _, c := range s.Chapters {
			if places, err := c.Places(bytes.NewReader(b)); err == nil && len(places)*indexSize > len(b) && c.found == nil {
				t.Errorf("%d blocks in %d bytes", len(places), len(b))
			}
		}
	})
}

// sealPage completes a page whose header was changed.
func sealPage(page []byte) []byte {
	binary.BigEndian.PutUint32(page[4:], codec.Checksum(page[8:]))
	return page
}

// sealDirectory completes a segment whose directory of so many bytes was changed.
func sealDirectory(b []byte, directory int) {
	n := len(b) - segmentTrailer
	binary.BigEndian.PutUint32(b[n+4:], codec.Checksum(b[n-directory:n+4]))
	binary.BigEndian.PutUint32(b[n+8:], footerMagic)
}

// A bit is flipped at every byte of a segment and of a page: each part is checked
// by its checksum, and together they are the whole file.
func TestEveryPartHasAChecksum(t *testing.T) {
	var blocks []PackedBlock
	for range 3 {
		blocks = append(blocks, exampleBlock())
	}
	blocks[2].Origin.Sensor = "c"
	segment, _ := FormatSegment(blocks, 4, Moment{"epoch", "boot"})
	page := examplePage().Seal(5, 4)
	for name, file := range map[string][]byte{"segment": segment, "page": page} {
		at := 0
		for _, part := range parts(t, file) {
			for end := at + part.size; at < end; at++ {
				for bit := range 8 {
					file[at] ^= 1 << bit
					if part.whole() {
						t.Fatalf("%s: bit %d of byte %d is flipped in a %s, and nobody sees it", name, bit, at, part.what)
					}
					file[at] ^= 1 << bit
				}
			}
			if !part.whole() {
				t.Fatalf("%s: a %s is said to be damaged", name, part.what)
			}
		}
		if at != len(file) {
			t.Fatalf("%s: %d of %d bytes are in no part", name, len(file)-at, len(file))
		}
	}
}

// part is a part of a file with a checksum of its own.
type part struct {
	what  string
	size  int
	whole func() bool // it is as it was
}

// parts returns those of a file, in order.
func parts(t *testing.T, b []byte) (all []part) {
	if binary.BigEndian.Uint32(b) == pageMagic {
		return []part{{"page", len(b), func() bool { _, _, err := ParsePage(b); return err == nil }}}
	}
	header := b[:segmentHeader]
	all = append(all, part{"header", segmentHeader, func() bool {
		return binary.BigEndian.Uint32(header) == segmentMagic && binary.BigEndian.Uint32(header[4:]) == segmentVersion
	}})
	s, err := parseDirectory(b)
	if err != nil {
		t.Fatal(err)
	}
	for at := int64(segmentHeader); at < s.Chapters[0].Index; {
		_, n, err := codec.ParseBlock(b[at:])
		if err != nil {
			t.Fatal(err)
		}
		block := b[at : at+int64(n)]
		all = append(all, part{"block", n, func() bool { _, _, err := codec.ParseBlock(block); return err == nil }})
		at += int64(n)
	}
	for _, c := range s.Chapters {
		all = append(all, part{"index", c.Blocks * indexSize, func() bool { _, err := c.Places(bytes.NewReader(b)); return err == nil }})
	}
	n := int(directoryLen(b))
	tail := b[len(b)-n:]
	return append(all, part{"directory", n, func() bool { _, err := parseDirectory(tail); return err == nil }})
}
