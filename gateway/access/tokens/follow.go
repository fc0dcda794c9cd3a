package tokens

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"time"
)

const (
	// checkEvery is how often a [Store] checks its file and the expiry of its entries: a
	// revocation takes effect everywhere within a second.
	checkEvery = 250 * time.Millisecond
	// watchedEvery is how often it checks at least while the system reports changes of the
	// file and the next expiry is far: the system's clock may be set.
	watchedEvery = 10 * time.Second
)

// Run follows the file until ctx ends, reads it again at each hangup, and writes
// when each entry was last used.
func (s *Store) Run(ctx context.Context, hangup <-chan os.Signal) error {
	if s.dir == "" { // there is nothing to follow
		<-ctx.Done()
		return nil
	}
	written, stop := context.WithCancel(context.WithoutCancel(ctx)) // after the last check
	var writer sync.WaitGroup
	writer.Go(func() { s.write(written) })
	defer writer.Wait()
	defer stop()
	var changed <-chan struct{} // nil: they are not reported
	if s.Watch != nil {
		c, stop := s.Watch(s.dir)
		defer stop()
		changed = c
	}
	timer := time.NewTimer(0) // what has changed since a gateway ran here
	defer timer.Stop()
	for {
		anyway := false
		select {
		case <-timer.C:
		case _, watched := <-changed:
			if !watched {
				changed = nil
			}
		case <-hangup:
			anyway = true
		case <-ctx.Done():
			return nil
		}
		s.check(anyway)
		next := checkEvery
		if changed != nil {
			next = s.untilCheck()
		}
		timer.Reset(next)
	}
}

// untilCheck returns how long it is to the next check while the file is watched: to the
// next expiry, from checkEvery to watchedEvery. A read that has failed is repeated soon,
// since nothing may say when it would succeed.
func (s *Store) untilCheck() time.Duration {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.failed {
		return checkEvery
	}
	next, now := watchedEvery, time.Now()
	for _, e := range s.entries {
		if ends := s.ends(e); ends.After(now) {
			next = min(next, ends.Sub(now))
		}
	}
	return max(next, checkEvery)
}

// write writes what is known of the tokens until ctx ends. A disk that hangs delays no
// check.
func (s *Store) write(ctx context.Context) {
	tick := time.NewTicker(usedEvery)
	defer tick.Stop()
	for {
		select {
		case <-s.unknown:
			s.writeKnown()
		case <-tick.C:
			s.used.write(s.dir, s.log)
		case <-ctx.Done():
			select {
			case <-s.unknown:
				s.writeKnown()
			default:
			}
			s.used.write(s.dir, s.log)
			return
		}
	}
}

// check reads the file if it has changed or could not be read, or anyway, notes the use of
// what has clients, and ends what has expired. What has expired by a clock that was ahead,
// and is right now, begins anew.
func (s *Store) check(anyway bool) {
	if s.dir == "" {
		return
	}
	s.checks.Lock()
	defer s.checks.Unlock()
	info, err := os.Stat(filepath.Join(s.dir, fileName))
	var file *File
	again := anyway || s.failed || !sameFile(info, s.seen)
	if again { // before s.mu is held, for which all clients would wait
		file, err = s.read(err)
	}
	s.mu.Lock()
	defer func() {
		var changes []Change
		if s.Changed != nil && !s.failed && s.known != s.file {
			changes = s.known.compare(s.file)
			s.attribute(changes)
			s.known = s.file
		}
		s.mu.Unlock()
		for _, c := range changes {
			s.Changed(c)
		}
		if len(changes) > 0 { // after the calls: a change may be reported twice, but is never lost
			select {
			case s.unknown <- struct{}{}:
			default: // it will be written as it is then
			}
		}
	}()
	if again {
		s.take(file, info, err)
	}
	now := time.Now()
	for h, e := range s.entries {
		switch {
		case s.expired(e, now):
			e.end(ErrExpired)
		case e.Valid.Err() != nil: // not by a change: then it is an entry no longer
			s.entries[h] = newEntry(e.Token, e.Login, e.id)
		}
	}
}

// expired returns whether an entry has expired. First it notes the use of one that has
// clients: so a jump of the clock ends no login that is in use, whoever looks at it first.
func (s *Store) expired(e *Entry, now time.Time) bool {
	if e.connected.Load() > 0 {
		s.used.keep(e.id)
	}
	ends := s.ends(e)
	return !ends.IsZero() && !now.Before(ends)
}

// ends returns when an entry expires, zero for never. A login expires with its token, or
// when it was not used for loginTime.
func (s *Store) ends(e *Entry) (at time.Time) {
	if e.Login == nil {
		return e.Expires
	}
	last := s.used.last(e.id).At
	if last.Before(e.Login.Created) {
		last = e.Login.Created
	}
	if at = last.Add(loginTime); !e.Expires.IsZero() && e.Expires.Before(at) {
		at = e.Expires
	}
	return at
}
