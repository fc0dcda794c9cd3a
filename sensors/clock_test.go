package sensors

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"sensorgateway/wire"
)

// aMachine has a system clock that is set, and sleeps.
type aMachine struct {
	mu     sync.Mutex
	start  time.Time
	asleep time.Duration // so far
	begin  time.Time     // what the system clock said at the start
	skew   time.Duration // what was added to it since
	slew   float64       // how much it gains in a second
	synced bool
	steps  []Step
	stop   time.Duration // for how long the process stops, once, between the next two readings of clocks
	woken  time.Time     // when the process could run again after it could not
}

func newMachine(begin time.Time) *aMachine {
	return &aMachine{start: time.Now(), begin: begin, synced: true}
}

func (m *aMachine) boot() time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.boots()
}

func (m *aMachine) boots() time.Duration { return time.Since(m.start) + m.asleep }

func (m *aMachine) wall() time.Time {
	m.mu.Lock()
	stop := m.stop
	m.stop = 0
	m.mu.Unlock()
	if stop > 0 { // a timer that is over at once sometimes crashes the runtime of -race (Go 1.26.8)
		<-time.After(stop)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if stop > 0 {
		m.woken = time.Now()
	}
	return m.begin.Add(m.boots() + m.skew + time.Duration(m.slew*float64(m.boots())))
}

// sleep puts it to sleep. The lock is held.
func (m *aMachine) sleep(d time.Duration) {
	m.asleep += d
	m.woken = time.Now()
}

func (m *aMachine) justWoke() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return time.Since(m.woken) < tenth
}

// at changes the machine at a time since its start.
func (m *aMachine) at(d time.Duration, change func()) {
	time.AfterFunc(d, func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		change()
	})
}

func (m *aMachine) clock() *Clock {
	return NewClock(ClockOptions{
		Boot: m.boot, Wall: m.wall,
		Synced:  func() bool { m.mu.Lock(); defer m.mu.Unlock(); return m.synced },
		Stepped: func(s Step) { m.steps = append(m.steps, s) },
	})
}

// stamped is a record, and what the clocks said when it was published.
type stamped struct {
	wire.Record
	offset int64 // with which it was published
	boot   time.Duration
	wall   time.Time
	steps  int  // that had been told
	woken  bool // the process had been stopped since its deadline
}

// off is how wrong the record's time is.
func (s stamped) off() time.Duration { return time.UnixMilli(s.UnixMilli).Sub(s.wall).Abs() }

// sample runs a sampler of chips that take no time, so that a record is
// published at its deadline.
func (m *aMachine) sample(t *testing.T, d time.Duration, intervals ...time.Duration) (got []stamped, s *Sampler) {
	t.Helper()
	var configs []Config
	for i, interval := range intervals {
		configs = append(configs, (&fake{sense: good(0)}).config(uint16(i), interval))
	}
	return m.run(t, d, configs...)
}

func (m *aMachine) run(t *testing.T, d time.Duration, configs ...Config) (got []stamped, s *Sampler) {
	t.Helper()
	s = NewSampler(Options{
		Sensors: configs, Clock: m.clock(), Log: slog.New(slog.DiscardHandler),
		Publish: func(records []wire.Record, offset int64) {
			for _, r := range records {
				got = append(got, stamped{r, offset, m.boot(), m.wall(), len(m.steps), m.justWoke()})
			}
		},
	})
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	if err := s.Run(ctx); err != nil {
		t.Fatal(err)
	}
	return got, s
}

const (
	tenth    = 100 * time.Millisecond
	accuracy = 5 * time.Millisecond
)

var summer = time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)

// checkStamps checks what is true for any stream: a time without the flag is right, and none
// runs backwards, except where a step says so.
func checkStamps(t *testing.T, m *aMachine, got []stamped) {
	t.Helper()
	last := map[uint16]stamped{}
	for _, r := range got {
		if r.Flags&wire.ClockUnsynced == 0 && !r.woken && r.off() > accuracy {
			t.Errorf("seq %d of %d: %v off, and says nothing of it", r.Seq, r.Sensor, r.off())
		}
		before, ok := last[r.Sensor]
		back := false
		for _, s := range m.steps[before.steps:r.steps] {
			back = back || s.Back
		}
		if ok && !back && r.UnixMilli <= before.UnixMilli {
			t.Errorf("seq %d of %d: %d ms after the one before", r.Seq, r.Sensor, r.UnixMilli-before.UnixMilli)
		}
		last[r.Sensor] = r
	}
}

// later checks that the times of records are right when they are moved to another offset. History
// does that with records from before a step.
func later(t *testing.T, m *aMachine, got []stamped, from time.Duration) {
	t.Helper()
	offset := got[len(got)-1].offset
	begin := got[len(got)-1].wall.Add(-got[len(got)-1].boot)
	for _, r := range got {
		if off := time.UnixMilli(r.UnixMilli - r.offset + offset).Sub(begin.Add(r.boot)).Abs(); r.boot >= from && off > accuracy {
			t.Errorf("seq %d of %d, corrected by the offset: %v off", r.Seq, r.Sensor, off)
		}
	}
}

func TestBootIn1970(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine(time.Unix(30, 0))
		m.synced = false
		by := summer.Sub(time.Unix(40, 0))
		m.at(10*time.Second+50*time.Millisecond, func() { m.skew, m.synced = by, true })
		got, _ := m.sample(t, 20*time.Second, tenth)
		checkStamps(t, m, got)
		later(t, m, got, 0)
		if len(m.steps) != 1 || (m.steps[0].By-by).Abs() > time.Millisecond || m.steps[0].Back || m.steps[0].At.Sub(got[100].wall).Abs() > accuracy {
			t.Fatalf("steps %+v, want one of %v", m.steps, by)
		}
		for i, r := range got {
			if unsynced := r.Flags&wire.ClockUnsynced != 0; r.Seq != uint32(i) || unsynced != (i < 100) || r.off() > accuracy {
				t.Errorf("record %d: seq %d, flags %d, %v off", i, r.Seq, r.Flags, r.off())
			}
		}
	})
}

// A machine that is too busy to read its clocks when they are set does not take
// the old time for the right one.
func TestBusyWhenSet(t *testing.T) {
	boot, each, skew, synced := time.Minute, time.Duration(0), time.Duration(0), false
	steps := 0
	c := NewClock(ClockOptions{
		Boot:    func() time.Duration { boot += each; return boot },
		Wall:    func() time.Time { return time.Unix(0, 0).Add(boot + skew) },
		Synced:  func() bool { return synced },
		Stepped: func(Step) { steps++ },
	})
	by := time.Duration(summer.UnixNano())
	for i, tt := range []struct {
		busy, set bool
		offset    time.Duration
		right     bool
	}{{false, false, 0, false}, {true, true, 0, false}, {true, true, 0, false}, {false, true, by, true}, {true, true, by, true}} {
		boot, each = boot+tenth, 0
		if tt.busy {
			each = 2 * maxBetween
		}
		if tt.set {
			skew, synced = by, true
		}
		if offset, right := c.update(boot); offset != tt.offset || right != tt.right {
			t.Errorf("look %d: offset %v, right: %v; want %v, %v", i, offset, right, tt.offset, tt.right)
		}
	}
	if steps != 1 {
		t.Errorf("%d steps", steps)
	}
}

func TestClockSteps(t *testing.T) {
	for _, tt := range []struct {
		name  string
		steps []time.Duration // one a tick from 5 s on
		back  bool            // the last
		wrong int             // records whose time is held
	}{
		{"an hour back", []time.Duration{-time.Hour}, true, 0},
		{"half a second back", []time.Duration{-500 * time.Millisecond}, false, 5},
		{"a leap second", []time.Duration{-time.Second}, false, 10},
		{"a little back", []time.Duration{-50 * time.Millisecond}, false, 0},
		{"back, and back again", []time.Duration{-1500 * time.Millisecond, -1500 * time.Millisecond}, true, 1},
		{"back and forth", []time.Duration{-1500 * time.Millisecond, 1500 * time.Millisecond}, false, 1},
		{"forward", []time.Duration{time.Hour}, false, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newMachine(summer)
				for i, by := range tt.steps {
					m.at(5*time.Second+50*time.Millisecond+time.Duration(i)*tenth, func() { m.skew += by })
				}
				got, s := m.sample(t, 10*time.Second+time.Millisecond, tenth, 250*time.Millisecond, 3*time.Second)
				checkStamps(t, m, got)
				later(t, m, got, 6*time.Second)
				if len(m.steps) != len(tt.steps) {
					t.Fatalf("%d steps were told: %+v", len(m.steps), m.steps)
				}
				for i, s := range m.steps {
					if last := i == len(m.steps)-1; (s.By-tt.steps[i]).Abs() > time.Millisecond || s.Back != (last && tt.back) {
						t.Errorf("step %d is %+v, want %v", i, s, tt.steps[i])
					}
				}
				wrong := 0
				for _, r := range got {
					if r.Sensor == 0 && r.Flags&wire.ClockUnsynced != 0 {
						wrong++
					}
				}
				if wrong != tt.wrong || s.Missed() != 0 || s.clock.Steps() != int64(len(tt.steps)) {
					t.Errorf("%d times were held, want %d; %d ticks missed", wrong, tt.wrong, s.Missed())
				}
			})
		})
	}
}

// A record that is not published yet when the clock steps far back gets the new time:
// it is published with those after the step, and before them.
func TestStragglerAcrossAStep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine(summer)
		m.at(5050*time.Millisecond, func() { m.skew = -time.Hour })
		quick, slow := &fake{sense: good(0)}, &fake{sense: good(150 * time.Millisecond)}
		all, _ := m.run(t, 7*time.Second, quick.config(0, tenth), slow.config(1, 200*time.Millisecond))
		var got []stamped
		for _, r := range all {
			if r.Sensor == 1 {
				r.wall = r.wall.Add(-150 * time.Millisecond) // at its tick
				got = append(got, r)
			}
		}
		checkStamps(t, m, got)
		if len(m.steps) != 1 || len(got) < 30 {
			t.Errorf("%d records of the slow chip, steps %+v", len(got), m.steps)
		}
	})
}

// What is no step of the system clock.
func TestNoSteps(t *testing.T) {
	for _, tt := range []struct {
		name   string
		happen func(*aMachine)
		missed int64
	}{
		{"slewed ahead", func(m *aMachine) { m.slew = 500e-6 }, 0},
		{"slewed back", func(m *aMachine) { m.slew = -500e-6 }, 0},
		{"slewed while stopped", func(m *aMachine) {
			m.slew = 500e-6
			m.at(5050*time.Millisecond, func() { m.stop = 20 * time.Second })
		}, 199},
		{"asleep", func(m *aMachine) { m.at(5050*time.Millisecond, func() { m.sleep(time.Hour) }) }, 35999},
		{"stopped while it looks", func(m *aMachine) { m.at(5050*time.Millisecond, func() { m.stop = 10 * time.Second }) }, 99},
		{"stopped, and set by a little while it looks", func(m *aMachine) {
			m.at(5050*time.Millisecond, func() { m.stop = 10 * time.Second })
			m.at(6*time.Second, func() { m.skew = 2 * time.Millisecond })
		}, 99},
		{"synchronised in time", func(m *aMachine) { m.synced = false; m.at(5*time.Second, func() { m.synced = true }) }, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newMachine(summer)
				tt.happen(m)
				got, s := m.sample(t, time.Minute, tenth, 20*time.Millisecond)
				checkStamps(t, m, got)
				if len(m.steps) != 0 {
					t.Errorf("steps %+v", m.steps)
				}
				missed, next := int64(0), uint32(0)
				for _, r := range got {
					if r.Sensor == 0 {
						missed += int64(r.Seq - next)
						next = r.Seq + 1
					}
				}
				if missed != tt.missed || s.Missed() < missed {
					t.Errorf("%d ticks missed of %d, want %d", missed, s.Missed(), tt.missed)
				}
			})
		})
	}
}

// A step is noticed soon, also when the next tick of the only sensor is far away.
func TestStepBetweenTicks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine(summer)
		m.at(5*time.Second, func() { m.skew = time.Hour })
		m.sample(t, 7*time.Second, time.Minute)
		if len(m.steps) != 1 {
			t.Errorf("steps %+v", m.steps)
		}
	})
}

// 32-bit seconds end on 19 January 2038.
func TestBeyond2038(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		end := time.Unix(1<<31, 0)
		m := newMachine(end.Add(-5 * time.Second))
		m.at(10050*time.Millisecond, func() { m.skew = 20 * 365 * 24 * time.Hour })
		got, _ := m.sample(t, 20*time.Second, tenth)
		checkStamps(t, m, got)
		if last := got[len(got)-1]; last.UnixMilli < end.UnixMilli() || len(m.steps) != 1 || last.Flags != 0 {
			t.Errorf("the last is %+v after %+v", last, m.steps)
		}
	})
}

// Whatever is done to the clocks, each time that is wrong has the flag.
func TestRandomClocks(t *testing.T) {
	for seed := range uint64(25) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m, random := newMachine(summer), rand.New(rand.NewPCG(seed, 1))
				for at := time.Duration(0); at < time.Minute; at += time.Duration(random.Int64N(int64(4 * time.Second))) {
					most := []time.Duration{10 * time.Millisecond, 3 * time.Second, time.Hour}[random.IntN(3)]
					size := time.Duration(random.Int64N(int64(most)))
					m.at(at, []func(){
						func() { m.skew += size }, func() { m.skew -= size },
						func() { m.sleep(size) }, func() { m.synced = !m.synced },
						func() { m.stop = size % (10 * time.Second) },
					}[random.IntN(5)])
				}
				got, _ := m.sample(t, time.Minute, tenth, 30*time.Millisecond, time.Second)
				checkStamps(t, m, got)
			})
		})
	}
}
