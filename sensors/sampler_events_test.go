package sensors

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"periph.io/x/conn/v3/i2c"

	"sensorgateway/wire"
)

// meter is a chip of one quantity.
type meter struct{ value func(n int) float32 }

func (m *meter) config(n *int) Config {
	return Config{Name: "air", Interval: 100 * time.Millisecond, StuckAfter: time.Second, Chip: Chip{
		Model: "meter", Measures: []Measurand{{Quantity: wire.CO2, Min: 400, Max: 5000}},
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

// Values that a chip does not measure are marked, and do not change which failures are found
// in the others.
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
		{"stuck", func(int) float32 { return 612 }, wire.Stuck, "meter 0x01 on bus 1: 612 ppm unchanged to the last bit for 1s: stuck"},
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
					if interval >= slowTick { // a slow sensor tries again within the last of them
						want += maxRepeats * repeatPause
					}
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
