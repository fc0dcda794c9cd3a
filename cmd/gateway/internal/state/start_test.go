package state

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// A disk that has not answered when the ticks begin: after a kill the numbers in
// memory say how to go on, else a new epoch begins. Once the disk answers, it has what
// is needed to continue, also for sensors that are not configured now.
func TestStartBeforeTheDiskAnswers(t *testing.T) {
	needsMemory(t)
	for _, tt := range []struct {
		name string
		stop func(t *testing.T, s *State) // after 50 ticks
		same bool                         // the epoch
	}{
		{"a kill", func(_ *testing.T, s *State) { s.die() }, true},
		{"a clean stop", func(t *testing.T, s *State) {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir, memory := t.TempDir(), t.TempDir()
			o := Options{Dir: dir, Boot: "boot", Sensors: append([]Sensor{{Name: "c", Interval: twoSensors[0].Interval}}, twoSensors...), Memory: memory, Log: quiet()}
			s := mustOpenWith(t, o)
			s.use(0, 7)
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			o.Sensors = twoSensors
			s = mustOpenWith(t, o)
			s.use(0, 50)
			tt.stop(t, s)
			epoch := s.Epoch()

			var log bytes.Buffer
			o.Log = slog.New(slog.NewTextHandler(&log, nil))
			s = New(o)
			s.Start()
			if first := s.First()[0]; (s.Epoch() == epoch) != tt.same || tt.same && first != 50 {
				t.Errorf("the ticks begin at %d in epoch %q, before they were in %q", first, s.Epoch(), epoch)
			}
			if tt.same != strings.Contains(log.String(), "go on from those in memory") || tt.same == strings.Contains(log.String(), "a new epoch begins") {
				t.Errorf("logged: %s", log.String())
			}
			s.use(0, 10)
			lock, err := Claim(dir)
			if err != nil {
				t.Fatal(err)
			}
			s.Load(lock)
			epoch = s.Epoch()
			last := s.use(0, 10)
			if s.Epoch() != epoch {
				t.Error("another epoch began when the disk answered")
			}
			s.die()

			o.Sensors = append(o.Sensors, Sensor{Name: "c", Interval: twoSensors[0].Interval})
			s = mustOpenWith(t, o)
			if first := s.First(); s.Epoch() != epoch || first[0] <= last || first[2] != 7 {
				t.Errorf("the next start begins at %v in epoch %q, want beyond %d and 7 in %q", first, s.Epoch(), last, epoch)
			}
			s.die()
		})
	}
	s := New(Options{Dir: filepath.Join(t.TempDir(), "new"), Boot: "boot", Sensors: twoSensors, Memory: t.TempDir(), Log: quiet()})
	s.Start()
	if s.Epoch() == "" || len(s.First()) != 2 {
		t.Errorf("a new state begins at %v in epoch %q", s.First(), s.Epoch())
	}
}

// The numbers that earlier runs used are known exactly after an orderly end; after a crash,
// those that must be on the disk; after a power cut, some of these may have been skipped.
func TestUsed(t *testing.T) {
	needsMemory(t)
	sensors := []Sensor{{"fast", 100 * time.Millisecond}, {"slow", time.Hour}}
	for _, tt := range []struct {
		name    string
		end     func(s *State) error
		want    []uint32
		skipped bool
	}{
		{"an orderly end", (*State).Close, []uint32{50, 3}, false},
		{"SIGKILL", func(s *State) error { s.die(); return nil }, []uint32{29, 2}, false},
		{"a power cut", func(s *State) error { s.die(); return os.Remove(s.counters.path) }, []uint32{0, 0}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			options := Options{Dir: t.TempDir(), Boot: "boot", Sensors: sensors, Memory: t.TempDir(), Log: quiet()}
			s := mustOpenWith(t, options)
			s.use(0, 50)
			s.use(1, 3)
			if err := tt.end(s); err != nil {
				t.Fatal(err)
			}
			again := mustOpenWith(t, options)
			if used, skipped := again.Used(); !slices.Equal(used, tt.want) || skipped != tt.skipped {
				t.Errorf("%v, skipped %v; want %v, %v", used, skipped, tt.want, tt.skipped)
			}
		})
	}
}
