package pins

import (
	"errors"
	"math"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"periph.io/x/conn/v3/gpio"
)

// softly runs f with PWM of 100 Hz on GPIO18, under a fake clock. A goroutine
// that does not end fails the test.
func softly(t *testing.T, f func(sim *Sim, p *SoftPWM)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		sim := NewSim(nil)
		l, err := sim.Line("GPIO18", false)
		if err != nil {
			t.Fatal(err)
		}
		f(sim, NewSoftPWM(l, 100))
	})
}

func set(t *testing.T, p PWM, duty float64) {
	t.Helper()
	if err := p.Set(duty); err != nil {
		t.Fatalf("set %v: %v", duty, err)
	}
	if got, err := p.Get(); got != duty || err != nil {
		t.Fatalf("reads %v, %v; set to %v", got, err, duty)
	}
}

// since returns the times of edges from start on.
func since(start time.Time, edges []Edge) (at []time.Duration) {
	for _, e := range edges {
		at = append(at, e.Time.Sub(start))
	}
	return at
}

func TestSoftPWMEdges(t *testing.T) {
	for _, duty := range []float64{0.25, 0.5, 0.9, 0.001} {
		softly(t, func(sim *Sim, p *SoftPWM) {
			start := time.Now()
			set(t, p, duty)
			time.Sleep(10*time.Second - time.Nanosecond) // 1000 cycles: the last one drifts by nothing
			edges := sim.Edges()
			if len(edges) != 2000 {
				t.Fatalf("%d edges, want 2000", len(edges))
			}
			on := time.Duration(duty * float64(10*time.Millisecond))
			for i, at := range since(start, edges) {
				want := time.Duration(i/2) * 10 * time.Millisecond
				if i%2 == 1 {
					want += on
				}
				if at != want || edges[i].Value != float64(1-i%2) {
					t.Fatalf("edge %d: %v at %v, want it at %v", i, edges[i].Value, at, want)
				}
			}
			set(t, p, 0)
		})
	}
}

func TestSoftPWMOffAtOnce(t *testing.T) {
	softly(t, func(sim *Sim, p *SoftPWM) {
		set(t, p, 0.9)
		time.Sleep(52 * time.Millisecond)
		if sim.Value("GPIO18") != 1 {
			t.Fatal("not within a pulse")
		}
		now := time.Now()
		set(t, p, 0)
		if sim.Value("GPIO18") != 0 || time.Now() != now {
			t.Errorf("carries %v, %v later", sim.Value("GPIO18"), time.Since(now))
		}
		n := len(sim.Edges())
		time.Sleep(time.Second)
		if len(sim.Edges()) != n {
			t.Error("pulses go on")
		}
		set(t, p, 0) // again
	})
}

func TestSoftPWMExtremesHaveNoPulses(t *testing.T) {
	softly(t, func(sim *Sim, p *SoftPWM) {
		set(t, p, 1)
		time.Sleep(time.Second)
		if n := len(sim.Edges()); n != 1 || p.done != nil {
			t.Errorf("%d edges at full speed, goroutine %v", n, p.done != nil)
		}
		set(t, p, 0.5)
		set(t, p, 1) // from pulses
		n := len(sim.Edges())
		time.Sleep(time.Second)
		if sim.Value("GPIO18") != 1 || len(sim.Edges()) != n || p.done != nil {
			t.Errorf("carries %v after %d edges more", sim.Value("GPIO18"), len(sim.Edges())-n)
		}
		set(t, p, 0)
	})
}

// A change while pulses are made takes effect within the cycle, and shifts none.
func TestSoftPWMChange(t *testing.T) {
	ms := func(f float64) time.Duration { return time.Duration(f * float64(time.Millisecond)) }
	softly(t, func(sim *Sim, p *SoftPWM) {
		start := time.Now()
		set(t, p, 0.5)
		time.Sleep(ms(12)) // in the second pulse, 2 ms old
		set(t, p, 0.3)     // ends it at 13
		time.Sleep(ms(10)) // at 22, in the third pulse
		set(t, p, 0.1)     // over already: ends it now
		time.Sleep(ms(6))  // at 28, between pulses
		set(t, p, 0.8)     // no second pulse in that cycle
		time.Sleep(ms(11)) // at 39
		set(t, p, 0)
		want := []float64{0, 5, 10, 13, 20, 22, 30, 38}
		got := since(start, sim.Edges())
		for i := range max(len(got), len(want)) {
			if i >= len(got) || i >= len(want) || got[i] != ms(want[i]) {
				t.Fatalf("edges at %v, want ms %v", got, want)
			}
		}
	})
}

// slowLine delays one write, as a busy machine does.
type slowLine struct {
	Line
	stall map[int]time.Duration // by number of the write
	n     int
}

func (l *slowLine) Out(level gpio.Level) error {
	time.Sleep(l.stall[l.n])
	l.n++
	return l.Line.Out(level)
}

func TestSoftPWMLate(t *testing.T) {
	softly(t, func(sim *Sim, p *SoftPWM) {
		// The first falling edge comes 43 ms late, at 48: within the pulseless
		// half of the fifth cycle. The next pulse is at 50, in phase.
		p.line = &slowLine{Line: p.line, stall: map[int]time.Duration{1: 43 * time.Millisecond}}
		start := time.Now()
		set(t, p, 0.5)
		time.Sleep(57 * time.Millisecond)
		set(t, p, 0)
		got := since(start, sim.Edges())
		if len(got) != 4 || got[1] != 48*time.Millisecond || got[2] != 50*time.Millisecond || got[3] != 55*time.Millisecond {
			t.Errorf("edges at %v", got)
		}
	})
	softly(t, func(sim *Sim, p *SoftPWM) {
		// It comes at 42, where a pulse would be: that one is shorter, not shifted.
		p.line = &slowLine{Line: p.line, stall: map[int]time.Duration{1: 37 * time.Millisecond}}
		start := time.Now()
		set(t, p, 0.5)
		time.Sleep(47 * time.Millisecond)
		set(t, p, 0)
		got := since(start, sim.Edges())
		if len(got) != 4 || got[2] != 42*time.Millisecond || got[3] != 45*time.Millisecond {
			t.Errorf("edges at %v", got)
		}
	})
}

func TestSoftPWMFaults(t *testing.T) {
	for what, breaks := range map[string]func(*Sim){
		"write": func(s *Sim) { s.Break("GPIO18", syscall.EIO) },
		"stuck": func(s *Sim) { s.Stick("GPIO18", 0) },
	} {
		t.Run(what, func(t *testing.T) {
			softly(t, func(sim *Sim, p *SoftPWM) {
				set(t, p, 0.5)
				time.Sleep(20 * time.Millisecond)
				breaks(sim)
				time.Sleep(20 * time.Millisecond)
				if _, err := p.Get(); err == nil || !strings.Contains(err.Error(), "GPIO18") {
					t.Fatalf("no error of the fault: %v", err)
				}
				if what == "stuck" {
					if sim.Repair("GPIO18"); sim.Value("GPIO18") != 0 {
						t.Error("the pulses ended with the line active")
					}
				}
				if err := p.Set(0.6); err == nil {
					t.Error("goes on as if nothing had happened")
				}
				sim.Repair("GPIO18")
				set(t, p, 0)
				set(t, p, 0.4)
				time.Sleep(time.Second)
				set(t, p, 0.4)
				set(t, p, 0)
			})
		})
	}
	softly(t, func(sim *Sim, p *SoftPWM) {
		sim.Break("GPIO18", syscall.EIO)
		for _, duty := range []float64{0, 0.5, 1} {
			if err := p.Set(duty); !errors.Is(err, syscall.EIO) {
				t.Errorf("set %v: %v", duty, err)
			}
		}
		if _, err := p.Get(); !errors.Is(err, syscall.EIO) {
			t.Errorf("get: %v", err)
		}
		sim.Repair("GPIO18")
		for _, duty := range []float64{-0.1, 1.1, math.NaN(), math.Inf(1)} {
			if err := p.Set(duty); err == nil {
				t.Errorf("duty %v was taken", duty)
			}
		}
	})
}

// stillLine allocates nothing, so all allocations are the PWM's.
type stillLine struct{ level gpio.Level }

func (*stillLine) String() string               { return "still" }
func (l *stillLine) Out(level gpio.Level) error { l.level = level; return nil }
func (l *stillLine) Level() (gpio.Level, error) { return l.level, nil }
func (*stillLine) Close() error                 { return nil }

func TestSoftPWMAllocatesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := NewSoftPWM(&stillLine{}, 200)
		set(t, p, 0.5)
		if n := testing.AllocsPerRun(10, func() { time.Sleep(time.Second) }); n > 20 { // 200 cycles
			t.Errorf("%v allocations in 200 cycles", n)
		}
		set(t, p, 0)
	})
}
