package audit

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sensorgateway/wire"
)

// patience is how long a test waits for what should happen at once.
const patience = time.Minute

// place is where a log of a test is.
type place struct{ dir, key, anchor string }

func newPlace(t testing.TB) place {
	dir := t.TempDir()
	return place{filepath.Join(dir, "audit"), filepath.Join(dir, "audit.key"), filepath.Join(dir, "audit.anchor")}
}

// start runs a log; stop ends it in order.
func (p place) start(t testing.TB, write func(*os.File, []byte) (int, error)) (l *Log, stop func()) {
	t.Helper()
	l = New(Options{Dir: p.dir, Key: p.key, Anchor: p.anchor, Log: slog.New(slog.DiscardHandler), write: write})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- l.Run(ctx) }()
	return l, func() {
		t.Helper()
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

func (p place) verify(t testing.TB) (done, refused Report) {
	t.Helper()
	reports, err := Verify(p.dir, p.key, p.anchor, nil)
	if err != nil {
		t.Fatal(err)
	}
	return reports[0], reports[1]
}

func command(i int) Record {
	return Record{Kind: KindCommand, ID: "k3", Name: "ann", How: "bearer", From: "192.0.2.7",
		What: json.RawMessage(fmt.Sprintf(`{"action":"start","target":"motor_%d"}`, i%3)), Result: "ok", Took: 0.25,
		Interlocks: []wire.Interlock{{Condition: "indoor.temperature < 60", Holds: true}}, Epoch: "e1", Newest: map[string]uint32{"indoor": uint32(i)}}
}

// fill appends so many records, each of which is written, and ends the log in order.
func (p place) fill(t testing.TB, n int) {
	t.Helper()
	l, stop := p.start(t, nil)
	for i := range n {
		if !l.Append(command(i), patience) {
			t.Fatalf("record %d is not written", i)
		}
	}
	stop()
}

// What was appended is there, in order, over restarts, and proved by the anchor.
func TestLog(t *testing.T) {
	p := newPlace(t)
	p.fill(t, 3)
	l, stop := p.start(t, nil)
	if !l.Append(command(3), patience) {
		t.Fatal("not written")
	}
	// Before any sync: records that were handed to the system survive the process's death.
	records, err := Read(p.dir, p.key, Query{})
	if err != nil || len(records) != 4 {
		t.Fatalf("%d records, %v", len(records), err)
	}
	for i, r := range records {
		if r.N != uint64(i+1) || r.Name != "ann" || r.Newest["indoor"] != uint32(i) || r.At == 0 {
			t.Errorf("record %d: %+v", i+1, r)
		}
	}
	done, refused := p.verify(t)
	if want := (Report{Chain: Done, Records: 4, First: 1, Last: 4, Anchored: true, Beyond: 1}); done != want {
		t.Errorf("%+v, want %+v", done, want)
	}
	if refused.Bad != "" || refused.Records != 0 {
		t.Errorf("%+v", refused)
	}
	stop()
	if done, _ = p.verify(t); done.Beyond != 0 {
		t.Errorf("after an orderly end: %+v", done)
	}
	if newest, err := Read(p.dir, p.key, Query{Limit: 2}); err != nil || len(newest) != 2 || newest[1].N != 4 {
		t.Errorf("%v %v", newest, err)
	}
	if newer, err := Read(p.dir, p.key, Query{Since: time.Now().Add(time.Hour).UnixMilli()}); err != nil || len(newer) != 0 {
		t.Errorf("%v %v", newer, err)
	}
	for _, path := range []string{p.key, p.anchor, filepath.Join(p.dir, fileName(Done, 1))} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v %v", path, info.Mode(), err)
		}
	}
}

// Records that the anchor covers and that are missing at a start are reported. A last line
// that is incomplete is not missing.
func TestMissingAtTheStart(t *testing.T) {
	p := newPlace(t)
	p.fill(t, 10)
	path := filepath.Join(p.dir, fileName(Done, 1))
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := bytes.SplitAfter(content, []byte("\n"))
	if err := os.WriteFile(path, bytes.Join(lines[:8], nil), 0o600); err != nil { // 3 are missing
		t.Fatal(err)
	}
	p.fill(t, 1)
	records, err := Read(p.dir, p.key, Query{})
	if err != nil || len(records) != 9 {
		t.Fatalf("%d records, %v", len(records), err)
	}
	if i := slices.IndexFunc(records, func(r Record) bool { return r.N == 11 }); i < 0 || records[i].Kind != KindMissing || records[i].Count != 3 {
		t.Errorf("%+v", records)
	}
	if done, _ := p.verify(t); done.BadN != 8 || !strings.Contains(done.Bad, "records 8 to 10 are missing") {
		t.Errorf("%+v", done)
	}
	// A line that was being written when the power failed was never acknowledged.
	q := newPlace(t)
	q.fill(t, 2)
	path = filepath.Join(q.dir, fileName(Done, 1))
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = f.WriteString(`{"n":3,"chain":"do`)
	f.Close()
	if done, _ := q.verify(t); done.Bad != "" || !done.BeingWritten {
		t.Errorf("%+v", done)
	}
	q.fill(t, 1)
	if done, _ := q.verify(t); done.Bad != "" || done.Last != 3 {
		t.Errorf("%+v", done)
	}
}

// A file that was changed stays as it is, and the log goes on behind it.
func TestChangedFileIsKept(t *testing.T) {
	for name, at := range map[string]int{"its header": 3, "its first record": 1, "its last record": 0} {
		p := newPlace(t)
		p.fill(t, 3)
		path := filepath.Join(p.dir, fileName(Done, 1))
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		lines := bytes.SplitAfter(content, []byte("\n"))
		switch at {
		case 3:
			lines[0][4] ^= 1
		case 1:
			lines[1][20] ^= 1
		default:
			lines[3][20] ^= 1
		}
		changed := bytes.Join(lines, nil)
		if err := os.WriteFile(path, changed, 0o600); err != nil {
			t.Fatal(err)
		}
		p.fill(t, 2)
		if kept, _ := os.ReadFile(path); !bytes.Equal(kept, changed) {
			t.Errorf("%s: the evidence was changed", name)
		}
		if done, _ := p.verify(t); done.Bad == "" {
			t.Errorf("%s: %+v", name, done)
		}
		if paths, _, _ := files(p.dir, Done); len(paths) != 2 {
			t.Errorf("%s: %q", name, paths)
		}
	}
}

// The log is bounded, and what was evicted is not called missing.
func TestEvicted(t *testing.T) {
	p := newPlace(t)
	w := &writer{dir: p.dir, chain: Done, keep: 3, key: make([]byte, keySize), write: (*os.File).Write, fsync: (*os.File).Sync}
	l := New(Options{Dir: p.dir, Key: p.key, Anchor: p.anchor, Log: slog.New(slog.DiscardHandler)})
	if err := os.MkdirAll(p.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(p.key, w.key, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := w.resume(mark{}); err != nil {
		t.Fatal(err)
	}
	d := &disk{key: w.key, writers: []*writer{w}, logged: time.Now()}
	for i := range 5_000 {
		if err := w.append(command(i)); err != nil {
			t.Fatal(err)
		}
		if i%100 == 0 {
			l.syncOnce(d, true)
		}
	}
	l.syncOnce(d, true)
	d.close()
	paths, firsts, err := files(p.dir, Done)
	if err != nil || len(paths) != 3 {
		t.Fatalf("%d files, %v", len(paths), err)
	}
	if done, _ := p.verify(t); done.Bad != "" || done.First != firsts[0] || done.Last != 5_000 {
		t.Errorf("%+v", done)
	}
	if err := os.Remove(paths[0]); err != nil {
		t.Fatal(err)
	}
	if done, _ := p.verify(t); done.BadN != firsts[0] {
		t.Errorf("without the oldest file: %+v", done)
	}
}

// A flood of refusals becomes one record for each kind and minute, and evicts no record of what was done.
func TestRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPlace(t)
		l, stop := p.start(t, nil)
		l.Append(command(0), patience)
		for i := range 10_000 {
			l.Count(Record{Kind: KindRefused, From: "192.0.2.66", Result: "not allowed"}, "one")
			l.Count(Record{Kind: KindRefused, From: fmt.Sprint(i), Result: "not allowed"}, fmt.Sprint("from ", i))
		}
		time.Sleep(3 * countFor)
		stop()
		records, err := Read(p.dir, p.key, Query{})
		if err != nil || len(records) > 2*maxKinds+3 {
			t.Fatalf("%d records, %v", len(records), err)
		}
		counted := map[string]int64{}
		for _, r := range records {
			if r.Chain == Counted {
				counted[r.From] += max(r.Count, 1)
			}
		}
		if counted["192.0.2.66"] != 10_000 || counted[""] != 10_000-(maxKinds-1) {
			t.Errorf("%v", counted)
		}
		done, refused := p.verify(t)
		if done.Bad != "" || refused.Bad != "" || done.Records != 1 {
			t.Errorf("%+v %+v", done, refused)
		}
	})
}

// The bytes of a file, which other versions must read.
func TestGolden(t *testing.T) {
	key := bytes.Repeat([]byte{7}, keySize)
	content := sealHeader(key, header{Chain: Done, First: 1}, code{})
	var before code
	for i := range 3 {
		r := command(i)
		r.N, r.Chain, r.At, r.Unsynced = uint64(i+1), Done, 1712345678901+int64(i), i == 0
		text, err := r.encode()
		if err != nil {
			t.Fatal(err)
		}
		var line []byte
		line, before = seal(key, before, text)
		content = append(content, line...)
	}
	const golden = "testdata/done.jsonl"
	want, err := os.ReadFile(golden)
	if errors.Is(err, os.ErrNotExist) && os.Getenv("GATEWAY_TEST_GOLDEN") != "" {
		err = os.WriteFile(golden, content, 0o600)
		want = content
	}
	if err != nil || !bytes.Equal(content, want) {
		t.Errorf("%v\n%s\nwant\n%s", err, content, want)
	}
	s, err := readFile(golden, Done, key, nil)
	if err != nil || s.bad != nil || s.records != 3 || s.code != before {
		t.Errorf("%+v %v", s, err)
	}
}

// Whatever is in a file: reading it ends, and accepts nothing without the key.
func FuzzReadFile(f *testing.F) {
	golden, err := os.ReadFile("testdata/done.jsonl")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(golden)
	f.Add(golden[:100])
	f.Add([]byte(`{"audit":1,"mac":""}` + "\n\n\n"))
	key := bytes.Repeat([]byte{7}, keySize)
	path := filepath.Join(f.TempDir(), "x")
	f.Fuzz(func(t *testing.T, content []byte) {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := readFile(path, Done, key, nil)
		if err == nil && s.records > 0 && !bytes.HasPrefix(golden, content[:s.whole]) {
			t.Errorf("%d records are accepted of\n%s", s.records, content)
		}
	})
}

// BenchmarkAppend is a record from the call until it is in the page cache.
func BenchmarkAppend(b *testing.B) {
	l, stop := newPlace(b).start(b, nil)
	defer stop()
	for i := 0; b.Loop(); i++ {
		l.Append(command(i), patience)
	}
}

// Files that could not be evicted are evicted once that is possible, without a further record.
func TestEvictedLater(t *testing.T) {
	p := newPlace(t)
	if err := os.MkdirAll(p.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(p.key, make([]byte, keySize), 0o600); err != nil {
		t.Fatal(err)
	}
	missing := filepath.Join(filepath.Dir(p.anchor), "missing")
	l := New(Options{Dir: p.dir, Key: p.key, Anchor: filepath.Join(missing, "anchor"), Log: slog.New(slog.DiscardHandler)})
	w := &writer{dir: p.dir, chain: Done, keep: 1, key: make([]byte, keySize), write: (*os.File).Write, fsync: (*os.File).Sync}
	if _, _, err := w.resume(mark{}); err != nil {
		t.Fatal(err)
	}
	d := &disk{key: w.key, writers: []*writer{w}, logged: time.Now()}
	defer d.close()
	for i := range 1_000 {
		if err := w.append(command(i)); err != nil {
			t.Fatal(err)
		}
	}
	count := func() int { paths, _, _ := files(p.dir, Done); return len(paths) }
	l.syncOnce(d, false)
	if n := count(); n < 2 {
		t.Fatalf("%d files: nothing may be evicted while the anchor is not stored", n)
	}
	if err := os.Mkdir(missing, 0o700); err != nil {
		t.Fatal(err)
	}
	l.syncOnce(d, false)
	if n := count(); n != 1 {
		t.Errorf("%d files, want 1", n)
	}
}
