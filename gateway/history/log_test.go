package history

import (
	"context"
	"errors"
	"io"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"sensorgateway/gateway/history/disk"
	"sensorgateway/wire"
)

// maker makes ticks of sensors as the sampler does.
type maker struct {
	next   []uint32
	at     int64 // of the next tick
	every  int64
	flags  wire.Flags
	offset int64
	rnd    *rand.Rand
	values []wire.SensorInfo
	ticks  [][]wire.Record // what was made, as it is seen
}

func newMaker(sensors int) *maker {
	return &maker{next: make([]uint32, sensors), at: 1_700_000_000_000, every: 100, flags: wire.Simulated, offset: 1_699_999_000_000, rnd: rand.New(rand.NewPCG(1, 2))}
}

// tick makes the next one. The values are an SHT3x's: codes of 16 bits, noise of
// its datasheet around a drift.
func (m *maker) tick() []wire.Record {
	var records []wire.Record
	seconds := float64(m.at) / 1000
	for i := range m.next {
		r := wire.Record{Sensor: uint16(i), Flags: m.flags, Seq: m.next[i]}
		r.UnixMilli = m.at
		m.next[i]++
		if m.rnd.IntN(1000) == 0 {
			r.Fault = wire.NoAck
			r.Values[0], r.Values[1] = r.Fault.NaN(), r.Fault.NaN()
		} else {
			t := 22 + math.Sin(seconds/40+float64(i)) + 0.013*m.rnd.NormFloat64()
			h := 45 + 3*math.Sin(seconds/60+float64(i)) + 0.027*m.rnd.NormFloat64()
			r.Values[0] = float32(-45 + 175*math.Round((t+45)/175*65535)/65535)
			r.Values[1] = float32(100 * math.Round(h/100*65535) / 65535)
		}
		records = append(records, r)
	}
	m.at += m.every
	seen := slices.Clone(records)
	for i := range m.values {
		c := m.values[i].Calibrations()
		c.Apply(&seen[i])
	}
	m.ticks = append(m.ticks, seen)
	return records
}

// calibrate gives the sensors other constants: now and then one has none.
func (m *maker) calibrate(names []string, chance *rand.Rand) {
	m.values = nil
	for _, name := range names {
		s := wire.SensorInfo{Name: name}
		if chance.IntN(3) > 0 {
			s.Calibration = map[string]wire.Calibration{"temperature": {Scale: 0.9 + float64(chance.IntN(3))/10, Offset: float64(chance.IntN(3)) - 1.3}}
		}
		m.values = append(m.values, s)
	}
}

// of returns the records of a sensor that were made.
func (m *maker) of(sensor int) (records []wire.Record) {
	for _, t := range m.ticks {
		records = append(records, t[sensor])
	}
	return records
}

// all reads to the end.
func all(t *testing.T, next func() ([]wire.Record, error)) (records []wire.Record) {
	t.Helper()
	for {
		batch, err := next()
		if errors.Is(err, io.EOF) {
			return records
		}
		if err != nil {
			t.Fatal(err)
		}
		records = append(records, batch...)
	}
}

// same compares records by their bits; got has the flag of what is replayed.
func same(t *testing.T, got, want []wire.Record) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%d records, want %d", len(got), len(want))
	}
	for i := range min(len(got), len(want)) {
		w := want[i]
		w.Flags |= wire.Historical
		if string(got[i].Append(nil)) != string(w.Append(nil)) {
			t.Fatalf("record %d is %+v, want %+v", i, got[i], w)
		}
	}
}

func open(t *testing.T, o Options) *Log {
	t.Helper()
	l, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// start runs the log; stop ends and closes it.
func start(t *testing.T, l *Log) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- l.Run(ctx) }()
	return func() {
		t.Helper()
		cancel()
		if err := errors.Join(<-done, l.Close()); err != nil {
			t.Error(err)
		}
	}
}

func TestLogKeepsWhatItIsGiven(t *testing.T) {
	for _, tt := range []struct {
		name     string
		fs       FS
		seconds  int
		segments int // a part
	}{{"memory", disk.NewMemory(), 4000, 1}, {"disk", nil, 120, 0}} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				o := Options{Dir: dir, FS: tt.fs, Sensors: []string{"indoor", "outdoor"}, Boot: "boot"}
				m := newMaker(2)
				m.every = 1000
				for part := range 3 {
					l := open(t, o)
					if last, ok := l.Last(0); ok != (part > 0) || ok && last != m.next[0]-1 {
						t.Fatalf("last number %d, %v; want %d", last, ok, m.next[0]-1)
					}
					if part > 0 && l.Epoch() != "epoch" {
						t.Errorf("epoch %q", l.Epoch())
					}
					l.Begin("epoch", m.next)
					stop := start(t, l)
					for range tt.seconds { // in memory more than an hour, so that a segment is written
						l.Append(m.tick(), m.offset)
						<-time.After(time.Second)
					}
					if n := len(l.index.Segments); n != (part+1)*tt.segments {
						t.Errorf("%d segments, want %d", n, (part+1)*tt.segments)
					}
					if err := l.Durable(); err != nil {
						t.Error(err)
					}
					for i := range 2 {
						same(t, all(t, l.Since(uint16(i), math.MaxUint32)), m.of(i))
						same(t, all(t, l.Since(uint16(i), 70)), m.of(i)[71:])
						if from := l.Kept(uint16(i), 5); from != 6 {
							t.Errorf("kept from %d on, want 6", from)
						}
					}
					first := m.ticks[0][0].UnixMilli
					same(t, all(t, l.Between(1, first+1000, first+100_000)), m.of(1)[1:100])
					stop()
				}
			})
		})
	}
}
