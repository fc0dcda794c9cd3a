package sensors

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"runtime"
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

// good measures another value each time, after d.
func good(d time.Duration) func(int) (float64, error) {
	return func(n int) (float64, error) { time.Sleep(d); return 20 + float64(n%100)/100, nil }
}

type message struct {
	at      time.Duration // since the start
	records []wire.Record
}

// sample runs a sampler for d of fake time and returns what it published.
func sample(d time.Duration, configs ...Config) (got []message, s *Sampler) {
	return samplerOf(&s, d, configs...)
}

// samplerOf is sample for tests that need the sampler while it runs.
func samplerOf(known **Sampler, d time.Duration, configs ...Config) (got []message, s *Sampler) {
	start := time.Now()
	s = NewSampler(Options{
		Sensors: configs, Clock: NewClock(ClockOptions{}), Flags: wire.Simulated, Log: slog.New(slog.DiscardHandler),
		Publish: func(r []wire.Record, _ int64) {
			got = append(got, message{time.Since(start), append([]wire.Record(nil), r...)})
		},
	})
	*known = s
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

// inOrder checks what is true for every sensor's stream, whatever happened.
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
		// Ticks 3 to 12 find the chip busy; its answer to tick 3 comes too late to count.
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

// A quick sensor's later records never come before its earlier ones, which wait in a
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

// A panic of a listener ends in the guard, whichever goroutine it occurs on.
func TestGuard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var caught []any
		calls := 0
		s := NewSampler(Options{
			Sensors: []Config{(&fake{sense: good(time.Millisecond)}).config(0, 100*time.Millisecond)}, Clock: NewClock(ClockOptions{}), Log: slog.New(slog.DiscardHandler),
			Publish: func([]wire.Record, int64) {
				if calls++; calls == 3 {
					panic("a bug")
				}
			},
			Guard: func(run func(context.Context) error) func(context.Context) error {
				return func(ctx context.Context) error {
					defer func() {
						if r := recover(); r != nil {
							caught = append(caught, r)
						}
					}()
					return run(ctx)
				}
			},
		})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := s.Run(ctx); err != nil {
			t.Error(err)
		}
		if len(caught) != 1 || caught[0] != "a bug" {
			t.Errorf("the guard has caught %v, want the bug of a listener", caught)
		}
		if calls < 8 { // without the goroutine that is gone the ticks begin late, but they do
			t.Errorf("%d ticks in a second", calls)
		}
	})
}
