package state

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sensorgateway/gateway/checksum"
	"sensorgateway/wire"
)

var twoSensors = []Sensor{{Name: "a", Interval: 100 * time.Millisecond}, {Name: "b", Interval: time.Minute}}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// mustOpen opens a state as after the end of the process that had it open.
func mustOpen(t *testing.T, dir string, sensors []Sensor, log *slog.Logger) *State {
	t.Helper()
	return mustOpenWith(t, Options{Dir: dir, Boot: "boot", Sensors: sensors, Log: log})
}

func mustOpenWith(t *testing.T, o Options) *State {
	t.Helper()
	var err error
	if o.Lock, err = Claim(o.Dir); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { o.Lock.Close() })
	return Open(o)
}

// die ends the process that has it open.
func (s *State) die() { s.opts.Lock.Close() }

// use uses numbers from the first on, as the sampler does, and returns the last.
func (s *State) use(sensor uint16, ticks int) uint32 {
	seq := s.next[sensor]
	for range ticks {
		s.Tick([]wire.Record{{Sensor: sensor, Seq: seq}}, 0)
		seq++
	}
	return seq - 1
}

func TestStateAcrossStops(t *testing.T) {
	dir := t.TempDir()
	s := mustOpen(t, dir, twoSensors, quiet())
	epoch := s.epoch
	if s.first[0] != 0 || s.first[1] != 0 || epoch == "" {
		t.Fatalf("a new state begins at %v in epoch %q", s.first, epoch)
	}
	last := s.use(0, 100)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = mustOpen(t, dir, twoSensors, quiet())
	if s.epoch != epoch || s.first[0] != last+1 || s.first[1] != 0 {
		t.Errorf("after a clean stop %v in %q, want [%d 0] in %q", s.first, s.epoch, last+1, epoch)
	}
	// No close: SIGKILL. Nothing that was used comes again, and little is skipped.
	last = s.use(0, 50)
	s.die()
	s = mustOpen(t, dir, twoSensors, quiet())
	if s.epoch != epoch || s.first[0] <= last || s.first[0] > last+6000 {
		t.Errorf("after SIGKILL %v, the last was %d", s.first, last)
	}
	// A sensor that is away for a while keeps its numbers.
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	before := s.first[0]
	if err := mustOpen(t, dir, twoSensors[1:], quiet()).Close(); err != nil {
		t.Fatal(err)
	}
	if s = mustOpen(t, dir, twoSensors, quiet()); s.first[0] != before {
		t.Errorf("a sensor that was away begins at %d, want %d", s.first[0], before)
	}
}

// No number is used before the file says so, at whatever moment the power fails.
func TestStateNeverUsesANumberTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		s := mustOpen(t, dir, twoSensors[:1], quiet())
		done := make(chan struct{})
		ctx, cancel := context.WithCancel(context.Background())
		go func() { s.Run(ctx); close(done) }()
		for range 200 { // over three hours
			last := s.use(0, 600)
			time.Sleep(time.Minute)
			synctest.Wait()
			if crashed := afterPowerCut(t, dir); crashed.Next["a"] <= last {
				t.Fatalf("after a power cut %d would come again after %d", crashed.Next["a"], last)
			}
		}
		// A pause of the whole machine lets the numbers leap: that is another epoch,
		// notified before the tick goes on, and soon on the disk.
		old, notified := s.epoch, ""
		s.opts.NewEpoch = func(e string, _ []uint32) { notified = e }
		s.Tick([]wire.Record{{Sensor: 0, Seq: s.next[0] + 1_000_000}}, 0)
		if crashed := afterPowerCut(t, dir); s.epoch == old || notified != s.epoch || crashed.Epoch != old {
			t.Errorf("after a leap: epoch %q, notified %q, on disk %q, before %q", s.epoch, notified, crashed.Epoch, old)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if crashed := afterPowerCut(t, dir); crashed.Epoch != notified || crashed.Next["a"] < s.next[0] {
			t.Errorf("a minute after a leap to %d the file says %+v", s.next[0], crashed)
		}
		cancel()
		<-done
	})
}

func TestStateWraps(t *testing.T) {
	dir := t.TempDir()
	if err := (savedState{Epoch: "e", Next: map[string]uint32{"a": 4294967290}}).write(dir); err != nil {
		t.Fatal(err)
	}
	s := mustOpen(t, dir, twoSensors[:1], quiet())
	if last := s.use(0, 10); last != 3 || s.epoch != "e" {
		t.Errorf("the tenth after 4294967290 is %d in epoch %q", last, s.epoch)
	}
}

func TestDamagedState(t *testing.T) {
	good := string(must(savedState{Epoch: "e", Next: map[string]uint32{"a": 7}}.format()))
	contents := []string{"", "{", `{"epoch":"e","next_seq":{"a":7}}`, strings.Repeat("\x00", 100), good + "\n"}
	for i := range len(good) { // a bit flipped at every byte, and every torn tail
		contents = append(contents, good[:i]+string(good[i]^1)+good[i+1:], good[:i])
	}
	for _, content := range contents {
		dir := t.TempDir()
		path := filepath.Join(dir, stateFile)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		var log bytes.Buffer
		s := mustOpen(t, dir, twoSensors, slog.New(slog.NewTextHandler(&log, nil)))
		if s.epoch == "" || s.epoch == "e" || s.first[0] != 0 {
			t.Errorf("%q: epoch %q from %d", content, s.epoch, s.first[0])
		}
		aside, _ := filepath.Glob(path + ".damaged-*")
		if len(aside) != 1 || !strings.Contains(log.String(), "new epoch") {
			t.Errorf("%q: set aside as %v, said %q", content, aside, log.String())
		}
	}
}

// A disk that fails ends the epoch before a number could come twice, and what
// was kept before is not touched.
func TestStateOnAFailingDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "state")
		s := mustOpen(t, dir, twoSensors[:1], quiet())
		old, reserved, notified := s.epoch, s.limit[0], make(chan string, 10)
		s.opts.NewEpoch = func(e string, _ []uint32) { notified <- e }
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan struct{})
		go func() { s.Run(ctx); close(done) }()
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(dir, nil, 0o600); err != nil { // a file where the directory was
			t.Fatal(err)
		}
		for range 20 {
			last := s.use(0, 600)
			s.mu.Lock()
			if s.epoch == old && !wire.Before(last, reserved) {
				t.Fatalf("number %d was used in the old epoch, reserved to %d", last, reserved)
			}
			s.mu.Unlock()
			time.Sleep(time.Minute)
			synctest.Wait()
		}
		select {
		case e := <-notified:
			if e == old {
				t.Error("the new epoch is the old one")
			}
		default:
			t.Error("20 minutes without a disk, and the epoch is the same")
		}
		cancel()
		<-done
	})
}

func must(b []byte, err error) []byte {
	if err != nil {
		panic(err)
	}
	return b
}

// Two gateways must not use the same numbers.
func TestStateIsLocked(t *testing.T) {
	dir := t.TempDir()
	s := mustOpen(t, dir, twoSensors, quiet())
	if _, err := Claim(dir); err == nil || !strings.Contains(err.Error(), "--state") {
		t.Errorf("a second one: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	mustOpen(t, dir, twoSensors, quiet())
}

// A directory that cannot be written costs one epoch, at the start.
func TestStateThatCannotBeWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := mustOpen(t, "/dev/null/state", twoSensors[:1], quiet())
		epoch := s.epoch
		s.opts.NewEpoch = func(string, []uint32) { t.Error("another epoch") }
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan struct{})
		go func() { s.Run(ctx); close(done) }()
		for range 30 {
			s.use(0, 600)
			time.Sleep(time.Minute)
			synctest.Wait()
		}
		cancel()
		<-done
		if s.epoch != epoch {
			t.Error("the epoch changed")
		}
	})
}

func afterPowerCut(t *testing.T, dir string) (saved savedState) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, stateFile))
	if err == nil {
		saved, _, err = parseState(data)
	}
	if err != nil {
		t.Fatal(err)
	}
	return saved
}

// What a newer version wrote is used as far as this one knows it, and a copy is kept.
func TestStateOfANewerVersion(t *testing.T) {
	dir := t.TempDir()
	s := mustOpen(t, dir, twoSensors, quiet())
	epoch, last := s.epoch, s.use(0, 100)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, stateFile)
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	line, _, _ := bytes.Cut(data, []byte("}\n"))
	line = fmt.Appendf(line, `,"zones":{"attic":7}}`)
	newer := checksum.Append(line)
	latch := "ahmet\n1700000000000\nzone attic\n"
	for file, text := range map[string]string{stateFile: string(newer), latchFile: latch} {
		if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o640); err != nil {
			t.Fatal(err)
		}
	}
	var log bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&log, nil))
	s = mustOpen(t, dir, twoSensors, logger)
	if s.epoch != epoch || s.first[0] != last+1 {
		t.Errorf("it goes on at %d in %q, want %d in %q", s.first[0], s.epoch, last+1, epoch)
	}
	if by, at := NewLatch(dir, func(error) {}, logger).Read(); by != "ahmet" || at.UnixMilli() != 1700000000000 {
		t.Errorf("latched by %q at %v", by, at)
	}
	if n := strings.Count(log.String(), "written by a newer version"); n != 2 || strings.Contains(log.String(), "damaged") {
		t.Errorf("the log says %s", &log)
	}
	for file, text := range map[string]string{stateFile: string(newer), latchFile: latch} {
		kept, err := filepath.Glob(filepath.Join(dir, file+".newer-*"))
		if err != nil || len(kept) != 1 {
			t.Fatalf("kept: %v, %v", kept, err)
		}
		if got, err := os.ReadFile(kept[0]); err != nil || string(got) != text {
			t.Errorf("%s is %q, %v", kept[0], got, err)
		}
	}
}
