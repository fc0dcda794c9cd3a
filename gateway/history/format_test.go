package history

import (
	"bytes"
	"encoding/hex"
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

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

func examplePage() *page {
	p := newPage(run{"epoch", "boot", []string{"a", "b", "c"}})
	p.appendBegin([]uint32{7, 3000, math.MaxUint32})
	for _, tick := range exampleTicks() {
		p.appendTick(tick, 1_699_000_000_000)
	}
	return p
}

func exampleBlock() sealed {
	var s summary
	var records []wire.Record
	for i := range 5 {
		r := wire.Record{Sensor: 1, Flags: wire.Simulated, Seq: 100 + uint32(i)}
		r.Reading = wire.Reading{Values: [2]float32{float32(-45 + 175*float64(25000+i*i)/65535), 40}, UnixMilli: 1_700_000_000_000 + int64(i)*100}
		if i == 3 {
			r.Fault, r.Reading = wire.Checksum, wire.Failed(wire.Checksum, r.UnixMilli)
		}
		s.add(r)
		records = append(records, r)
	}
	o := origin{"b", "epoch", "boot", true, 1_699_000_000_000}
	var p packer
	return sealed{o, 98, s, p.appendBlock(nil, o, 98, s, records)}
}

func TestFormats(t *testing.T) {
	p := examplePage()
	golden(t, "page", bytes.TrimRight(p.seal(5, 4), "\x00"))
	b := exampleBlock()
	golden(t, "block", b.bytes)
	file, _ := formatSegment([]sealed{b}, 4, moment{"epoch", "boot"})
	golden(t, "segment", file[:segmentHeader])
	golden(t, "footer", file[segmentHeader+len(b.bytes):])
}

// A page gives back what was put in.
func TestPageRoundTrip(t *testing.T) {
	h, n, err := parsePage(examplePage().seal(5, 4))
	if err != nil || n != 4096 || h.seq != 5 || h.synced != 4 {
		t.Fatalf("%+v, %d, %v", h, n, err)
	}
	r, ok := parseRun(h.run)
	if !ok || fmt.Sprint(r) != "{epoch boot [a b c]}" {
		t.Errorf("run %v, %v", r, ok)
	}
	ticks := exampleTicks()
	err = h.replay(3, func(next []uint32) {
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
	var p packer
	var u unpacker
	for range 300 {
		f, g := floats[rnd.IntN(len(floats))], floats[rnd.IntN(len(floats))]
		faulty, late, skips := rnd.IntN(3) == 0, rnd.IntN(3) == 0, rnd.IntN(3) == 0
		var records []wire.Record
		var s summary
		seq, at := rnd.Uint32(), rnd.Int64()
		for range 1 + rnd.IntN(blockRecords) {
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
			s.add(r)
			records = append(records, r)
		}
		h, n, err := parseBlock(p.appendBlock(nil, origin{}, 0, s, records))
		if err != nil {
			t.Fatal(n, err)
		}
		got, err := u.records(nil, h, 1)
		if err != nil {
			t.Fatal(err)
		}
		sameBits(t, got, records)

		pg := newPage(run{sensors: []string{"a", "b"}})
		n = pg.appendTick(records, 77)
		head, _, err := parsePage(pg.seal(1, 0))
		if err != nil {
			t.Fatal(err)
		}
		err = head.replay(2, nil, func(got []wire.Record, _ int64) { sameBits(t, got, records[:n]) })
		if err != nil {
			t.Fatal(err)
		}
	}
}

func FuzzPage(f *testing.F) {
	f.Add(bytes.Clone(examplePage().seal(5, 4)))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > pageHeader { // else hardly anything gets past the checksum
			b = append(b, make([]byte, max(4096-len(b), 0))...)
			b[9] = pageShift
			sealPage(b[:4096])
		}
		h, _, err := parsePage(b)
		if err != nil {
			return
		}
		if r, ok := parseRun(h.run); ok {
			n := 0
			h.replay(len(r.sensors), func([]uint32) {}, func(records []wire.Record, _ int64) { n += len(records) })
			if n > len(b) {
				t.Errorf("%d records in %d bytes", n, len(b))
			}
		}
	})
}

func FuzzBlock(f *testing.F) {
	f.Add(exampleBlock().bytes)
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > blockPrefix {
			b[8], b[9], b[10], b[11] = 0, byte(len(b)>>16), byte(len(b)>>8), byte(len(b))
			sealPage(b)
		}
		h, _, err := parseBlock(b)
		if err != nil {
			return
		}
		var u unpacker
		if got, err := u.records(nil, h, 0); err == nil && len(got) != h.records {
			t.Errorf("%d records of %d", len(got), h.records)
		}
	})
}

func FuzzSegment(f *testing.F) {
	b, _ := formatSegment([]sealed{exampleBlock()}, 4, moment{"epoch", "boot"})
	f.Add(b, uint16(directoryLen(b)-segmentTrailer))
	f.Fuzz(func(t *testing.T, b []byte, directory uint16) {
		if n := len(b) - segmentTrailer; n > 0 && int(directory) <= n { // with the right checksum
			b[n], b[n+1], b[n+2], b[n+3] = 0, 0, byte(directory>>8), byte(directory)
			sealDirectory(b, int(directory))
		}
		s, _, err := openSegment(bytesFile(b), int64(len(b)))
		if err != nil {
			return
		}
		for _, c := range s.chapters {
			if places, err := c.places(bytesFile(b)); err == nil && len(places)*indexSize > len(b) && c.found == nil {
				t.Errorf("%d blocks in %d bytes", len(places), len(b))
			}
		}
	})
}

// What a store reads from a directory of strange files is nothing.
func TestStrangeFiles(t *testing.T) {
	fs := NewMemory()
	for _, name := range []string{"0000000000000001.segment", "0000000000000001.journal", "0000000000000002.segment", "x.segment", "note.txt", "0000000000000003.journal.new"} {
		f, _ := fs.Create(name)
		if !strings.Contains(name, "2.") {
			f.WriteAt([]byte(strings.Repeat("strange ", 1000)), 0)
		}
	}
	l := open(t, Options{FS: fs, Sensors: []string{"a"}})
	defer l.Close()
	if err := l.Durable(); err != nil {
		t.Error(err)
	}
	if l.Epoch() != "" {
		t.Errorf("epoch %q", l.Epoch())
	}
	files, _ := fs.List(damagedDir)
	if len(files) != 2 {
		t.Errorf("set aside are %v, want the two segments", files)
	}
	if files, _ = fs.List(""); len(files) != 3 {
		t.Errorf("left are %v, want the journal and what is not ours", files)
	}
}
