package main

import (
	"bytes"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"sensorgateway/wire"
)

// aLog is a log of readings on a disk that may stall.
type aLog struct {
	epoch   string
	last    map[uint16]uint32
	exact   bool
	stalled bool
	waiting []wire.Record // of epoch
}

func newLog(epoch string) *aLog { return &aLog{epoch: epoch, last: map[uint16]uint32{}, exact: true} }

func (l *aLog) Epoch() string { return l.epoch }
func (l *aLog) Exact() bool   { return l.exact }
func (l *aLog) Last(sensor uint16) (uint32, bool) {
	seq, ok := l.last[sensor]
	return seq, ok
}

// append takes a tick, and tells whether all are written.
func (l *aLog) append(epoch string, records ...wire.Record) bool {
	if l.epoch != epoch {
		l.epoch, l.last, l.waiting = epoch, map[uint16]uint32{}, nil
	}
	l.waiting = append(l.waiting, records...)
	if l.stalled {
		return false
	}
	for _, r := range l.waiting {
		l.last[r.Sensor] = r.Seq
	}
	l.waiting, l.exact = nil, true
	return true
}

// useLogged uses numbers as [state.use] does, and gives them to the log.
func (s *state) useLogged(l *aLog, sensor uint16, ticks int) (last uint32) {
	for range ticks {
		last = s.use(sensor, 1)
		s.Logged(l.append(s.epoch, wire.Record{Sensor: sensor, Seq: last}))
	}
	return last
}

func needsMarks(t *testing.T) {
	t.Helper()
	if bootID() == "" {
		t.Skip("one boot is not told from another here")
	}
}

// After SIGKILL the numbers go on exactly where they were, but only if the log
// has all that were out.
func TestExactNumbersAfterAKill(t *testing.T) {
	needsMarks(t)
	const skipped = 6000 // the first after the reservation
	for _, tt := range []struct {
		name   string
		happen func(t *testing.T, s *state, l *aLog, marks string) // after 50 ticks
		want   uint32
	}{
		{"the log has all", func(*testing.T, *state, *aLog, string) {}, 50},
		{"the log was behind, and is no more", func(_ *testing.T, s *state, l *aLog, _ string) {
			l.stalled = true
			s.useLogged(l, 0, 10)
			l.stalled = false
			s.useLogged(l, 0, 1)
		}, 61},
		{"the log is behind", func(_ *testing.T, s *state, l *aLog, _ string) { l.stalled = true; s.useLogged(l, 0, 10) }, skipped},
		{"the power failed", func(_ *testing.T, _ *state, l *aLog, _ string) { l.exact = false }, skipped},
		{"the log was deleted", func(_ *testing.T, _ *state, l *aLog, _ string) { *l = *newLog("") }, skipped},
		{"the log knows nothing of the sensor", func(_ *testing.T, _ *state, l *aLog, _ string) { delete(l.last, 0) }, skipped},
		{"the log is of another epoch", func(_ *testing.T, _ *state, l *aLog, _ string) { l.epoch = "other" }, skipped},
		{"the log lost what was reached long ago", func(_ *testing.T, s *state, l *aLog, _ string) { s.extend(); l.last[0] = 30 }, 50},
		{"the mark was lost", func(t *testing.T, s *state, _ *aLog, _ string) {
			if err := os.Remove(s.mark.path); err != nil {
				t.Error(err)
			}
		}, skipped},
		{"the mark was made by another user", func(t *testing.T, s *state, _ *aLog, _ string) {
			if os.Getuid() != 0 {
				t.Skip("needs root")
			}
			if err := os.Chown(s.mark.path, 65534, 65534); err != nil {
				t.Error(err)
			}
		}, skipped},
		{"a run without the log came between", func(t *testing.T, s *state, _ *aLog, marks string) {
			s.die()
			between := mustOpenWith(t, stateOptions{dir: s.dir, sensors: twoSensors, marks: marks, log: quiet()})
			between.use(0, 10)
			between.die()
		}, 2 * skipped},
		{"the log was behind, and then the state could not be written", func(t *testing.T, s *state, l *aLog, _ string) {
			l.stalled = true
			s.useLogged(l, 0, 10)
			s.die()
			inTheWay := filepath.Join(s.dir, stateFile+".new")
			if err := os.Mkdir(inTheWay, 0o700); err != nil {
				t.Error(err)
			}
			mustOpenWith(t, s.stateOptions).die()
			if err := os.Remove(inTheWay); err != nil {
				t.Error(err)
			}
		}, skipped},
		{"it was a clean stop", func(t *testing.T, s *state, _ *aLog, _ string) {
			if err := s.close(); err != nil {
				t.Error(err)
			}
		}, 50},
		{"it was a clean stop, but for the log", func(t *testing.T, s *state, l *aLog, _ string) {
			l.stalled = true
			s.useLogged(l, 0, 10)
			if err := s.close(); err != nil {
				t.Error(err)
			}
		}, 60},
		{"the state is older than the log", func(t *testing.T, _ *state, l *aLog, _ string) { l.last[0], l.exact = 9000, false }, 9001},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir, marks, l := t.TempDir(), t.TempDir(), newLog("")
			options := stateOptions{dir: dir, sensors: twoSensors, kept: l, marks: marks, log: quiet()}
			s := mustOpenWith(t, options)
			epoch := s.epoch
			s.useLogged(l, 0, 50)
			tt.happen(t, s, l, marks)
			s.die()
			again := mustOpenWith(t, options)
			if again.epoch != epoch || again.first[0] != tt.want {
				t.Errorf("the first is %d in epoch %q, want %d in %q", again.first[0], again.epoch, tt.want, epoch)
			}
			if err := again.close(); err != nil {
				t.Error(err)
			}
			if left, _ := os.ReadDir(marks); len(left) != 0 {
				t.Errorf("after a clean stop %v is left", left)
			}
		})
	}
}

// Whatever happens, no number is used twice in an epoch; and none is skipped
// without need.
func TestRandomStops(t *testing.T) {
	needsMarks(t)
	for seed := range uint64(50) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 1))
			dir, marks, l := t.TempDir(), t.TempDir(), newLog("")
			options := stateOptions{dir: dir, sensors: twoSensors, kept: l, marks: marks, log: quiet()}
			used := map[string]uint32{} // the last number, by epoch and sensor
			s := mustOpenWith(t, options)
			for range 60 {
				wantExact := false
				switch random.IntN(9) {
				case 0: // a clean stop
					wantExact = true
					l.stalled = false
					l.append(s.epoch)
					if err := s.close(); err != nil {
						t.Fatal(err)
					}
				case 1: // SIGKILL
					wantExact = len(l.waiting) == 0 && l.epoch == s.epoch
					l.waiting = nil
					s.die()
				case 2: // the power fails: the log loses its end
					s.die()
					l.waiting, l.exact = nil, false
					for i := range l.last {
						l.last[i] -= min(l.last[i], uint32(random.IntN(20)))
					}
					left, _ := filepath.Glob(filepath.Join(marks, "*"))
					for _, path := range left {
						os.Remove(path)
					}
				case 3:
					l.stalled = !l.stalled
					continue
				case 4:
					s.renew()
					continue
				case 5: // a pause of the whole machine
					if random.IntN(4) == 0 {
						s.next[0] += uint32(random.IntN(10000))
					}
					continue
				default:
					for range random.IntN(1000) {
						sensor := uint16(random.IntN(len(twoSensors)))
						seq := s.useLogged(l, sensor, 1)
						key := fmt.Sprint(s.epoch, sensor)
						if last, ok := used[key]; ok && seq <= last {
							t.Fatalf("number %d of sensor %d came after %d", seq, sensor, last)
						}
						used[key] = seq
					}
					continue
				}
				old := s
				s = mustOpenWith(t, options)
				for i := range twoSensors {
					_, known := l.last[uint16(i)]
					if last, ok := used[fmt.Sprint(old.epoch, i)]; wantExact && ok && known && s.epoch == old.epoch && s.first[i] != last+1 && old.next[i] == last+1 {
						t.Fatalf("sensor %d begins at %d after %d", i, s.first[i], last)
					}
				}
			}
			s.die()
		})
	}
}

// A card restored from last week: what was used since is not known.
func TestRestoredState(t *testing.T) {
	cp, err := exec.LookPath("cp")
	if err != nil {
		unavailable(t, "no cp here")
	}
	run := func(t *testing.T, args ...string) {
		t.Helper()
		if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %v\n%s", args, err, out)
		}
	}
	for _, tt := range []struct {
		name    string
		restore func(t *testing.T, path string)
		same    bool
	}{
		{"copied back", func(t *testing.T, path string) {
			run(t, cp, "-a", path+".backup", path+".2")
			if err := os.Rename(path+".2", path); err != nil {
				t.Error(err)
			}
		}, false},
		{"copied into what is there", func(t *testing.T, path string) { run(t, cp, "-a", path+".backup", path) }, false},
		{"copied with its directory", func(t *testing.T, path string) {
			dir := filepath.Dir(path)
			run(t, cp, "-a", dir, dir+"2")
			run(t, "rm", "-r", dir)
			run(t, "mv", dir+"2", dir)
		}, false},
		{"moved there and back", func(t *testing.T, path string) { run(t, "mv", path, path+"2"); run(t, "mv", path+"2", path) }, true},
		{"written by a version that did not know", func(t *testing.T, path string) {
			saved := afterPowerCut(t, filepath.Dir(path))
			old := savedState{Epoch: saved.Epoch, Next: saved.Next}
			if err := os.WriteFile(path, must(old.format()), 0o600); err != nil {
				t.Error(err)
			}
		}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "state")
			path := filepath.Join(dir, stateFile)
			s := mustOpen(t, dir, twoSensors, quiet())
			if afterPowerCut(t, dir).Born.IsZero() {
				t.Skip("this file system does not say when a file was made")
			}
			if err := s.close(); err != nil {
				t.Fatal(err)
			}
			run(t, cp, "-a", path, path+".backup")
			old := s
			s = mustOpen(t, dir, twoSensors, quiet())
			last := s.use(0, 50)
			if err := s.close(); err != nil {
				t.Fatal(err)
			}
			tt.restore(t, path)
			var log bytes.Buffer
			s = mustOpen(t, dir, twoSensors, slog.New(slog.NewTextHandler(&log, nil)))
			if tt.same && (s.epoch != old.epoch || s.first[0] != last+1) {
				t.Errorf("epoch %q from %d, want %q from %d", s.epoch, s.first[0], old.epoch, last+1)
			}
			if !tt.same && (s.epoch == old.epoch || !strings.Contains(log.String(), "restored from a copy")) {
				t.Errorf("epoch %q from %d, before %q: %s", s.epoch, s.first[0], old.epoch, log.String())
			}
		})
	}
}

func TestMarkDir(t *testing.T) {
	for env, want := range map[string]string{"": "/dev/shm", "/run/gateway": "/run/gateway", "/run/a:/run/b": "/run/a"} {
		if got := markDir(func(string) string { return env }); got != want {
			t.Errorf("%q: %q, want %q", env, got, want)
		}
	}
}
