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
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func open(t *testing.T, dir string) *Store {
	t.Helper()
	return Open(dir, slog.New(slog.NewTextHandler(t.Output(), nil)))
}

// run opens a store and follows its file, in a bubble of fake time.
func run(t *testing.T, dir string, log *slog.Logger) (s *Store, hangup chan os.Signal) {
	s, hangup = Open(dir, log), make(chan os.Signal, 1)
	start(t, s, hangup)
	return s, hangup
}

// start runs a store until the test ends.
func start(t *testing.T, s *Store, hangup <-chan os.Signal) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx, hangup) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// lockedBuffer is what a store logs meanwhile.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func wait(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// ended returns why an entry is no longer valid, nil while it is.
func ended(e *Entry) error { return context.Cause(e.Valid) }

// TestFollows holds that a change by another process reaches the clients whose token it
// concerns within the time of one check, and no others.
func TestFollows(t *testing.T) {
	for name, change := range map[string]func(*File) error{
		"revoked": func(f *File) error { return f.Revoke("ayşe") },
		"rotated": func(f *File) error { _, err := f.Rotate("ayşe"); return err },
		"another role": func(f *File) error {
			f.Find("ayşe").Role = Viewer
			return nil
		},
		"another scope": func(f *File) error {
			f.Find("ayşe").Motors = []string{"fan"}
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				dir := t.TempDir()
				text := makeToken(t, dir, Token{Name: "ayşe", Role: Operator})
				var changes []string
				other := makeToken(t, dir, Token{Name: "mehmet", Role: Operator})
				s, _ := run(t, dir, slog.Default())
				a, err := s.Find(text, "")
				b, err2 := s.Find(other, "")
				if err != nil || err2 != nil || a.Name != "ayşe" || b.Name != "mehmet" {
					t.Fatal(a, b, err, err2)
				}
				cookie, who, err := s.LogIn(text, "192.0.2.7")
				if err != nil || who != "ayşe" {
					t.Fatal(who, err)
				}
				login, err := s.Find(cookie, "")
				if err != nil || login.Login == nil || login.Name != "ayşe" {
					t.Fatal(login, err)
				}
				wait(time.Minute)
				if ended(a) != nil || ended(b) != nil || ended(login) != nil {
					t.Fatal("ended without a change")
				}
				s.mu.Lock() // Run checks meanwhile
				s.Changed = func(c Change) { changes = append(changes, c.Token.Name+" "+c.What) }
				s.mu.Unlock()
				wait(checkEvery)
				if got := strings.Join(changes, ", "); got != "ayşe made, mehmet made" {
					t.Errorf("of those that are there it is notified of %q", got)
				}
				changes = nil
				edit(t, dir, change)
				makeToken(t, dir, Token{Name: "zeynep", Role: Viewer})
				wait(checkEvery)
				want := "ayşe changed, zeynep made"
				if name == "revoked" || name == "rotated" {
					want = "ayşe " + name + ", zeynep made"
				}
				if got := strings.Join(changes, ", "); got != want {
					t.Errorf("notified of %q, want %q", got, want)
				}
				if !errors.Is(ended(a), ErrRevoked) || !errors.Is(ended(login), ErrRevoked) {
					t.Errorf("the token: %v, its login: %v", ended(a), ended(login))
				}
				if ended(b) != nil {
					t.Errorf("another token: %v", ended(b))
				}
				again, err := s.Find(text, "")
				if strings.HasPrefix(name, "another") != (err == nil) {
					t.Errorf("%v, %v", again, err)
				}
				if _, err := s.Find(other, ""); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

func TestExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		text := makeToken(t, dir, Token{Name: "guest", Role: Viewer, Expires: time.Now().Add(time.Hour)})
		s, _ := run(t, dir, slog.Default())
		e, err := s.Find(text, "")
		if err != nil {
			t.Fatal(err)
		}
		wait(time.Hour - checkEvery)
		if ended(e) != nil {
			t.Fatal("it has expired early")
		}
		wait(2 * checkEvery)
		if !errors.Is(ended(e), ErrExpired) {
			t.Errorf("an hour later: %v", ended(e))
		}
		if e, err := s.Find(text, ""); !errors.Is(err, ErrExpired) || e == nil || e.Name != "guest" {
			t.Errorf("found: %v, %v", e, err)
		}
		if _, _, err := s.LogIn(text, ""); !errors.Is(err, ErrExpired) {
			t.Errorf("logged in: %v", err)
		}
	})
}

// TestLogins holds that a code is good once and for 15 minutes, that a login lasts
// as long as it is used, and that logging out ends it and nothing else.
func TestLogins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		text := makeToken(t, dir, Token{Name: "ayşe", Role: Operator})
		s := open(t, dir)
		wait := func(d time.Duration) { // without the ticks of Run: it is months
			time.Sleep(d)
			s.check(false)
		}
		code := func() (code string) {
			edit(t, dir, func(f *File) (err error) { code, err = f.AddCode("ayşe"); return err })
			wait(checkEvery)
			return code
		}
		first, late := code(), code()
		if s.CodeName(first) != "ayşe" || s.CodeName(text) != "" || s.CodeName("") != "" {
			t.Error("whose code it is")
		}
		cookie, _, err := s.LogIn(first, "192.0.2.7")
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := s.LogIn(first, ""); !errors.Is(err, ErrRevoked) {
			t.Errorf("a code is good twice: %v", err)
		}
		if _, err := s.Find(late, ""); err == nil {
			t.Error("a code is taken for a token")
		}
		wait(CodeTime)
		if _, _, err := s.LogIn(late, ""); !errors.Is(err, ErrRevoked) || s.CodeName(late) != "" {
			t.Errorf("a code is good for longer than 15 minutes: %v", err)
		}

		e, err := s.Find(cookie, "")
		if err != nil {
			t.Fatal(err)
		}
		for range 3 { // it slides
			wait(loginTime - time.Hour)
			if _, err := s.Find(cookie, ""); err != nil {
				t.Fatal(err)
			}
		}
		wait(loginTime + time.Hour)
		if _, err := s.Find(cookie, ""); !errors.Is(err, ErrExpired) || !errors.Is(ended(e), ErrExpired) {
			t.Errorf("a month without use: %v, %v", err, ended(e))
		}

		one, _, _ := s.LogIn(text, "")
		two, _, err := s.LogIn(text, "")
		if err != nil {
			t.Fatal(err)
		}
		e, _ = s.Find(one, "")
		if err := s.LogOut(e.Login); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Find(one, ""); err == nil || !errors.Is(ended(e), ErrRevoked) {
			t.Error("it is still logged in")
		}
		for _, secret := range []string{two, text} {
			if _, err := s.Find(secret, ""); err != nil {
				t.Error(err)
			}
		}
	})
}

// TestUsed holds that the last use is written hourly at most, outlives the process,
// and that writing it brings no revoked token back.
func TestUsed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		text := makeToken(t, dir, Token{Name: "ayşe", Role: Operator})
		gone := makeToken(t, dir, Token{Name: "mehmet", Role: Operator})
		s, _ := run(t, dir, slog.Default())
		e, _ := s.Find(text, "192.0.2.7")
		if _, err := s.Find(gone, ""); err != nil {
			t.Fatal(err)
		}
		edit(t, dir, func(f *File) error { return f.Revoke("mehmet") })
		wait(usedEvery - time.Second)
		if len(LastUsed(dir)) > 0 {
			t.Error("it is written within the hour")
		}
		wait(2 * time.Second)
		if at := LastUsed(dir); len(at) != 1 || at[e.ID].At.IsZero() || at[e.ID].From != "192.0.2.7" {
			t.Errorf("after an hour: %v", at)
		}
		if f, err := Read(dir); err != nil || f.Find("mehmet") != nil {
			t.Errorf("the revoked token is back: %v", err)
		}
		if last := open(t, dir).used.last(e.ID); last.At.IsZero() {
			t.Error("it is forgotten over a restart")
		}
	})
}

// TestDamaged holds that what cannot be read opens nothing and takes no right away,
// and that this is logged once.
func TestDamaged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		file := filepath.Join(dir, fileName)
		text := makeToken(t, dir, Token{Name: "ayşe", Role: Operator})
		var log lockedBuffer
		s, hangup := run(t, dir, slog.New(slog.NewTextHandler(&log, nil)))
		e, err := s.Find(text, "")
		if err != nil {
			t.Fatal(err)
		}
		good, _ := os.ReadFile(file)
		if err := os.WriteFile(file, good[:100], 0o600); err != nil {
			t.Fatal(err)
		}
		wait(time.Second)
		hangup <- nil
		wait(time.Minute)
		if _, err := s.Find(text, ""); err != nil || ended(e) != nil || !s.Made() {
			t.Errorf("a damaged file: %v, %v", err, ended(e))
		}
		if n := strings.Count(log.String(), "cannot be read"); n != 1 {
			t.Errorf("%d log lines: %s", n, log.String())
		}
		if err := Edit(dir, func(*File) error { return nil }); err == nil || !strings.Contains(err.Error(), "fix: ") {
			t.Errorf("it is changed: %v", err)
		}
		if begun := open(t, dir); !begun.Made() {
			t.Error("a gateway that starts with a damaged file is open")
		} else if _, err := begun.Find(text, ""); err == nil {
			t.Error("a token out of a damaged file")
		}
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
		wait(checkEvery)
		if _, err := s.Find(text, ""); err == nil || ended(e) == nil || !s.Made() {
			t.Errorf("a file that was removed: %v, %v, made %t", err, ended(e), s.Made())
		}
	})
}

// TestNothingStored holds that a gateway without a state directory has no tokens.
func TestNothingStored(t *testing.T) {
	s := open(t, "")
	if _, err := s.Find(newText(), ""); err == nil || s.Made() || s.Gateway() != "" {
		t.Error("there is something")
	}
	if _, _, err := s.LogIn(newText(), ""); err == nil {
		t.Error("logged in")
	}
	if s := open(t, t.TempDir()); s.Made() {
		t.Error("a token was made")
	}
}

// BenchmarkFind shows that the time which a wrong token takes does not depend on how
// much of it is right: the hash is looked up, not the text.
func BenchmarkFind(b *testing.B) {
	dir := b.TempDir()
	var text string
	if err := Edit(dir, func(f *File) (err error) { text, err = f.Add(Token{Name: "ayşe", Role: Viewer}); return err }); err != nil {
		b.Fatal(err)
	}
	s := Open(dir, slog.Default())
	random := newText()
	for _, right := range []int{0, 16, 32, 46} {
		body := text[:right] + random[right:textLen-sumLen]
		wrong := body + checksum(body)
		b.Run(fmt.Sprint(right, " characters right"), func(b *testing.B) {
			for b.Loop() {
				if CheckText(wrong) != nil {
					b.Fatal("it has a typo")
				}
				if e, _ := s.Find(wrong, ""); e != nil {
					b.Fatal("it is found")
				}
			}
		})
	}
}
