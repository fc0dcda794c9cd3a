package state

import (
	"bytes"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"sensorgateway/gateway/memoryfile"
	"sensorgateway/wire"
)

// aLog is what a log of readings knows: it may lack some.
type aLog struct {
	epoch string
	last  map[uint16]uint32
}

func (l *aLog) Epoch() string { return l.epoch }
func (l *aLog) Last(sensor uint16) (uint32, bool) {
	seq, ok := l.last[sensor]
	return seq, ok
}

func needsMemory(t *testing.T) {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("a file's owner is not known here")
	}
}

// After SIGKILL the numbers go on exactly where they were, whatever the log of
// readings has of them.
func TestExactNumbersAfterAKill(t *testing.T) {
	needsMemory(t)
	const skipped = 6000 // the first after the reservation
	other := []Sensor{{Name: "c", Interval: time.Second}}
	for _, tt := range []struct {
		name   string
		happen func(t *testing.T, s *State, l *aLog, memory string) // after 50 ticks
		want   uint32
	}{
		{"nothing more", func(*testing.T, *State, *aLog, string) {}, 50},
		{"the reservation was extended", func(_ *testing.T, s *State, _ *aLog, _ string) { s.extend(); s.use(0, 7) }, 57},
		{"the log has less", func(_ *testing.T, _ *State, l *aLog, _ string) { l.epoch, l.last[0] = "E", 30 }, 50},
		{"the log has more", func(_ *testing.T, _ *State, l *aLog, _ string) { l.epoch, l.last[0] = "E", 9000 }, 9001},
		{"the log has more of another epoch", func(_ *testing.T, _ *State, l *aLog, _ string) { l.epoch, l.last[0] = "other", 9000 }, 50},
		{"the machine was off", func(t *testing.T, s *State, _ *aLog, _ string) {
			if err := os.Remove(s.counters.path); err != nil {
				t.Error(err)
			}
		}, skipped},
		{"another user put it there", func(t *testing.T, s *State, _ *aLog, _ string) {
			if os.Getuid() != 0 {
				t.Skip("needs root")
			}
			if err := os.Chown(s.counters.path, 65534, 65534); err != nil {
				t.Error(err)
			}
		}, skipped},
		{"a link was put there", func(t *testing.T, s *State, _ *aLog, _ string) {
			if err := os.Rename(s.counters.path, s.counters.path+".2"); err != nil {
				t.Error(err)
			}
			if err := os.Symlink(s.counters.path+".2", s.counters.path); err != nil {
				t.Error(err)
			}
			t.Cleanup(func() { os.Remove(s.counters.path + ".2") })
		}, skipped},
		{"other sensors were configured", func(t *testing.T, s *State, _ *aLog, memory string) {
			s.die()
			between := mustOpenWith(t, Options{Dir: s.opts.Dir, Boot: "boot", Sensors: other, Memory: memory, Log: quiet()})
			between.use(0, 10)
			between.die()
		}, skipped},
		{"a run without such memory came between", func(t *testing.T, s *State, _ *aLog, memory string) {
			s.die()
			between := mustOpenWith(t, Options{Dir: s.opts.Dir, Boot: "boot", Sensors: twoSensors, Log: quiet()})
			between.use(0, 10)
			between.die()
		}, 2 * skipped},
		{"then the state could not be written", func(t *testing.T, s *State, _ *aLog, _ string) {
			s.die()
			inTheWay := filepath.Join(s.opts.Dir, stateFile+".new")
			if err := os.MkdirAll(filepath.Join(inTheWay, "file"), 0o700); err != nil {
				t.Error(err)
			}
			between := mustOpenWith(t, s.opts)
			between.use(0, 10) // they are reserved
			between.die()
			if err := os.RemoveAll(inTheWay); err != nil {
				t.Error(err)
			}
		}, 60},
		{"it was a clean stop", func(t *testing.T, s *State, _ *aLog, _ string) {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		}, 50},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir, memory, l := t.TempDir(), t.TempDir(), &aLog{last: map[uint16]uint32{}}
			options := Options{Dir: dir, Boot: "boot", Sensors: twoSensors, Numbers: l, Memory: memory, Log: quiet()}
			s := mustOpenWith(t, options)
			epoch := s.epoch
			s.use(0, 50)
			tt.happen(t, s, l, memory)
			if l.epoch == "E" {
				l.epoch = epoch
			}
			s.die()
			again := mustOpenWith(t, options)
			if again.epoch != epoch || again.first[0] != tt.want {
				t.Errorf("the first is %d in epoch %q, want %d in %q", again.first[0], again.epoch, tt.want, epoch)
			}
			if err := again.Close(); err != nil {
				t.Error(err)
			}
			if left, _ := filepath.Glob(filepath.Join(memory, "gateway-*")); len(left) != 0 && !strings.HasSuffix(left[0], ".2") {
				t.Errorf("after a clean stop %v is left", left)
			}
		})
	}
}

// A file of counters that is damaged, anywhere, is not believed.
func TestDamagedCounters(t *testing.T) {
	needsMemory(t)
	dir, memory := t.TempDir(), t.TempDir()
	c := counters{path: MemoryFile(memory, dir, "boot", "")}
	load := func(sensors ...Sensor) string {
		epoch, next, limit := c.load(sensors)
		if next == nil {
			return "nothing"
		}
		return fmt.Sprint(epoch, next, limit)
	}
	if got := load(twoSensors...); got != "nothing" {
		t.Fatalf("there is none, and it was loaded: %v", got)
	}
	c.begin("e", twoSensors)
	if err := c.put([]uint32{7, 1<<32 - 1}, []uint32{9, 3}); err != nil {
		t.Fatal(err)
	}
	if got := load(twoSensors...); got != "e[7 4294967295] [9 3]" {
		t.Fatalf("loaded %v", got)
	}
	for _, others := range [][]Sensor{twoSensors[:1], {twoSensors[1], twoSensors[0]}, {}} {
		if got := load(others...); got != "nothing" {
			t.Errorf("those of other sensors were loaded: %v", got)
		}
	}
	good := memoryfile.Read(c.path)
	for i := range good {
		for _, bad := range [][]byte{good[:i], slices.Concat(good[:i], []byte{good[i] ^ 1}, good[i+1:])} {
			if err := c.file.Put(bad); err != nil {
				t.Fatal(err)
			}
			if got := load(twoSensors...); got != "nothing" {
				t.Errorf("%x: loaded %v", bad, got)
			}
		}
	}
}

// What a tick costs here is no allocation; and where nothing can be written, one
// attempt.
func TestCountersInATick(t *testing.T) {
	needsMemory(t)
	s := mustOpenWith(t, Options{Dir: t.TempDir(), Boot: "boot", Sensors: twoSensors, Memory: t.TempDir(), Log: quiet()})
	tick := []wire.Record{{Sensor: 0}, {Sensor: 1}}
	if n := testing.AllocsPerRun(100, func() { s.Tick(tick, 0); tick[0].Seq++ }); n != 0 {
		t.Errorf("%v allocations a tick", n)
	}
	var log bytes.Buffer
	s = mustOpenWith(t, Options{Dir: t.TempDir(), Boot: "boot", Sensors: twoSensors, Memory: "/none/such", Log: slog.New(slog.NewTextHandler(&log, nil))})
	s.use(0, 100)
	if n := strings.Count(log.String(), "cannot be written to memory"); n != 1 {
		t.Errorf("logged %d times: %s", n, log.String())
	}
}

// Whatever happens, no number is used twice in an epoch; and none is skipped
// without need.
func TestRandomStops(t *testing.T) {
	needsMemory(t)
	seeds := uint64(8)
	if os.Getenv("GATEWAY_TEST_SOAK") != "" { // scripts/soak
		seeds *= 25
	}
	for seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel() // most of its time it waits for the disk
			random := rand.New(rand.NewPCG(seed, 1))
			dir, memory, l := t.TempDir(), t.TempDir(), &aLog{last: map[uint16]uint32{}}
			options := Options{Dir: dir, Boot: "boot", Sensors: twoSensors, Numbers: l, Memory: memory, Log: quiet()}
			used := map[string]uint32{} // the last number, by epoch and sensor
			s := mustOpenWith(t, options)
			for range 60 {
				exact := true
				switch random.IntN(8) {
				case 0: // a clean stop
					if err := s.Close(); err != nil {
						t.Fatal(err)
					}
				case 1: // SIGKILL; the log may lack the last ones
					s.die()
					exact = s.durable
				case 2: // the power fails; the log may lack more of them
					s.die()
					exact = false
					left, _ := filepath.Glob(filepath.Join(memory, "*"))
					for _, path := range left {
						os.Remove(path)
					}
				case 3:
					s.renew()
					continue
				case 4: // a pause of the whole machine
					if random.IntN(4) == 0 {
						s.next[0] += uint32(random.IntN(10000))
					}
					continue
				default:
					for range random.IntN(1000) {
						sensor := uint16(random.IntN(len(twoSensors)))
						seq := s.use(sensor, 1)
						key := fmt.Sprint(s.epoch, sensor)
						if last, ok := used[key]; ok && seq <= last {
							t.Fatalf("number %d of sensor %d came after %d", seq, sensor, last)
						}
						used[key] = seq
					}
					continue
				}
				old := s
				if l.epoch != old.epoch {
					l.epoch, l.last = old.epoch, map[uint16]uint32{}
				}
				for i := range twoSensors {
					if last, ok := used[fmt.Sprint(old.epoch, i)]; ok {
						l.last[uint16(i)] = last - min(last, uint32(random.IntN(20)))
					}
				}
				s = mustOpenWith(t, options)
				for i := range twoSensors {
					last, ok := used[fmt.Sprint(old.epoch, i)]
					if exact && ok && old.next[i] == last+1 && (s.epoch != old.epoch || s.first[i] != last+1) {
						t.Fatalf("sensor %d begins at %d in epoch %q after %d in %q", i, s.first[i], s.epoch, last, old.epoch)
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
		t.Skip("no cp here")
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
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			run(t, cp, "-a", path, path+".backup")
			old := s
			s = mustOpen(t, dir, twoSensors, quiet())
			last := s.use(0, 50)
			if err := s.Close(); err != nil {
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

func TestMemoryDir(t *testing.T) {
	for env, want := range map[string]string{"": "/dev/shm", "/run/gateway": "/run/gateway", "/run/a:/run/b": "/run/a"} {
		if got := MemoryDir(func(string) string { return env }); got != want {
			t.Errorf("%q: %q, want %q", env, got, want)
		}
	}
}
