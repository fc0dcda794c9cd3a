package motor

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// present is an output that is there.
type present struct{ speed float64 }

func (s *present) Drive(speed float64) error { s.speed = speed; return nil }
func (s *present) State() (float64, error)   { return s.speed, nil }
func (s *present) Close() error              { s.speed = 0; return nil }

// A motor whose pins take their time holds up nobody, and is there when they are.
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
