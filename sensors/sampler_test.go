package sensors

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"periph.io/x/conn/v3/i2c"

	"sensorgateway/wire"
)

// fake is a chip whose every measurement is what sense says.
type fake struct {
	opened, halted int
	open           func() error                             // nil: succeeds
	sense          func(n int) (celsius float64, err error) // n counts from 0
	n              int
}

func (f *fake) Sense(values []float32) error {
	f.n++
	c, err := f.sense(f.n - 1)
	if err != nil {
		return err
	}
	values[0], values[1] = float32(c), 50
	return nil
}
func (f *fake) Halt() error    { f.halted++; return nil }
func (f *fake) String() string { return "fake 0x01 on bus 1" }

func (f *fake) config(id uint16, interval time.Duration) Config {
	return Config{ID: id, Name: fmt.Sprintf("s%d", id), Interval: interval, Chip: Chip{
		Model: "fake", Measures: []Measurand{celsius(-40, 125), percent},
		Open: func(i2c.Bus, uint16) (Sensor, error) {
			f.opened++
			if f.open != nil {
				if err := f.open(); err != nil {
					return nil, err
				}
			}
			return f, nil
		},
	}}
}

// good measures something else each time, after d.
func good(d time.Duration) func(int) (float64, error) {
	return func(n int) (float64, error) { time.Sleep(d); return 20 + float64(n%100)/100, nil }
}

type message struct {
	at      time.Duration // since the start
	records []wire.Record
}

// sample runs a sampler for d of fake time and returns what it published.
func sample(d time.Duration, configs ...Config) (got []message, s *Sampler) {
	start := time.Now()
	s = NewSampler(Options{
		Sensors: configs, Clock: NewClock(ClockOptions{}), Flags: wire.Simulated, Log: slog.New(slog.DiscardHandler),
		Publish: func(r []wire.Record, _ int64) {
			got = append(got, message{time.Since(start), append([]wire.Record(nil), r...)})
		},
	})
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	if err := s.Run(ctx); err != nil {
		panic(err)
	}
	return got, s
}

func bySensor(got []message, id uint16) (records []wire.Record) {
	for _, m := range got {
		for _, r := range m.records {
			if r.Sensor == id {
				records = append(records, r)
			}
		}
	}
	return records
}

// inOrder is what holds of every sensor's stream, whatever happened.
func inOrder(t *testing.T, records []wire.Record) {
	t.Helper()
	for i := 1; i < len(records); i++ {
		if a, b := records[i-1], records[i]; b.Seq <= a.Seq || b.UnixMilli <= a.UnixMilli {
			t.Errorf("record %d: seq %d at %d after seq %d at %d", i, b.Seq, b.UnixMilli, a.Seq, a.UnixMilli)
		}
	}
	for _, r := range records {
		if r.Fault != r.Reading.Fault() || (r.Fault == wire.Good) != (r.Values[0] == r.Values[0]) {
			t.Errorf("seq %d: fault %v, but its reading says %v", r.Seq, r.Fault, r.Reading.Fault())
		}
	}
}

func TestSixtySecondsWithoutDrift(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := &fake{sense: good(7 * time.Millisecond)}, &fake{sense: good(80 * time.Millisecond)}
		got, s := sample(60*time.Second+time.Millisecond, a.config(0, 100*time.Millisecond), b.config(1, 100*time.Millisecond))
		if len(got) != 600 {
			t.Fatalf("%d messages in 60 s, want 600", len(got))
		}
		for i, m := range got {
			if len(m.records) != 2 {
				t.Fatalf("message %d has %d records, want both sensors", i, len(m.records))
			}
			for _, r := range m.records {
				if want := got[0].records[0].UnixMilli + int64(i)*100; r.UnixMilli != want || r.Seq != uint32(i) {
					t.Fatalf("message %d: seq %d at %d, want %d at %d", i, r.Seq, r.UnixMilli, i, want)
				}
				if r.Flags != wire.Simulated || r.Fault != wire.Good || r.Values[1] != 50 {
					t.Fatalf("message %d: %+v", i, r)
				}
			}
		}
		if got[0].records[0].UnixMilli%100 != 0 {
			t.Errorf("ticks are not aligned to the wall clock: %d", got[0].records[0].UnixMilli)
		}
		if s.Missed() != 0 || s.Err(0) != nil {
			t.Errorf("missed %d, err %v", s.Missed(), s.Err(0))
		}
		if a.halted != 1 || b.halted != 1 {
			t.Errorf("halted %d and %d times, want once each", a.halted, b.halted)
		}
	})
}

// A tick's message leaves when it is complete, or after 90 ms without the
// straggler, which follows alone.
func TestMessagesOfATick(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fast, slow := &fake{sense: good(5 * time.Millisecond)}, &fake{sense: good(95 * time.Millisecond)}
		got, _ := sample(350*time.Millisecond, fast.config(0, 200*time.Millisecond), slow.config(1, 100*time.Millisecond))
		first := got[0].at
		for first >= 95*time.Millisecond { // relative to the first deadline, which depends on the wall clock
			first -= 5 * time.Millisecond
		}
		var shape []string
		for _, m := range got {
			s := fmt.Sprint(m.at % (100 * time.Millisecond))
			for _, r := range m.records {
				s += fmt.Sprintf(" %d#%d", r.Sensor, r.Seq)
			}
			shape = append(shape, s)
		}
		for _, m := range got {
			if len(m.records) == 1 && m.records[0].Sensor == 0 && m.at%(100*time.Millisecond) != 90*time.Millisecond {
				t.Errorf("the fast sensor's record left at %v, want 90 ms after its tick: %q", m.at, shape)
			}
			if m.records[0].Sensor == 1 && m.at%(100*time.Millisecond) != 95*time.Millisecond {
				t.Errorf("the straggler left at %v, want when it is in: %q", m.at, shape)
			}
		}
		inOrder(t, bySensor(got, 0))
		inOrder(t, bySensor(got, 1))
		if n := len(bySensor(got, 1)); n != 3 {
			t.Errorf("%d records of the slow sensor, want 3: %q", n, shape)
		}
	})
}

// A chip that does not return costs its own readings and nothing else.
func TestSlowChipHoldsUpNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fine := &fake{sense: good(time.Millisecond)}
		hangs := &fake{sense: func(n int) (float64, error) {
			if n == 3 {
				time.Sleep(950 * time.Millisecond)
			}
			return 20 + float64(n)/100, nil
		}}
		got, s := sample(3*time.Second+time.Millisecond, fine.config(0, 100*time.Millisecond), hangs.config(1, 100*time.Millisecond))
		if n := len(bySensor(got, 0)); n != 30 {
			t.Errorf("%d readings of the good sensor, want 30", n)
		}
		records := bySensor(got, 1)
		inOrder(t, records)
		timeouts := 0
		for i, r := range records {
			if r.Seq != uint32(i) {
				t.Fatalf("record %d has seq %d: a tick was left out", i, r.Seq)
			}
			if r.Fault == wire.Timeout {
				timeouts++
			}
		}
		// Ticks 3 to 12 find the chip busy; its answer to tick 3 comes too late to say anything.
		if len(records) != 30 || timeouts != 10 || records[3].Fault != wire.Timeout || records[13].Fault != wire.Good {
			t.Errorf("%d records, %d timeouts, want 30 and 10", len(records), timeouts)
		}
		if s.Missed() != 0 {
			t.Errorf("missed %d", s.Missed())
		}
		for _, r := range bySensor(got, 0) {
			if r.Fault != wire.Good {
				t.Errorf("good sensor: %+v", r)
			}
		}
	})
}

func TestLostAndBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start, f := time.Now(), &fake{}
		f.open = func() error {
			if at := time.Since(start); at > time.Second && at < 5*time.Second {
				return fmt.Errorf("fake 0x01 on bus 1: read: %w", wire.NoAck)
			}
			return nil
		}
		f.sense = func(n int) (float64, error) { return 20 + float64(n)/100, f.open() }
		got, _ := sample(12*time.Second, f.config(0, 100*time.Millisecond))
		records := bySensor(got, 0)
		inOrder(t, records)
		var shape []wire.Fault
		for i, r := range records {
			if r.Seq != uint32(i) {
				t.Fatalf("record %d has seq %d", i, r.Seq)
			}
			if n := len(shape); n == 0 || shape[n-1] != r.Fault {
				shape = append(shape, r.Fault)
			}
		}
		if want := "[good no_ack absent good]"; fmt.Sprint(shape) != want {
			t.Errorf("faults went %v, want %s", shape, want)
		}
		// 250 ms, 500 ms, 1 s, 2 s, 4 s after the failure: it is back by then.
		if f.opened < 4 || f.opened > 8 {
			t.Errorf("opened %d times in 4 s: the pause does not grow", f.opened)
		}
	})
}

func TestFaults(t *testing.T) {
	boom := func(n int) (float64, error) {
		if n == 2 {
			panic("boom")
		}
		return float64(n), nil
	}
	errAt2 := func(err error) func(int) (float64, error) {
		return func(n int) (float64, error) {
			if n == 2 {
				return 0, err
			}
			return float64(n), nil
		}
	}
	for _, tt := range []struct {
		name  string
		sense func(int) (float64, error)
		want  wire.Fault // of tick 2
		opens int
	}{
		{"checksum", errAt2(fmt.Errorf("crc: %w", wire.Checksum)), wire.Checksum, 1},
		{"unknown error", errAt2(errors.New("strange")), wire.Other, 1},
		{"driver panics", boom, wire.Other, 1},
		{"reset behind our back", errAt2(wire.WarmingUp), wire.WarmingUp, 2},
		{"too hot", func(n int) (float64, error) { return map[bool]float64{true: 126, false: 20}[n == 2], nil }, wire.Implausible, 1},
		{"too cold", func(n int) (float64, error) { return map[bool]float64{true: -41, false: 20}[n == 2], nil }, wire.Implausible, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := &fake{sense: tt.sense}
				got, _ := sample(time.Second, f.config(0, 100*time.Millisecond))
				for _, r := range bySensor(got, 0) {
					want := wire.Good
					if r.Seq == 2 {
						want = tt.want
					}
					if r.Fault != want {
						t.Errorf("seq %d: %v, want %v", r.Seq, r.Fault, want)
					}
				}
				if f.opened != tt.opens {
					t.Errorf("opened %d times, want %d", f.opened, tt.opens)
				}
			})
		})
	}
}

func TestStuck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{sense: func(n int) (float64, error) {
			if n > 20 && n < 60 {
				return 21.5, nil
			}
			return float64(n) / 100, nil
		}}
		cfg := f.config(0, 100*time.Millisecond)
		cfg.StuckAfter = time.Second
		got, _ := sample(30*time.Second, cfg)
		var first, last uint32
		for _, r := range bySensor(got, 0) {
			if r.Fault == wire.Stuck {
				if first == 0 {
					first = r.Seq
				}
				last = r.Seq
			}
		}
		if first != 31 { // the value of tick 21 is a second old at tick 31
			t.Errorf("stuck from tick %d on, want 31", first)
		}
		if records := bySensor(got, 0); last == 0 || records[len(records)-1].Fault != wire.Good {
			t.Errorf("a value that moves again is not good again: stuck until %d", last)
		}
	})
}

// A value that stands still by day and by outage is not stuck by the outage.
func TestOutageIsNotStuck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{sense: func(n int) (float64, error) {
			if n == 5 {
				time.Sleep(2 * time.Second)
				return 0, wire.Timeout
			}
			return 21.5, nil
		}}
		cfg := f.config(0, 100*time.Millisecond)
		cfg.StuckAfter = 2 * time.Second
		got, _ := sample(4*time.Second, cfg)
		for _, r := range bySensor(got, 0) {
			if r.Fault == wire.Stuck {
				t.Fatalf("seq %d is stuck, %v after the outage", r.Seq, time.Duration(r.Seq-25)*100*time.Millisecond)
			}
		}
	})
}

// The whole machine stands still: the ticks are missed, counted, their numbers
// skipped, and there is no burst afterwards.
func TestPauseOfTheMachine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{sense: good(time.Millisecond)}
		var got []wire.Record
		s := NewSampler(Options{
			Sensors: []Config{f.config(0, 100*time.Millisecond)}, Clock: NewClock(ClockOptions{}), Log: slog.New(slog.DiscardHandler),
			Publish: func(r []wire.Record, _ int64) {
				got = append(got, r...)
				if len(got) == 10 {
					time.Sleep(10 * time.Second) // the scheduler itself
				}
			},
		})
		ctx, cancel := context.WithTimeout(context.Background(), 12*time.Second)
		defer cancel()
		if err := s.Run(ctx); err != nil {
			t.Fatal(err)
		}
		inOrder(t, got)
		if jump := got[10].Seq - got[9].Seq; jump < 100 || int64(jump-1) != s.Missed() {
			t.Errorf("seq jumps by %d over a pause of 10 s, %d missed", jump, s.Missed())
		}
		if d := got[11].UnixMilli - got[10].UnixMilli; d < 50 {
			t.Errorf("a burst after the pause: %d ms between ticks", d)
		}
	})
}

// A quick sensor's later records never pass its earlier ones, which wait in a
// message for a slow sensor.
func TestQuickAndSlowStayInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		quick, slow := &fake{sense: good(time.Millisecond)}, &fake{sense: good(80 * time.Millisecond)}
		got, _ := sample(2*time.Second, quick.config(0, 20*time.Millisecond), slow.config(1, 100*time.Millisecond))
		inOrder(t, bySensor(got, 0))
		inOrder(t, bySensor(got, 1))
		if a, b := len(bySensor(got, 0)), len(bySensor(got, 1)); a < 99 || b < 19 {
			t.Errorf("%d and %d records in 2 s", a, b)
		}
	})
}

func TestFirstSeqAndIntervals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := &fake{sense: good(0)}, &fake{sense: good(0)}
		ca, cb := a.config(0, 100*time.Millisecond), b.config(1, 250*time.Millisecond)
		ca.FirstSeq, cb.FirstSeq = math.MaxUint32-2, 70
		got, _ := sample(10*time.Second, ca, cb)
		if n := len(bySensor(got, 0)); n < 99 || n > 100 {
			t.Errorf("%d records at 100 ms in 10 s", n)
		}
		records := bySensor(got, 1)
		if len(records) < 39 || len(records) > 40 || records[0].Seq != 70 {
			t.Errorf("%d records at 250 ms in 10 s, the first is %d", len(records), records[0].Seq)
		}
		shared := 0
		for _, m := range got {
			if len(m.records) == 2 {
				shared++
			}
		}
		if shared < 19 {
			t.Errorf("%d messages carry both sensors, want those of each 500 ms", shared)
		}
		if quick := bySensor(got, 0); quick[len(quick)-1].Seq != uint32(len(quick))-4 {
			t.Errorf("sequence numbers do not wrap: the last is %d", quick[len(quick)-1].Seq)
		}
	})
}

// A tick allocates nothing once the buffers have their size.
func TestTickAllocatesNothing(t *testing.T) {
	mallocs := func(d time.Duration) (n uint64) {
		synctest.Test(t, func(t *testing.T) {
			a, b := &fake{sense: good(7 * time.Millisecond)}, &fake{sense: good(80 * time.Millisecond)}
			s := NewSampler(Options{
				Sensors: []Config{a.config(0, 100*time.Millisecond), b.config(1, 100*time.Millisecond)},
				Clock:   NewClock(ClockOptions{}), Publish: func([]wire.Record, int64) {}, Log: slog.New(slog.DiscardHandler),
			})
			ctx, cancel := context.WithTimeout(context.Background(), d)
			defer cancel()
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			if err := s.Run(ctx); err != nil {
				t.Error(err)
			}
			runtime.ReadMemStats(&after)
			n = after.Mallocs - before.Mallocs
		})
		return n
	}
	mallocs(time.Second)
	short, long := mallocs(10*time.Second), mallocs(110*time.Second)
	if more := int64(long - short); more > 100 { // 1,000 ticks more
		t.Errorf("1,000 ticks allocate %d times", more)
	}
}

func TestHistogram(t *testing.T) {
	var h Histogram
	for _, d := range []time.Duration{0, 62500, 62501, time.Millisecond, time.Hour} {
		h.Observe(d)
	}
	got := map[time.Duration]int64{}
	var last time.Duration
	h.Each(func(bound time.Duration, n int64) {
		got[bound] = n
		if bound != 0 && bound <= last {
			t.Errorf("bound %v after %v", bound, last)
		}
		last = bound
	})
	if got[62500] != 2 || got[125000] != 1 || got[time.Millisecond] != 1 || got[0] != 1 {
		t.Errorf("counts %v", got)
	}
	if h.Sum() != time.Hour+time.Millisecond+125001 {
		t.Errorf("sum %v", h.Sum())
	}
}

// meter is a chip of one quantity.
type meter struct{ value func(n int) float32 }

func (m *meter) config(n *int) Config {
	return Config{Name: "air", Interval: 100 * time.Millisecond, StuckAfter: time.Second, Chip: Chip{
		Model: "meter", Measures: []Measurand{{wire.CO2, 400, 5000}},
		Open: func(i2c.Bus, uint16) (Sensor, error) {
			return senseFunc(func(values []float32) error {
				if len(values) != 1 {
					return fmt.Errorf("%d values", len(values))
				}
				values[0] = m.value(*n)
				*n++
				return nil
			}), nil
		},
	}}
}

type senseFunc func(values []float32) error

func (f senseFunc) Sense(values []float32) error { return f(values) }
func (senseFunc) Halt() error                    { return nil }
func (senseFunc) String() string                 { return "meter 0x01 on bus 1" }

// What a chip does not measure is said, and changes nothing in what is found out
// about the rest.
func TestOneQuantity(t *testing.T) {
	for _, tt := range []struct {
		name  string
		value func(n int) float32
		fault wire.Fault // of the last record
		err   string
	}{
		{"well", func(n int) float32 { return 600 + float32(n) }, wire.Good, ""},
		{"out of its range", func(int) float32 { return 399 }, wire.Implausible, "meter 0x01 on bus 1: 399 ppm is outside its range: implausible"},
		{"not a number", func(int) float32 { return float32(math.NaN()) }, wire.Implausible, "meter 0x01 on bus 1: NaN ppm is outside its range: implausible"},
		{"stuck", func(int) float32 { return 612 }, wire.Stuck, "meter 0x01 on bus 1: 612 ppm to the last bit for 1s: stuck"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := 0
				got, s := sample(2*time.Second+time.Millisecond, (&meter{tt.value}).config(&n))
				last := got[len(got)-1].records[0]
				if last.Fault != tt.fault || math.Float32bits(last.Values[1]) != math.Float32bits(tt.fault.NaN()) {
					t.Errorf("fault %v, values %x", last.Fault, last.Append(nil)[8:16])
				}
				if tt.fault == wire.Good && last.Values[0] < 600 {
					t.Errorf("measured %v", last.Values[0])
				}
				if err := s.Err(0); fmt.Sprint(err) != cmp.Or(tt.err, "<nil>") {
					t.Errorf("Err: %v, want %s", err, tt.err)
				}
			})
		})
	}
}

// A few failures in a row are no event, more are one, and so is their end.
func TestEventsOfASensor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{sense: func(n int) (float64, error) {
			switch {
			case n < 4, n >= 10 && n < 16:
				return 0, fmt.Errorf("sense: %w", wire.Checksum)
			}
			return 20 + float64(n)/100, nil
		}}
		start := time.Now()
		var got []string
		s := NewSampler(Options{
			Sensors: []Config{f.config(0, 100*time.Millisecond)}, Clock: NewClock(ClockOptions{}), Log: slog.New(slog.DiscardHandler),
			Publish: func(r []wire.Record, _ int64) {
				if f := r[0].Fault; f == wire.Good && r[0].Seq < 30 {
					got = append(got, fmt.Sprint(r[0].Seq))
				}
			},
			Event: func(e wire.Event) {
				got = append(got, fmt.Sprintf("%s %s %s %.1f", e.Kind, e.Sensor, e.Fault, e.TS-float64(start.UnixMilli())/1000))
			},
		})
		ctx, cancel := context.WithTimeout(context.Background(), 4*time.Second)
		defer cancel()
		if err := s.Run(ctx); err != nil {
			t.Fatal(err)
		}
		want := "[4 5 6 7 8 9 sensor_lost s0 checksum 1.5 "
		if text := fmt.Sprint(got); !strings.HasPrefix(text, want) || strings.Count(text, "sensor_") != 2 {
			t.Errorf("got %s, want %s…", text, want)
		}
		back := slices.IndexFunc(got, func(s string) bool { return strings.HasPrefix(s, wire.EventSensorBack+" s0  ") })
		if back < 0 || back+1 == len(got) {
			t.Errorf("it is back, and measures: %v", got)
		}
	})
}

// A slow sensor is read at once, and then at its deadlines.
func TestFirstTickOfASlowSensor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(5*time.Minute + 700*time.Millisecond) // after midnight
		start := time.Now()
		hourly, quick := &fake{sense: good(20 * time.Millisecond)}, &fake{sense: good(0)}
		hour := hourly.config(0, time.Hour)
		hour.FirstSeq = 7
		got, s := sample(2*time.Hour, hour, quick.config(1, SlowInterval))
		var at []string
		for _, r := range bySensor(got, 0) {
			at = append(at, fmt.Sprint(r.Seq, time.UnixMilli(r.UnixMilli).UTC().Format(" 15:04:05.000")))
		}
		if want := "[7 00:05:00.700 8 01:00:00.000 9 02:00:00.000]"; fmt.Sprint(at) != want {
			t.Errorf("read at %v, want %s", at, want)
		}
		if got[0].at != 20*time.Millisecond {
			t.Errorf("the first reading came after %v", got[0].at)
		}
		if first := time.UnixMilli(bySensor(got, 1)[0].UnixMilli); first.Sub(start) != 9300*time.Millisecond {
			t.Errorf("a quicker one was first read after %v", first.Sub(start))
		}
		if s.Missed() != 0 {
			t.Errorf("missed %d ticks", s.Missed())
		}
	})
	synctest.Test(t, func(t *testing.T) { // the deadline is nearer than a measurement may take
		time.Sleep(time.Hour - maxRead)
		hourly := &fake{sense: good(0)}
		if got, _ := sample(time.Minute, hourly.config(0, time.Hour)); len(got) != 1 || got[0].at != maxRead {
			t.Errorf("read %v", got)
		}
	})
}

// A sensor is lost after five ticks or 30 s, and after one tick if it is slower.
func TestWhenASensorIsLost(t *testing.T) {
	for interval, want := range map[time.Duration]time.Duration{
		100 * time.Millisecond: 400 * time.Millisecond,
		time.Second:            4 * time.Second,
		7 * time.Second:        28 * time.Second,
		10 * time.Second:       20 * time.Second,
		20 * time.Second:       20 * time.Second,
		30 * time.Second:       0,
		10 * time.Minute:       0,
		time.Hour:              0,
	} {
		synctest.Test(t, func(t *testing.T) {
			broken, fails := true, time.Time{}
			f := &fake{sense: func(n int) (float64, error) {
				if broken {
					if fails.IsZero() {
						fails = time.Now()
					}
					return 0, fmt.Errorf("sense: %w", wire.Checksum)
				}
				return 20 + float64(n)/100, nil
			}}
			var kinds []string
			ctx, cancel := context.WithTimeout(context.Background(), 10*interval)
			defer cancel()
			s := NewSampler(Options{
				Sensors: []Config{f.config(0, interval)}, Clock: NewClock(ClockOptions{}), Log: slog.New(slog.DiscardHandler),
				Publish: func([]wire.Record, int64) {},
				Event: func(e wire.Event) {
					kinds = append(kinds, e.Kind)
					if took := time.Since(fails); broken && took != want {
						t.Errorf("interval %v: lost after %v, want %v", interval, took, want)
					}
					broken = false
				},
			})
			if err := s.Run(ctx); err != nil {
				t.Fatal(err)
			}
			if want := []string{wire.EventSensorLost, wire.EventSensorBack}; !slices.Equal(kinds, want) {
				t.Errorf("interval %v: events %v, want %v", interval, kinds, want)
			}
		})
	}
}
