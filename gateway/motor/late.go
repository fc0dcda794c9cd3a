package motor

import (
	"errors"
	"syscall"
	"time"
)

// claimTime is how long a command waits for pins that do not exist yet.
const claimTime = 20 * time.Millisecond

// firstClaim is how long a new output waits for its pins: at the start no command
// waits for it.
const firstClaim = 2 * time.Second

// errClaiming is why an output cannot be driven while its pins are being claimed.
var errClaiming = errors.New("its pins are being claimed")

// unclaimed is the error of an output that has no pins. It is not the failure of a
// pin: none was driven. Of pins that have gone away, the failure was returned before.
type unclaimed struct{ error }

func (u unclaimed) Unwrap() error { return u.error }

// LateOutput is an output whose pins may not exist yet, or not any more: each attempt
// to drive it is then an attempt to claim them. That can take a second, for which the
// other motors must not wait, so a goroutine does it. The controller makes one call at
// a time.
type LateOutput struct {
	open    func() (Output, error)
	out     Output
	err     error         // why there is no output
	gone    error         // the failure with which its pins went away; nil: none was open
	claims  chan struct{} // closed when the present attempt has ended; nil if there is none
	next    Output        // its result
	nextErr error
}

// NewLateOutput returns the output that open returns, now or later.
func NewLateOutput(open func() (Output, error)) *LateOutput {
	l := &LateOutput{open: open}
	l.claim()
	l.claimed(firstClaim)
	return l
}

func (l *LateOutput) claim() {
	if l.claims == nil {
		done := make(chan struct{})
		l.claims = done
		go func() { defer close(done); l.next, l.nextErr = l.open() }()
	}
}

// claimed waits for the present attempt, d at most.
func (l *LateOutput) claimed(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-l.claims:
		l.out, l.err, l.claims = l.next, l.nextErr, nil
	case <-timer.C:
	}
}

// Drive drives the output, if it can be opened.
func (l *LateOutput) Drive(speed float64) error {
	if l.out == nil {
		l.claim()
		l.claimed(claimTime)
	}
	switch {
	case l.out != nil:
		return l.keep(l.out.Drive(speed))
	case l.err != nil:
		return unclaimed{l.err}
	}
	return unclaimed{errClaiming}
}

// State returns what the output is driven with.
func (l *LateOutput) State() (float64, error) {
	if l.out == nil {
		return 0, l.gone // of pins that never were: nobody drives them, and Drive has returned why
	}
	speed, err := l.out.State()
	return speed, l.keep(err)
}

// keep returns a failure of the output. If the chip of a pin has gone away, it closes the
// output, whose other pins are off then: what was claimed of a chip stays without it
// when the chip returns, so only pins that are claimed again can be driven.
func (l *LateOutput) keep(err error) error {
	if errors.Is(err, syscall.ENODEV) {
		gone := l.out
		l.out, l.err, l.gone = nil, nil, err
		_ = gone.Close() // it fails as before
	}
	return err
}

// Close closes the output, if it is open.
func (l *LateOutput) Close() error {
	if l.claims != nil {
		l.claimed(firstClaim)
	}
	if l.out == nil {
		return nil
	}
	return l.out.Close()
}
