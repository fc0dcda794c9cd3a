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

// newStorage returns a storage with two sensors, whose log is in fs.
func newStorage(t *testing.T, fs history.FS, log *slog.Logger) *storage {
	t.Helper()
	written, err := history.Open(history.Options{FS: fs, Sensors: []string{"a", "b"}, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	latch := state.NewLatch("", func(error) {}, log)
	s := &storage{history: &storedReadings{Log: written, latch: latch}, latch: latch, guard: unguarded, dir: "/state", log: log}
	s.state = state.Open(state.Options{Sensors: []state.Sensor{{Name: "a", Interval: time.Second}, {Name: "b", Interval: time.Second}}, Log: log})
	s.history.Begin(s.state.Epoch(), s.state.First())
	return s
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
			s := newStorage(t, d, slog.New(slog.NewTextHandler(&log, nil)))
			ctx, cancel := context.WithCancel(t.Context())
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

// Storage is back when the readings and the e-stop's latch are both stored.
func TestStorageTrouble(t *testing.T) {
	var events []string
	s := storageTrouble{notify: func(e wire.Event) { events = append(events, strings.TrimSpace(e.Kind+" "+e.Reason)) }}
	s.readings(errors.New("disk full"))
	s.latch(errors.New("read-only"))
	s.latch(nil)
	s.latch(errors.New("read-only"))
	s.readings(nil)
	s.latch(nil)
	want := "storage_failed disk full, storage_failed read-only, storage_failed read-only, storage_back"
	if got := strings.Join(events, ", "); got != want {
		t.Errorf("events %s\nwant   %s", got, want)
	}
}
