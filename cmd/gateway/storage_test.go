package main

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sensorgateway/cmd/gateway/internal/state"
	"sensorgateway/gateway/history"
	"sensorgateway/gateway/history/disk"
	"sensorgateway/wire"
)

// hangingDisk is a directory whose files cannot be synced until it goes on.
type hangingDisk struct {
	*disk.Memory
	on chan struct{}
}

func (d hangingDisk) Create(name string) (disk.File, error) {
	f, err := d.Memory.Create(name)
	return hangingFile{f, d.on}, err
}

type hangingFile struct {
	disk.File
	on chan struct{}
}

func (f hangingFile) Sync() error {
	<-f.on
	return f.File.Sync()
}

// storageIn returns a storage with two sensors, whose log is in fs.
func storageIn(t *testing.T, fs history.FS, log *slog.Logger) *storage {
	t.Helper()
	written, err := history.New(history.Options{FS: fs, Sensors: []string{"a", "b"}, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	latch := state.NewLatch("", func(error) {}, log)
	s := &storage{history: &storedReadings{Log: written, latch: latch}, latch: latch, guard: unguarded, dir: "/state", log: log,
		claimed: make(chan struct{}), opened: make(chan struct{})}
	s.state = state.New(state.Options{Sensors: []state.Sensor{{Name: "a", Interval: time.Second}, {Name: "b", Interval: time.Second}}, Log: log})
	return s
}

// openFrom opens what [storageIn] returns.
func openFrom(s *storage) func() error {
	return func() error {
		close(s.claimed)
		s.history.Load()
		s.state.Load(nil)
		return nil
	}
}

// A disk that hangs delays the end of the gateway by diskTime, and by no more.
func TestStorageEnds(t *testing.T) {
	for _, hangs := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			var log bytes.Buffer
			d := hangingDisk{disk.NewMemory(), make(chan struct{})}
			if !hangs {
				close(d.on)
			}
			s := storageIn(t, d, slog.New(slog.NewTextHandler(&log, nil)))
			ctx, cancel := context.WithCancel(t.Context())
			if err := s.start(ctx, openFrom(s)); err != nil {
				t.Fatal(err)
			}
			done := make(chan error, 1)
			go func() { done <- s.run(ctx) }()
			s.history.Tick([]wire.Record{{Sensor: 0}, {Sensor: 1}}, 0)
			cancel()
			begin := time.Now()
			if err := <-done; err != nil {
				t.Error(err)
			}
			took := time.Since(begin)
			if want := diskTime; hangs && took != want || !hangs && took != 0 {
				t.Errorf("hangs %v: ended after %v", hangs, took)
			}
			if said := strings.Contains(log.String(), "the disk hangs"); said != hangs {
				t.Errorf("hangs %v, log: %s", hangs, log.String())
			}
			if hangs {
				close(d.on)
			}
		})
	}
}

// stuckDisk is a directory that cannot be read until it goes on.
type stuckDisk struct {
	*disk.Memory
	on chan struct{}
}

func (d stuckDisk) List(dir string) ([]disk.Info, error) {
	<-d.on
	return d.Memory.List(dir)
}

// A disk that does not answer delays the start by stallTime, and by no more; what is
// made meanwhile is stored once it answers.
func TestStorageStarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		d := stuckDisk{disk.NewMemory(), make(chan struct{})}
		s := storageIn(t, d, slog.New(slog.NewTextHandler(&log, nil)))
		begin := time.Now()
		if err := s.start(t.Context(), openFrom(s)); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(begin); took != stallTime {
			t.Errorf("the start took %v", took)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- s.run(ctx) }()
		tick := func(seq uint32) { s.history.Tick([]wire.Record{{Sensor: 0, Seq: seq}, {Sensor: 1, Seq: seq}}, 0) }
		for seq := range uint32(100) {
			tick(seq)
			time.Sleep(100 * time.Millisecond)
		}
		if took := time.Since(begin); took != stallTime+10*time.Second {
			t.Errorf("10 s of ticks took %v", took-stallTime)
		}
		if err := s.history.Durable(); err == nil || !strings.Contains(err.Error(), "not answered since the start") {
			t.Errorf("durable: %v", err)
		}
		close(d.on)
		time.Sleep(2 * time.Second)
		if err := s.history.readingsDurable(); err != nil {
			t.Errorf("the disk answers: %v", err)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		again, err := history.Open(history.Options{FS: d, Sensors: []string{"a", "b"}})
		if err != nil {
			t.Fatal(err)
		}
		if last, ok := again.Last(0); !ok || last != 99 || again.Epoch() != s.state.Epoch() {
			t.Errorf("the log ends at %d, %v, in epoch %q", last, ok, again.Epoch())
		}
	})
}

// A disk that has not answered since the start does not hold up the end; one that
// answers slowly does.
func TestStorageEndsUnopened(t *testing.T) {
	for _, slow := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			var log bytes.Buffer
			s := storageIn(t, disk.NewMemory(), slog.New(slog.NewTextHandler(&log, nil)))
			opening, answers := openFrom(s), make(chan struct{})
			if err := s.start(t.Context(), func() error { <-answers; time.Sleep(100 * time.Millisecond); return opening() }); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error, 1)
			go func() { done <- s.run(ctx) }()
			s.history.Tick([]wire.Record{{Sensor: 0}, {Sensor: 1}}, 0)
			if slow {
				close(answers)
			}
			cancel()
			begin := time.Now()
			if err := <-done; err != nil {
				t.Error(err)
			}
			if took := time.Since(begin); took > stallEndTime || slow == strings.Contains(log.String(), "are lost") {
				t.Errorf("answers slowly %v: ended after %v; the log says %s", slow, took, &log)
			}
			if !slow {
				close(answers)
				<-s.opened
				synctest.Wait()
			}
		})
	}
}

// A start that is interrupted before the disk has answered costs no numbers.
func TestStartIsInterrupted(t *testing.T) {
	dir, fs := t.TempDir(), disk.NewMemory()
	inDir := func() *storage {
		s := storageIn(t, fs, slog.New(slog.DiscardHandler))
		s.state = state.New(state.Options{Dir: dir, Sensors: []state.Sensor{{Name: "a", Interval: time.Second}, {Name: "b", Interval: time.Second}},
			Log: slog.New(slog.DiscardHandler)})
		return s
	}
	tick := func(s *storage, seq uint32) {
		s.state.Tick([]wire.Record{{Sensor: 0, Seq: seq}, {Sensor: 1, Seq: seq}}, 0)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	first := inDir()
	if err := first.start(t.Context(), openFrom(first)); err != nil {
		t.Fatal(err)
	}
	tick(first, 49)
	if err := first.run(ended); err != nil {
		t.Fatal(err)
	}
	interrupted := inDir()
	answers, opening := make(chan struct{}), openFrom(interrupted)
	if err := interrupted.start(ended, func() error { <-answers; return opening() }); err != nil {
		t.Fatal(err)
	}
	close(answers)
	if err := interrupted.run(ended); err != nil {
		t.Fatal(err)
	}
	s := inDir()
	if err := s.start(t.Context(), openFrom(s)); err != nil {
		t.Fatal(err)
	}
	if s.state.Epoch() != first.state.Epoch() || s.state.First()[0] != 50 {
		t.Errorf("epoch %q from %d on, want %q from 50 on", s.state.Epoch(), s.state.First()[0], first.state.Epoch())
	}
	if err := s.run(ended); err != nil {
		t.Fatal(err)
	}

	// Should a tick come all the same, its number may have been used.
	s = inDir()
	if err := s.start(ended, func() error { return nil }); err != nil {
		t.Fatal(err)
	}
	s.state.Load(nil)
	if tick(s, 7); s.state.Epoch() == first.state.Epoch() {
		t.Error("a number that was used is used again")
	}
}

// A directory that turns out to be another gateway's ends this one, also late.
func TestStorageOfAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := storageIn(t, disk.NewMemory(), slog.New(slog.DiscardHandler))
		taken := errors.New("another process uses it")
		if err := s.start(t.Context(), func() error { return taken }); !errors.Is(err, taken) {
			t.Errorf("start: %v", err)
		}
		s = storageIn(t, disk.NewMemory(), slog.New(slog.DiscardHandler))
		if err := s.start(t.Context(), func() error { time.Sleep(time.Minute); return taken }); err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		if err := s.run(t.Context()); !errors.Is(err, taken) || time.Since(begin) != time.Minute-stallTime {
			t.Errorf("run: %v after %v", err, time.Since(begin))
		}
	})
}
