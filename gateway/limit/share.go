package limit

import (
	"context"
	"time"
)

const (
	// sliceTime is how long work in the background goes on before it pauses. It is
	// less than a tick may be late.
	sliceTime = 2 * time.Millisecond
	// After each slice is a pause of half its length: live readings and commands
	// find the processor free, and on a machine with one core have a third of it.
	// longestPause bounds it, for a slice may have waited for a disk.
	longestPause = 5 * time.Millisecond
	// shareTime is how long work waits for the others' slices. A disk that hangs during
	// one of them must not stop work that needs no disk.
	shareTime = 250 * time.Millisecond
)

// A Share is the part of one core that work in the background may take in all,
// whoever does it: one slice at a time, with pauses.
type Share struct {
	token  chan struct{}
	worked time.Duration // since the last pause; of whoever has the token
}

// NewShare returns one that nobody uses.
func NewShare() *Share { return &Share{token: make(chan struct{}, 1)} }

// A Slice is one goroutine's use of a share. Its zero value has none: then nothing
// waits.
type Slice struct {
	Share *Share
	held  bool
	began time.Time
}

// Begin waits until it is this goroutine's time to work, or ctx has ended.
func (s *Slice) Begin(ctx context.Context) {
	if s.Share == nil {
		return
	}
	select {
	case s.Share.token <- struct{}{}:
		s.held, s.began = true, time.Now()
		return
	default:
	}
	late := time.NewTimer(shareTime)
	defer late.Stop()
	select {
	case s.Share.token <- struct{}{}:
		s.held, s.began = true, time.Now()
	case <-late.C:
	case <-ctx.Done():
	}
}

// End lets others work, after a pause if one is due.
func (s *Slice) End() {
	if !s.held {
		return
	}
	s.held = false
	share := s.Share
	if share.worked += time.Since(s.began); share.worked >= sliceTime {
		time.Sleep(min(share.worked/2, longestPause)) // nobody works meanwhile
		share.worked = 0
	}
	<-share.token
}

// Yield lets others work if this goroutine has done so for long enough.
func (s *Slice) Yield(ctx context.Context) {
	if s.held && s.Share.worked+time.Since(s.began) < sliceTime {
		return
	}
	s.End()
	s.Begin(ctx)
}
