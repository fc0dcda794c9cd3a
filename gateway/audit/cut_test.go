package audit

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// severalFiles returns a log of so many records that it has three files at least.
func severalFiles(t *testing.T) (p place, paths []string, firsts []uint64) {
	t.Helper()
	p = newPlace(t)
	p.fill(t, severalFilesHave)
	paths, firsts, err := files(p.dir, Done)
	if err != nil || len(paths) < 3 {
		t.Fatalf("%d files, %v", len(paths), err)
	}
	return p, paths, firsts
}

const severalFilesHave = 1500 // records

// However far the files behind the last whole record got until the power failed, the log goes on
// behind that record, and verifies.
func TestCutWhileAFileBegins(t *testing.T) {
	p, paths, firsts := severalFiles(t)
	read := func(path string) []byte {
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return content
	}
	var whole [][]byte
	for _, path := range paths {
		whole = append(whole, read(path))
	}
	key := read(p.key)
	behind := func(file int) string { return fileName(Done, firsts[file]) }
	torn := func(file int) []byte { return whole[file][:len(whole[file])-100] } // its last record
	for _, tt := range []struct {
		name  string
		files map[string][]byte
		last  uint64 // number of the last whole record
	}{
		{"the first file ever", map[string][]byte{behind(0): nil}, 0},
		{"the second file", map[string][]byte{behind(0): whole[0], behind(1): nil}, firsts[1] - 1},
		{"a file of several", map[string][]byte{behind(0): whole[0], behind(1): whole[1], behind(2): nil}, firsts[2] - 1},
		{"within its first line", map[string][]byte{behind(0): whole[0], behind(1): whole[1][:50]}, firsts[1] - 1},
		{"behind its first line", map[string][]byte{behind(0): whole[0], behind(1): whole[1][:bytes.IndexByte(whole[1], '\n')+1]}, firsts[1] - 1},
		{"with the end of the file before", map[string][]byte{behind(0): whole[0], behind(1): torn(1), behind(2): nil}, firsts[2] - 2},
		{"with two files", map[string][]byte{behind(0): torn(0), behind(1): nil, behind(2): nil}, firsts[1] - 2},
	} {
		q := newPlace(t)
		if err := os.MkdirAll(q.dir, 0o700); err != nil {
			t.Fatal(err)
		}
		for name, content := range tt.files {
			if err := os.WriteFile(filepath.Join(q.dir, name), content, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.WriteFile(q.key, key, 0o600); err != nil {
			t.Fatal(err)
		}
		w := &writer{dir: q.dir, chain: Done, keep: 32, key: key, write: (*os.File).Write}
		missing, bad, err := w.resume(mark{})
		if err != nil || bad != nil || missing != 0 || w.last != tt.last || w.oldest != 1 {
			t.Errorf("%s: resumes behind record %d, want %d; %d missing, %v, %v", tt.name, w.last, tt.last, missing, bad, err)
		}
		if err := w.append(command(0)); err != nil {
			t.Fatal(err)
		}
		_ = w.file.Close()
		q.fill(t, 1)
		if done, _ := q.verify(t); done.Bad != "" || done.First != 1 || done.Last != tt.last+2 {
			t.Errorf("%s: %+v, want records up to %d", tt.name, done, tt.last+2)
		}
	}
}

// A file that was emptied by somebody is one that the anchor has records of.
func TestEmptiedFile(t *testing.T) {
	p, paths, firsts := severalFiles(t)
	if err := os.Truncate(paths[len(paths)-1], 0); err != nil {
		t.Fatal(err)
	}
	p.fill(t, 1)
	if done, _ := p.verify(t); done.BadN != firsts[len(firsts)-1] {
		t.Errorf("%+v, want record %d", done, firsts[len(firsts)-1])
	}
	records, err := Read(p.dir, p.key, Query{})
	if i := slices.IndexFunc(records, func(r Record) bool { return r.Kind == KindMissing }); err != nil || i < 0 || records[i].N != severalFilesHave+1 {
		t.Errorf("%d records, the missing ones are reported at %d, %v", len(records), i, err)
	}
}
