package main

import (
	"errors"
	"time"

	"sensorgateway/gateway/motor"
)

// claimTime is how long a command waits for pins that do not exist yet.
const claimTime = 20 * time.Millisecond

// lateOutput is an output whose pins may not exist yet: each attempt to drive it
// is an attempt to claim them. That can take a second, for which the other motors
// must not wait, so a goroutine does it. The controller makes one call at a time.
type lateOutput struct {
	open    func() (motor.Output, error)
	out     motor.Output
	err     error         // why there is no output
	claims  chan struct{} // closed when the attempt that runs has ended; nil if none runs
	next    motor.Output  // its result
	nextErr error
}

func (l *lateOutput) claim() {
	if l.claims == nil {
		done := make(chan struct{})
		l.claims = done
		go func() { defer close(done); l.next, l.nextErr = l.open() }()
	}
}

// claimed waits for the attempt that runs, d at most.
func (l *lateOutput) claimed(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-l.claims:
		l.out, l.err, l.claims = l.next, l.nextErr, nil
	case <-timer.C:
	}
}

func (l *lateOutput) Drive(speed float64) error {
	if l.out == nil {
		l.claim()
		l.claimed(claimTime)
	}
	switch {
	case l.out != nil:
		return l.out.Drive(speed)
	case l.err != nil:
		return l.err
	}
	return errors.New("its pins are being claimed")
}

func (l *lateOutput) State() (float64, error) {
	if l.out == nil {
		return 0, nil // nobody drives it, and Drive has returned why
	}
	return l.out.State()
}

func (l *lateOutput) Close() error {
	if l.claims != nil {
		l.claimed(2 * time.Second)
	}
	if l.out == nil {
		return nil
	}
	return l.out.Close()
}
