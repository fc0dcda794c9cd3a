package sensors

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"periph.io/x/conn/v3/i2c"

	"sensorgateway/wire"
)

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
		// It takes no time to find out that nobody answers, so each tick does that, and the
		// first tick that can be good is good.
		for _, r := range records {
			if at := time.UnixMilli(r.UnixMilli).Sub(start); r.Fault != wire.Good && at >= 5*time.Second {
				t.Errorf("%v at %v", r.Fault, at)
			}
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

// The time of an outage does not count for a value that is the same before and after it: it is not stuck.
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

// The whole machine is paused: the ticks are missed, counted, their numbers
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

// A chip whose failures hold the bus of others is tried less and less often.
func TestCostlyFailureIsTriedSeldom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{}
		f.open = func() error { time.Sleep(50 * time.Millisecond); return wire.Timeout }
		sample(60*time.Second, f.config(0, 100*time.Millisecond))
		if f.opened < 60*1000/(17*50)-1 || f.opened > 60*1000/(17*50)+8 { // a 17th of the time
			t.Errorf("opened %d times in a minute", f.opened)
		}
	})
}

// A slow sensor measures again within its tick: one disturbance costs it nothing,
// three cost it the tick.
func TestSlowSensorMeasuresAgain(t *testing.T) {
	for _, tt := range []struct {
		name     string
		interval time.Duration
		failures int // of tick 2's measurements
		fault    error
		want     wire.Fault // of tick 2
		measured int        // in it
	}{
		{"not acknowledged once", time.Minute, 1, wire.NoAck, wire.Good, 2},
		{"not acknowledged twice", time.Minute, 2, wire.NoAck, wire.Good, 3},
		{"not acknowledged three times", time.Minute, 3, wire.NoAck, wire.Absent, 3},
		{"a checksum", 5 * time.Second, 1, wire.Checksum, wire.Good, 2},
		{"a reset", time.Minute, 1, wire.WarmingUp, wire.Good, 2},
		{"a second", time.Second, 2, wire.Checksum, wire.Good, 3},
		{"its value is out of range", time.Minute, 1, wire.Implausible, wire.Implausible, 1},
		{"a fast one", 900 * time.Millisecond, 1, wire.NoAck, wire.NoAck, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f, measured, tick := &fake{}, 0, -1
				f.sense = func(n int) (float64, error) {
					if tick == 2 {
						if measured++; measured <= tt.failures {
							return 0, tt.fault
						}
					}
					return float64(n), nil
				}
				s := NewSampler(Options{
					Sensors: []Config{f.config(0, tt.interval)}, Clock: NewClock(ClockOptions{}), Log: slog.New(slog.DiscardHandler),
					Publish: func(r []wire.Record, _ int64) {
						tick = int(r[0].Seq) + 1
						if r[0].Seq == 2 && r[0].Fault != tt.want {
							t.Errorf("tick 2 is %v, want %v", r[0].Fault, tt.want)
						}
						if r[0].Seq != 2 && r[0].Fault != wire.Good {
							t.Errorf("tick %d is %v", r[0].Seq, r[0].Fault)
						}
					},
				})
				ctx, cancel := context.WithTimeout(context.Background(), 5*tt.interval)
				defer cancel()
				if err := s.Run(ctx); err != nil {
					t.Fatal(err)
				}
				if measured != tt.measured {
					t.Errorf("measured %d times in tick 2, want %d", measured, tt.measured)
				}
			})
		})
	}
}

// In fog a chip gives the same number, 100 %, for hours, and also the same temperature, if
// its steps are wide. That is not stuck.
func TestSaturatedIsNotStuck(t *testing.T) {
	for humidity, want := range map[float32]wire.Fault{100: wire.Good, 0: wire.Good, 99.9: wire.Stuck} {
		synctest.Test(t, func(t *testing.T) {
			f := &fake{}
			cfg := f.config(0, 100*time.Millisecond)
			cfg.StuckAfter = 2 * time.Second
			cfg.Chip.Open = func(i2c.Bus, uint16) (Sensor, error) {
				return senseFunc(func(values []float32) error { values[0], values[1] = 5.5, humidity; return nil }), nil
			}
			got, _ := sample(time.Minute, cfg)
			records := bySensor(got, 0)
			if last := records[len(records)-1]; last.Fault != want {
				t.Errorf("%v %%: %v, want %v", humidity, last.Fault, want)
			}
		})
	}
}
