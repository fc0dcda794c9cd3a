package history

import (
	"encoding/binary"
	"io"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"sensorgateway/gateway/history/codec"
	"sensorgateway/gateway/history/disk"
	"sensorgateway/gateway/history/disk/disktest"
	"sensorgateway/gateway/history/format"
	"sensorgateway/wire"
)

// For a day of 8 sensors at 10 Hz: what reaches the disk, in whole pages of 4 KiB that
// are dirty at each sync, and what stays there for 7 days. Measured for an hour.
func BenchmarkDiskOfADay(b *testing.B) {
	for range b.N {
		d, m := disktest.New(), newMaker(8)
		l := benchOpen(b, Options{FS: d, Sensors: names(8), Boot: "7d1c6a6e-9f6e-4c5e-8a53-0f5f3c1d2b4a"})
		now := time.Unix(1, 0)
		l.maintain(now)
		l.Begin("ABCDEFGHIJKLMNOPQRSTUVWXYZ", m.next)
		for !l.journal.Filled() { // it is made once, not each hour
			l.preallocate()
		}
		if err := l.sync(); err != nil {
			b.Fatal(err)
		}
		journal := l.journal.Size
		d.Written = 0
		for range 3600 {
			for range 10 {
				l.Append(m.tick(), m.offset)
				l.write()
			}
			m.ticks = nil
			now = now.Add(time.Second)
			_ = l.sync()
			l.maintain(now)
		}
		if err := l.seal(false); err != nil {
			b.Fatal(err)
		}
		l.mu.Lock()
		segments := l.size - journal
		l.mu.Unlock()
		b.ReportMetric(float64(d.Written)*24/1e9, "GB/day")
		b.ReportMetric(float64(segments)/(3600*80), "B/reading")
		b.ReportMetric((float64(segments)*24*7+float64(journal))/1e6, "MB/week")
	}
}

func benchOpen(b *testing.B, o Options) *Log {
	l, err := Open(o)
	if err != nil {
		b.Fatal(err)
	}
	return l
}

// week fills a directory with 7 days of 8 sensors at 10 Hz.
func week(b *testing.B, fs FS) (end int64) {
	const hour = 36_000 // ticks
	at := int64(1_700_000_000_000)
	var template []format.PackedBlock
	var p codec.Packer
	for i := range 8 { // one hour; the others differ in numbers and times only, which takes as long to read
		m := newMaker(8)
		m.rnd = rand.New(rand.NewPCG(uint64(i), 0))
		m.at = at
		var records []wire.Record
		for range hour {
			records = append(records, m.tick()[i])
			m.ticks = nil
		}
		for ; len(records) > 0; records = records[600:] {
			var s codec.Summary
			for _, r := range records[:600] {
				s.Add(r)
			}
			o := codec.Origin{Sensor: names(8)[i], Epoch: "epoch", Boot: "boot", Offset: 1}
			template = append(template, format.PackedBlock{Origin: o, Prev: s.First - 1, Summary: s, Bytes: p.AppendBlock(nil, o, s.First-1, s, records[:600])})
		}
	}
	for h := range 7 * 24 {
		blocks := make([]format.PackedBlock, len(template))
		for k, x := range template {
			x.Summary.First, x.Summary.Last = x.Summary.First+uint32(h*hour), x.Summary.Last+uint32(h*hour)
			x.Summary.From, x.Summary.To = x.Summary.From+int64(h)*3_600_000, x.Summary.To+int64(h)*3_600_000
			x.Prev = x.Summary.First - 1
			if h > 0 {
				x.Bytes = moved(x)
			}
			blocks[k] = x
		}
		file, _ := format.FormatSegment(blocks, 0, format.Moment{Epoch: "epoch", Boot: "boot"})
		if err := writeFile(fs, format.SegmentName(uint64(h+1)), file); err != nil {
			b.Fatal(err)
		}
		end = at + int64(h+1)*3_600_000
	}
	return end
}

// moved returns a block's bytes with another summary.
func moved(x format.PackedBlock) []byte {
	b := append([]byte(nil), x.Bytes[:codec.BlockPrefix]...)
	b = codec.AppendOrigin(b, x.Origin)
	b = binary.BigEndian.AppendUint32(b, x.Prev)
	b = codec.AppendSummary(b, x.Summary)
	b = append(b, x.Bytes[len(b):]...)
	binary.BigEndian.PutUint32(b[4:], codec.Checksum(b[8:]))
	return b
}

// A week of 8 sensors at 10 Hz is opened and read.
func BenchmarkWeek(b *testing.B) {
	fs := disk.OS(b.TempDir())
	end := week(b, fs)
	o := Options{FS: fs, Sensors: names(8), Boot: "boot"}
	l := benchOpen(b, o)
	m := newMaker(8) // and the hour that is in the journal only
	m.at = end
	for i := range m.next {
		m.next[i] = 7 * 24 * 36_000
	}
	l.maintain(time.Unix(1, 0))
	l.Begin("epoch", m.next)
	for range 3600 {
		for range 10 {
			l.Append(m.tick(), 1)
		}
		m.ticks = nil
		l.write()
		l.journal.Advance()
	}
	b.Run("open", func(b *testing.B) {
		for range b.N {
			if err := benchOpen(b, o).Close(); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(l.Size())/(1<<20), "MiB")
	})
	b.Run("since", func(b *testing.B) {
		n := 0
		for range b.N {
			for next := l.Since(3, math.MaxUint32); ; {
				records, err := next()
				if err == io.EOF {
					break
				}
				n += len(records)
			}
		}
		b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "readings/s")
	})
	b.Run("buckets", func(b *testing.B) {
		n := 0
		for range b.N {
			for next := l.Buckets(3, end-7*86_400_000, end, 7*86_400_000/300); ; {
				buckets, err := next()
				if err == io.EOF {
					break
				}
				n += len(buckets)
			}
		}
		b.ReportMetric(float64(n)/float64(b.N), "buckets")
	})
}

// A tick of 8 sensors: into the index, and into the page and the system's hands.
func BenchmarkAppend(b *testing.B) {
	l := benchOpen(b, Options{FS: disk.OS(b.TempDir()), Sensors: names(8)})
	defer l.Close()
	now := time.Unix(1, 0)
	l.maintain(now)
	m := newMaker(8)
	l.Begin("epoch", m.next)
	tick := m.tick()
	b.ReportAllocs()
	for b.Loop() {
		for i := range tick {
			tick[i].Seq++
			tick[i].UnixMilli += 100
		}
		l.Append(tick, 0)
		l.write()
		if tick[0].Seq%600 == 0 {
			b.StopTimer()
			now = now.Add(time.Minute)
			_ = l.sync()
			l.maintain(now)
			b.StartTimer()
		}
	}
}
