package tokens

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// notified collects what a store says of changes.
type notified struct {
	mu   sync.Mutex
	list []string
}

func (n *notified) add(c Change) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.list = append(n.list, strings.TrimSpace(c.Token.Name+" "+c.What+" "+c.By.Name))
}

func (n *notified) take() (list []string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	list, n.list = n.list, nil
	return list
}

// TestAuthors holds that a change is attributed to the client that made it through the
// store, and that no other change is, also when both come at once.
func TestAuthors(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	var n notified
	s.Changed = n.add
	boss := Author{ID: "aaaaaaaaaaaa", Name: "boss", How: "bearer"}
	want := func(list ...string) {
		t.Helper()
		if got := n.take(); !slices.Equal(got, list) {
			t.Errorf("notified of %q, want %q", got, list)
		}
	}
	add := func(name string) func(*File) error {
		return func(f *File) error {
			_, err := f.Add(Token{Name: name, Role: Viewer, Sensors: []string{}, Expires: time.Now().Add(time.Hour).UTC().Truncate(time.Second)})
			return err
		}
	}
	if err := s.Edit(boss, add("ayşe")); err != nil {
		t.Fatal(err)
	}
	want("ayşe made boss")
	edit(t, dir, add("mehmet"))
	if err := s.Edit(boss, func(f *File) error { _, err := f.Rotate("ayşe"); return err }); err != nil {
		t.Fatal(err)
	}
	want("ayşe rotated boss", "mehmet made")
	if err := s.Edit(boss, func(f *File) error { return f.Revoke("nobody") }); err == nil {
		t.Error("nobody is revoked")
	}
	wrong := errors.New("wrong")
	if err := s.Edit(boss, func(f *File) error { _ = f.Revoke("ayşe"); return wrong }); !errors.Is(err, wrong) {
		t.Error(err)
	}
	want()
	edit(t, dir, func(f *File) error { return f.Revoke("ayşe") })
	s.check(true)
	want("ayşe revoked")
	if err := s.Edit(boss, func(f *File) error { f.Find("mehmet").Role = Operator; return nil }); err != nil {
		t.Fatal(err)
	}
	want("mehmet changed boss")

	var all sync.WaitGroup
	for i := range 10 {
		all.Go(func() {
			if err := s.Edit(boss, add(fmt.Sprint("by boss ", i))); err != nil {
				t.Error(err)
			}
		})
		all.Go(func() {
			if err := Edit(dir, add(fmt.Sprint("by root ", i))); err != nil {
				t.Error(err)
			}
		})
		all.Go(func() { s.check(false) })
	}
	all.Wait()
	s.check(true)
	got := n.take()
	if len(got) != 20 {
		t.Errorf("notified of %d changes: %q", len(got), got)
	}
	for _, text := range got {
		if strings.HasPrefix(text, "by boss") != strings.HasSuffix(text, "made boss") {
			t.Error(text)
		}
	}
	if err := open(t, "").Edit(boss, add("x")); err == nil {
		t.Error("a token is made without a directory")
	}
}

func mustRead(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// follow runs a store for a second.
func follow(t *testing.T, s *Store) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx, nil) }()
	wait(time.Second)
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// TestChangedWhileNobodyRan holds that what changed between two runs is noticed at the
// next start, once, and that a damaged file is no change.
func TestChangedWhileNobodyRan(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		quiet := slog.New(slog.NewTextHandler(t.Output(), nil))
		runOnce := func(want ...string) {
			t.Helper()
			var n notified
			s := Open(dir, quiet)
			s.Changed = n.add
			follow(t, s)
			if got := n.take(); !slices.Equal(got, want) {
				t.Errorf("notified of %q, want %q", got, want)
			}
		}
		runOnce()
		makeToken(t, dir, Token{Name: "ayşe", Role: Operator})
		makeToken(t, dir, Token{Name: "mehmet", Role: Viewer})
		runOnce("ayşe made", "mehmet made")
		runOnce()
		edit(t, dir, func(f *File) error {
			_, err := f.Rotate("mehmet")
			return errors.Join(err, f.Revoke("ayşe"))
		})
		makeToken(t, dir, Token{Name: "zeynep", Role: Viewer})
		runOnce("ayşe revoked", "mehmet rotated", "zeynep made")
		runOnce()

		file := filepath.Join(dir, fileName)
		good, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte("{"), 0o600); err != nil {
			t.Fatal(err)
		}
		runOnce()
		if err := os.WriteFile(file, good, 0o600); err != nil {
			t.Fatal(err)
		}
		runOnce()
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
		runOnce("mehmet revoked", "zeynep revoked")
		runOnce()
		if _, err := parse([]byte(mustRead(t, filepath.Join(dir, knownName)))); err != nil {
			t.Error(err)
		}
		if err := os.WriteFile(filepath.Join(dir, knownName), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, good, 0o600); err != nil {
			t.Fatal(err)
		}
		runOnce("mehmet made", "zeynep made") // rather twice than never
	})
}
