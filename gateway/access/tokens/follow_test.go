package tokens

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// While the system reports changes of the file, it is checked only after a change or an
// expiry; once the system can no longer report them, the file is polled.
func TestWatched(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		revoked := makeToken(t, dir, Token{Name: "ayşe", Role: Operator})
		expires := makeToken(t, dir, Token{Name: "guest", Role: Viewer, Expires: time.Now().Add(time.Hour)})
		later := makeToken(t, dir, Token{Name: "mehmet", Role: Viewer})
		changed, stopped := make(chan struct{}, 1), false
		s := Open(dir, slog.Default())
		s.Watch = func(of string) (<-chan struct{}, func()) {
			if of != dir {
				t.Errorf("%s is watched", of)
			}
			return changed, func() { stopped = true }
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- s.Run(ctx, nil) }()
		entry := func(secret string) *Entry {
			t.Helper()
			e, err := s.Find(secret, "")
			if err != nil {
				t.Fatal(err)
			}
			return e
		}
		a, b, c := entry(revoked), entry(expires), entry(later)
		synctest.Wait()
		revoke := func(name string) { edit(t, dir, func(f *File) error { return f.Revoke(name) }) }

		revoke("ayşe")
		wait(watchedEvery / 2)
		if ended(a) != nil {
			t.Error("the file is checked although nobody says that it changed")
		}
		changed <- struct{}{}
		synctest.Wait()
		if !errors.Is(ended(a), ErrRevoked) {
			t.Errorf("it changed, and %v", ended(a))
		}
		wait(time.Until(b.Expires) - time.Nanosecond)
		if ended(b) != nil {
			t.Error("it has expired early")
		}
		wait(checkEvery)
		if !errors.Is(ended(b), ErrExpired) {
			t.Errorf("after its expiry: %v", ended(b))
		}
		close(changed)
		synctest.Wait()
		revoke("mehmet")
		wait(checkEvery)
		if !errors.Is(ended(c), ErrRevoked) {
			t.Errorf("without a watch: %v", ended(c))
		}
		cancel()
		if err := <-done; err != nil || !stopped {
			t.Error(err, stopped)
		}
	})
}

// A token is accepted from the moment in which it was made, even before the change of the
// file is reported.
func TestMadeAMomentAgo(t *testing.T) {
	dir := t.TempDir()
	s := Open(dir, slog.Default()) // nothing follows the file
	secret := makeToken(t, dir, Token{Name: "ayşe", Role: Operator})
	if e, err := s.Find(secret, ""); err != nil || e.Name != "ayşe" {
		t.Errorf("%+v, %v", e, err)
	}
	makeToken(t, dir, Token{Name: "mehmet", Role: Viewer})
	if e, err := s.Named("mehmet", ""); err != nil || e.Name != "mehmet" {
		t.Errorf("%+v, %v", e, err)
	}
}

// A clock that was ahead locks nobody out once it is set back: neither the holder of a
// token that seemed to have expired, nor a browser that seemed unused for a month.
func TestClockSetBack(t *testing.T) {
	dir := t.TempDir()
	var expires, cookie string
	synctest.Test(t, func(t *testing.T) { // in 2000
		expires = makeToken(t, dir, Token{Name: "guest", Role: Viewer, Expires: time.Now().Add(time.Hour)})
		var err error
		if cookie, _, err = open(t, dir).LogIn(makeToken(t, dir, Token{Name: "ayşe", Role: Operator}), ""); err != nil {
			t.Fatal(err)
		}
	})
	s := open(t, dir) // years later
	for _, secret := range []string{expires, cookie} {
		if e, err := s.Find(secret, ""); !errors.Is(err, ErrExpired) || !errors.Is(ended(e), ErrExpired) {
			t.Errorf("years later: %v", err)
		}
	}
	synctest.Test(t, func(t *testing.T) { // in 2000 again
		for _, secret := range []string{expires, cookie} {
			if e, err := s.Find(secret, ""); err != nil || ended(e) != nil {
				t.Errorf("the clock is right again: %v, %v", err, ended(e))
			}
		}
	})
}

// A read of the file that has failed is repeated until it succeeds, although nothing says
// that the file has changed, and it is logged once.
func TestReadAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir, changed := t.TempDir(), make(chan struct{}, 1)
		text := makeToken(t, dir, Token{Name: "ayşe", Role: Operator})
		var log lockedBuffer
		s := Open(dir, slog.New(slog.NewTextHandler(&log, nil)))
		s.Watch = func(string) (<-chan struct{}, func()) { return changed, func() {} }
		start(t, s, nil)
		e, err := s.Find(text, "")
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()

		edit(t, dir, func(f *File) error { return f.Revoke("ayşe") })
		file := filepath.Join(dir, fileName)
		good, err := os.ReadFile(file)
		info, err2 := os.Stat(file)
		if err != nil || err2 != nil {
			t.Fatal(err, err2)
		}
		// What it has while its time and its size stay is what a read returns.
		reads := func(data []byte) {
			t.Helper()
			if err := errors.Join(os.WriteFile(file, data, 0o600), os.Chtimes(file, time.Time{}, info.ModTime())); err != nil {
				t.Fatal(err)
			}
		}
		reads(bytes.Repeat([]byte(" "), len(good)))
		changed <- struct{}{}
		wait(watchedEvery)
		if ended(e) != nil {
			t.Errorf("a read has failed: %v", ended(e))
		}
		reads(good)
		wait(checkEvery)
		if !errors.Is(ended(e), ErrRevoked) {
			t.Errorf("it can be read again: %v", ended(e))
		}
		wait(watchedEvery)
		for _, line := range []string{"cannot be read", "are read again"} {
			if n := strings.Count(log.String(), line); n != 1 {
				t.Errorf("%q is logged %d times: %s", line, n, log.String())
			}
		}
	})
}

// Nobody waits for a disk that takes its time to say that it cannot be read. While the
// last read has failed, an unknown secret causes none.
func TestReadTakesTime(t *testing.T) {
	dir := t.TempDir()
	text := makeToken(t, dir, Token{Name: "ayşe", Role: Operator})
	s := open(t, dir)
	var reads atomic.Int32
	s.load = func(string) (*File, error) {
		failed := errors.New("input/output error")
		n := reads.Add(1)
		if n > 2 {
			return nil, failed
		}
		found := make(chan error, 1)
		go func() {
			_, err := s.Find(text, "")
			if n == 2 { // the first has failed
				if _, unknown := s.Find(newText(), ""); !errors.Is(unknown, ErrRevoked) {
					err = errors.Join(err, fmt.Errorf("an unknown secret: %w", unknown))
				}
			}
			found <- err
		}()
		select {
		case err := <-found:
			if err != nil {
				t.Errorf("read %d: %v", n, err)
			}
		case <-time.After(10 * time.Second):
			t.Errorf("read %d: a client waits for it", n)
		}
		return nil, failed
	}
	s.check(true)
	s.check(true)
	if _, err := s.Find(newText(), ""); !errors.Is(err, ErrRevoked) || reads.Load() != 2 {
		t.Errorf("%v, after %d reads", err, reads.Load())
	}
}

// A jump of the clock does not log out a browser that is connected, also if it sends a
// request before the next check.
func TestClockSetAhead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		s := open(t, dir) // nothing checks it
		cookie, _, err := s.LogIn(makeToken(t, dir, Token{Name: "ayşe", Role: Operator}), "")
		if err != nil {
			t.Fatal(err)
		}
		e, err := s.Find(cookie, "")
		if err != nil {
			t.Fatal(err)
		}
		e.Connect()
		time.Sleep(loginTime + time.Hour)
		if _, err := s.Find(cookie, ""); err != nil {
			t.Errorf("it is connected: %v", err)
		}
		e.Disconnect()
		time.Sleep(loginTime + time.Hour)
		if _, err := s.Find(cookie, ""); !errors.Is(err, ErrExpired) {
			t.Errorf("a month after it has left: %v", err)
		}
	})
}
