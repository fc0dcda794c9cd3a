package alarm

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sensorgateway/gateway/checksum"
	"sensorgateway/wire"
)

// golden is a file as this version writes it: later ones must read it.
const golden = `{"n":4,"raised":[{"name":"a","state":"acknowledged","severity":"warning","condition":"indoor.temperature > 35 until indoor.temperature < 33","sensor":"indoor","value":36.1,` +
	`"since":946684800,"acknowledged":{"by":"anna","ts":946684801}}],"recent":[{"name":"b","state":"cleared","severity":"warning","condition":"outdoor.temperature > 35",` +
	`"sensor":"outdoor","value":20,"since":946684800,"cleared":946684800}],"deliveries":[]}` + "\n"

func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return string(data)
}

// After a restart, alarms are as they were before, even if the program was killed: each
// change is in the file soon.
func TestKeptOverRestart(t *testing.T) {
	bubble(t, func(t *testing.T) {
		const a, b = "indoor.temperature > 35 until indoor.temperature < 33", "outdoor.temperature > 35"
		file := filepath.Join(t.TempDir(), "alarms.json")
		r := newRig(t, Options{File: file}, a, b)
		r.reading(0, 36.1)
		r.reading(1, 36)
		r.reading(1, 20)
		r.pass(time.Second)
		r.acknowledge("anna", "1", "a")
		r.pass(0)
		if got := read(t, file); !strings.HasPrefix(got, golden) {
			t.Errorf("the file is\n%swant\n%s", got, golden)
		}
		killed := read(t, file)
		r.end()
		if err := os.WriteFile(file, []byte(killed), 0o600); err != nil { // without what was written at the end
			t.Fatal(err)
		}

		r = newRig(t, Options{File: file}, a, b)
		r.pass(time.Minute)
		r.reading(0, 34) // between the limits
		r.news()
		if l := r.List(everything); len(l.Alarms) != 1 || l.Alarms[0].Since != 946684800 || l.Alarms[0].Acknowledged.By != "anna" || len(l.Recent) != 1 {
			t.Errorf("%+v", l)
		}
		r.reading(0, 32)
		r.news("a cleared")
		r.end()

		r = newRig(t, Options{File: file}, a, b)
		defer r.end()
		if l := r.List(everything); len(l.Alarms) != 0 || len(l.Recent) != 2 || l.Recent[0].Name != "a" {
			t.Errorf("%+v", l)
		}
	})
}

// What was shown is in a file: an event comes after it, if the disk answers in time.
func TestStoredBeforeShown(t *testing.T) {
	bubble(t, func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "alarms.json")
		shown := ""
		r := newRig(t, Options{File: file}, "indoor.temperature > 35")
		defer r.end()
		r.shown = func() { shown = read(t, file) + read(t, file+quickSuffix) }
		r.reading(0, 36)
		r.news("a raised")
		if !strings.Contains(shown, `"name":"a","state":"raised"`) {
			t.Errorf("when the event came, there was %q", shown)
		}
	})
}

// What is not known at the start clears nothing: a sensor that is not heard, a check
// whose result is not known, an age.
func TestRestartWhileUnknown(t *testing.T) {
	bubble(t, func(t *testing.T) {
		const value, age = "indoor.temperature > 35", "indoor.age > 10s"
		file := filepath.Join(t.TempDir(), "alarms.json")
		check := newResult(errors.New("no space"))
		options := Options{File: file, Checks: []Check{{Name: StorageFailed, Severity: wire.SeverityCritical, Failure: check.failure}}}
		r := newRig(t, options, value, age)
		r.reading(0, 36)
		r.Event(wire.Event{Kind: wire.EventSensorLost, Sensor: "indoor", Fault: "no_ack"})
		r.pass(11 * time.Second)
		r.news("storage_failed raised", "a raised", "sensor_lost:indoor raised", "b raised")
		r.end()

		check.set(ErrUnknown)
		r = newRig(t, options, value, age)
		defer r.end()
		for range 20 {
			r.pass(time.Second)
			r.failure(0, wire.NoAck)
		}
		r.news()
		check.set(nil)
		r.pass(time.Second)
		r.reading(0, 20)
		r.pass(time.Second)
		r.news("storage_failed cleared", "a cleared", "b cleared")
		r.feed(20, Settle+time.Second)
		r.news("sensor_lost:indoor cleared")
	})
}

// An alarm that is no longer configured is cleared, once; one with another condition
// goes on until that clears it.
func TestConfiguredOtherwise(t *testing.T) {
	bubble(t, func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "alarms.json")
		r := newRig(t, Options{File: file}, "indoor.temperature > 35", "outdoor.temperature > 35")
		r.reading(0, 36)
		r.reading(1, 36)
		r.news("a raised", "b raised")
		r.end()
		r = newRig(t, Options{File: file}, "indoor.temperature > 30")
		r.news("b cleared")
		if l := r.List(everything); l.Alarms[0].Condition != "indoor.temperature > 30" || l.Recent[0].Reason != "it is not configured any more" {
			t.Errorf("%+v", l)
		}
		r.reading(0, 29)
		r.news("a cleared")
		r.end()
		r = newRig(t, Options{File: file}, "indoor.temperature > 30")
		defer r.end()
		r.news()
	})
}

func TestFilesThatCannotBeUsed(t *testing.T) {
	whole := string(saved{Raised: []wire.Alarm{{Name: "a", State: wire.AlarmRaised, Since: 1}}}.format())
	sealed := func(line string) string {
		return string(checksum.Append([]byte(line)))
	}
	for _, tt := range []struct {
		name, text    string
		raised        bool
		aside, logged string
	}{
		{"whole", whole, true, "", ""},
		{"empty", "", false, "damaged", "damaged, set aside"},
		{"cut", whole[:len(whole)-3], false, "damaged", "checksum"},
		{"changed", strings.Replace(whole, `"a"`, `"b"`, 1), false, "damaged", "checksum"},
		{"not ours", sealed(`[]`), false, "damaged", "damaged, set aside"},
		{"of other types", sealed(`{"raised":{"a":true}}`), false, "damaged", "damaged, set aside"},
		{"newer", sealed(`{"raised":[{"name":"a","state":"raised","since":1,"shelved":true}],"more":1}`), true, "newer", "written by a newer version"},
		{"of a state that is none", sealed(`{"raised":[{"name":"a","state":"shelved"},{"name":"a","state":"acknowledged"}]}`), false, "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				file := filepath.Join(t.TempDir(), "alarms.json")
				if err := os.WriteFile(file, []byte(tt.text), 0o600); err != nil {
					t.Fatal(err)
				}
				r := newRig(t, Options{File: file}, "indoor.temperature > 35")
				defer r.end()
				if got := len(r.List(everything).Alarms) == 1; got != tt.raised {
					t.Errorf("raised: %t", got)
				}
				aside, err := filepath.Glob(file + ".*")
				if err != nil || len(aside) != min(len(tt.aside), 1) || len(aside) > 0 && (!strings.Contains(aside[0], tt.aside) || read(t, aside[0]) != tt.text) {
					t.Errorf("set aside: %q, %v", aside, err)
				}
				if log := r.log.String(); !strings.Contains(log, tt.logged) || tt.logged == "" && log != "" {
					t.Errorf("log: %s", log)
				}
				r.reading(0, 36) // it goes on, whatever there was
				r.reading(0, 20)
				r.end()
				if _, newer, err := parse([]byte(read(t, file))); newer || err != nil {
					t.Errorf("written: %t, %v", newer, err)
				}
			})
		})
	}
}

// A directory that is another gateway's is not touched, and neither ticks nor the end
// wait for it.
func TestDirectoryOfAnother(t *testing.T) {
	bubble(t, func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "alarms.json")
		begin := time.Now()
		r := newRig(t, Options{File: file, Claimed: make(chan struct{})}, "indoor.temperature > 35")
		r.reading(0, 36)
		r.news("a raised")
		r.end()
		if took := time.Since(begin); took > loadTime {
			t.Errorf("it took %v", took)
		}
		if got := read(t, file); got != "" {
			t.Errorf("%s was written", got)
		}
	})
}

// If the disk comes late, what was raised before the start is still read from it.
func TestLateDisk(t *testing.T) {
	bubble(t, func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "alarms.json")
		r := newRig(t, Options{File: file}, "indoor.temperature > 35", "outdoor.temperature > 35")
		r.reading(0, 36)
		r.reading(1, 36)
		r.acknowledge("anna", "1", "a")
		r.end()
		claimed := make(chan struct{})
		r = newRig(t, Options{File: file, Claimed: claimed}, "indoor.temperature > 35", "outdoor.temperature > 35")
		defer r.end()
		r.reading(0, 37)
		r.news("a raised")
		close(claimed)
		r.pass(0)
		if l := r.List(everything).Alarms; len(l) != 2 || l[0].State != wire.AlarmAcknowledged || l[0].Since != 946684800 {
			t.Errorf("%+v", l)
		}
		r.reading(1, 20)
		r.news("b cleared")
	})
}

// An alarm that comes and goes with each reading does not wear a card out; an
// acknowledgement is stored all the same, and so is the end.
func TestFewWrites(t *testing.T) {
	bubble(t, func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "alarms.json")
		r := newRig(t, Options{File: file}, "indoor.temperature > 35", "outdoor.temperature > 35")
		defer r.end()
		r.reading(1, 36)
		writes, last := 0, ""
		for range 3000 {
			r.reading(0, 36)
			r.reading(0, 20)
			r.pass(100 * time.Millisecond)
			if now := read(t, file); now != last {
				last, writes = now, writes+1
			}
		}
		if most := fileBurst + int(5*time.Minute/filePause); writes > most {
			t.Errorf("%d writes in 5 minutes, want at most %d", writes, most)
		}
		r.acknowledge("anna", "1", "b")
		r.pass(0)
		if !strings.Contains(read(t, file), "anna") {
			t.Error("the acknowledgement is not stored")
		}
	})
}

// A disk that takes nothing is tried again.
func TestDiskThatFails(t *testing.T) {
	bubble(t, func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "state")
		r := newRig(t, Options{File: filepath.Join(dir, "alarms.json")}, "indoor.temperature > 35")
		defer r.end()
		r.reading(0, 36)
		r.pass(time.Minute)
		if n := strings.Count(r.log.String(), "cannot be stored"); n != 1 {
			t.Errorf("logged %d times: %s", n, r.log.String())
		}
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		r.pass(retryPause)
		if !strings.Contains(read(t, filepath.Join(dir, "alarms.json")), `"name":"a"`) || !strings.Contains(r.log.String(), "stored again") {
			t.Errorf("it is not stored: %s", r.log.String())
		}
	})
}

// SIGKILL comes while the disk syncs: what was written before that counts, if it is whole
// and newer.
func TestKilledWhileSyncing(t *testing.T) {
	file := func(n uint64, name string) []byte {
		return saved{N: n, Raised: []wire.Alarm{{Name: name, State: wire.AlarmRaised, Since: 1}}}.format()
	}
	for _, tt := range []struct {
		name          string
		synced, quick []byte // nil: there is none
		want          string
	}{
		{"only the quick one", nil, file(1, "a"), "a"},
		{"the newer one", file(1, "a"), file(2, "b"), "b"},
		{"an old one", file(3, "a"), file(2, "b"), "a"},
		{"half of it", file(1, "a"), file(2, "b")[:20], "a"},
		{"nothing of it", file(1, "a"), []byte{}, "a"},
		{"the synced one is damaged", []byte("x"), file(2, "b"), "b"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				path := filepath.Join(t.TempDir(), "alarms.json")
				for name, text := range map[string][]byte{path: tt.synced, path + quickSuffix: tt.quick} {
					if text == nil {
						continue
					}
					if err := os.WriteFile(name, text, 0o600); err != nil {
						t.Fatal(err)
					}
				}
				r := newRig(t, Options{File: path}, "indoor.temperature > 35", "outdoor.temperature > 35")
				defer r.end()
				if l := r.List(everything).Alarms; len(l) != 1 || l[0].Name != tt.want {
					t.Errorf("%+v", l)
				}
				r.acknowledge("anna", "1", tt.want)
				r.pass(0)
				s, _, err := parse([]byte(read(t, path)))
				if err != nil || s.N < 2 || s.Raised[0].Acknowledged == nil || read(t, path+quickSuffix) != "" {
					t.Errorf("%+v, %v", s, err)
				}
			})
		})
	}
}

func FuzzFile(f *testing.F) {
	f.Add([]byte(golden))
	f.Add([]byte(`{"raised":null,"recent":[{}],"deliveries":[{"id":"x","event":{"kind":"alarm"}}]}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		s, _, err := parse(checksum.Append(line))
		if err != nil {
			return
		}
		again, newer, err := parse(s.format())
		if err != nil || newer || len(again.Raised) != len(s.Raised) || len(again.Deliveries) != len(s.Deliveries) {
			t.Errorf("%s became %s, %v", line, s.format(), err)
		}
		a := New(Options{Sensors: sensorsOfTests, Notify: func(wire.Event) {}, Log: discard, Rules: []Rule{{"a", DefaultSeverity, mustParse(t, "indoor.temperature > 35")}}})
		a.restore(s)
		a.Tick([]wire.Record{{Reading: wire.Reading{Values: [2]float32{36, 36}}}}, 0)
		a.List(everything)
	})
}
