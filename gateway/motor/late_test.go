package motor

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"sensorgateway/wire"
)

// present is an output whose pins exist.
type present struct {
	mu     sync.Mutex
	speed  float64
	broken error
	closed bool
}

func (s *present) Drive(speed float64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.broken == nil {
		s.speed = speed
	}
	return s.broken
}

func (s *present) State() (float64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.speed, s.broken
}

func (s *present) Close() error {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	return s.Drive(0)
}

func (s *present) now() float64 { speed, _ := s.State(); return speed }

func (s *present) breaks(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.broken = err
}

// A motor whose pins appear late delays no other, and works as soon as they exist.
func TestLateOutput(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tries := 0
		out := &present{}
		l := &LateOutput{open: func() (Output, error) {
			time.Sleep(time.Second) // as long as udev has for a PWM chip
			if tries++; tries < 3 {
				return nil, errors.New("permission denied")
			}
			return out, nil
		}}
		begin := time.Now()
		for l.Drive(0) != nil {
			if s, err := l.State(); s != 0 || err != nil {
				t.Errorf("state %v %v", s, err)
			}
			before := time.Now()
			if err := l.Drive(0.5); err != nil && time.Since(before) > claimTime {
				t.Errorf("a command waited %v", time.Since(before))
			}
			time.Sleep(100 * time.Millisecond)
		}
		if d := time.Since(begin); d < 3*time.Second || d > 4*time.Second || tries != 3 {
			t.Errorf("there after %v and %d tries", d, tries)
		}
		if err := l.Drive(1); err != nil || out.speed != 1 {
			t.Errorf("driven with %v: %v", out.speed, err)
		}
		if err := l.Close(); err != nil || out.speed != 0 {
			t.Errorf("closed at %v: %v", out.speed, err)
		}
		gone := &LateOutput{open: func() (Output, error) { return nil, errors.New("no such line") }}
		if err := gone.Drive(0); err == nil || err.Error() != "no such line" {
			t.Errorf("a line that is not there: %v", err)
		}
		if err := gone.Close(); err != nil {
			t.Error(err)
		}
	})
}

// A motor whose pins appear after the start has a fault until then, and is as after
// a start from then on: nothing that was driven has failed. A pin that fails later
// latches it.
func TestFaultOfPinsThatAppearEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out, there := &present{}, atomic.Bool{}
		late := NewLateOutput(func() (Output, error) {
			if !there.Load() {
				return nil, errors.New("no such chip")
			}
			return out, nil
		})
		c := New([]Config{{Name: "m1", Output: late}}, func(wire.MotorState) {}, slog.New(slog.DiscardHandler))
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- c.Run(ctx) }()
		time.Sleep(time.Minute)
		if s := c.States()[0]; s.Fault != "m1: drive with speed 0: no such chip; it cannot be driven off" || !s.Latched {
			t.Errorf("without pins: %+v", s)
		}
		there.Store(true)
		time.Sleep(time.Second)
		if s := c.States()[0]; s.Fault != "" || s.Latched || s.Running || s.Reason != wire.ReasonBoot {
			t.Errorf("with pins: %+v", s)
		}
		if _, err := c.Command(Client{ID: "1", Name: "anna"}, wire.Command{Action: wire.Start, Target: "m1"}); err != nil || out.now() != 1 {
			t.Errorf("start: %v, speed %v", err, out.now())
		}
		out.breaks(errors.New("input/output error"))
		time.Sleep(time.Second)
		out.breaks(nil)
		time.Sleep(time.Second)
		if s := c.States()[0]; s.Fault == "" || !s.Latched || out.now() != 0 {
			t.Errorf("a pin that failed: %+v", s)
		}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// A motor whose chip goes away while it runs, and returns, is off as soon as the chip is back: its pins are
// claimed again, because nothing of the old claim works any more. The fault stays until a reset.
func TestPinsThatGoAwayAreClaimedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first, second := &present{}, &present{}
		var chip atomic.Pointer[present] // nil: it is away
		chip.Store(first)
		late := NewLateOutput(func() (Output, error) {
			if out := chip.Load(); out != nil {
				return out, nil
			}
			return nil, errors.New("no such chip")
		})
		c := New([]Config{{Name: "m1", Output: late}}, func(wire.MotorState) {}, slog.New(slog.DiscardHandler))
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- c.Run(ctx) }()
		<-c.Ready()
		anna := Client{ID: "1", Name: "anna"}
		command := func(action string) error {
			_, err := c.Command(anna, wire.Command{Action: action, Target: "m1"})
			return err
		}
		if err := command(wire.Start); err != nil || first.now() != 1 {
			t.Fatalf("start: %v, speed %v", err, first.now())
		}
		fault := "m1: read back: " + syscall.ENODEV.Error()
		is := func(when string, speed float64, fault string) {
			t.Helper()
			if s := c.States()[0]; s.Running || s.Speed != speed || !s.Latched || s.Fault != fault || s.Reason != wire.ReasonFault {
				t.Errorf("%s: %+v, want speed %v, fault %s", when, s, speed, fault)
			}
		}
		chip.Store(nil)
		first.breaks(syscall.ENODEV)
		time.Sleep(time.Minute)
		is("away", 1, fault+"; it cannot be driven off")
		if err := command(wire.Stop); err == nil || !first.closed {
			t.Errorf("a stop without its chip: %v; what was claimed is closed: %v", err, first.closed)
		}
		if err := second.Drive(1); err != nil { // as it was left
			t.Fatal(err)
		}
		chip.Store(second)
		time.Sleep(time.Second)
		is("back", 0, fault)
		if second.now() != 0 {
			t.Errorf("driven with %v", second.now())
		}
		for _, action := range []string{wire.Reset, wire.Start} {
			if err := command(action); err != nil {
				t.Errorf("%s: %v", action, err)
			}
		}
		if second.now() != 1 {
			t.Errorf("started again, it is driven with %v", second.now())
		}
		cancel()
		if err := <-ended; err != nil || second.now() != 0 {
			t.Errorf("%v, driven with %v at the end", err, second.now())
		}
	})
}
