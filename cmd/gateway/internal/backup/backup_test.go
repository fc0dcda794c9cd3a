package backup

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var head = Head{Gateway: "greenhouse", Version: "v1.2.3", Made: time.Unix(1712345678, 0).UTC()}

// never is of state directories without a latched e-stop.
func never(string) bool { return false }

// fill makes files by their names.
func fill(t testing.TB, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o750), os.WriteFile(path, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
}

// content is all that a directory has.
func content(t testing.TB, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		name, _ := filepath.Rel(dir, path)
		files[filepath.ToSlash(name)] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func same(t testing.TB, what string, got, want map[string]string) {
	t.Helper()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%s:\n got %q\nwant %q", what, got, want)
	}
}

func small(t testing.TB) (path string, want map[string]string) {
	t.Helper()
	dir := t.TempDir()
	want = map[string]string{"tokens.json": "tokens", "estop": "anna\n1\n", "audit/done-1.jsonl": "a\nb\n", "audit.anchor": "anchor", "more/of/it": "x", "empty": ""}
	fill(t, dir, want)
	fill(t, dir, map[string]string{
		"lock": "", "lost+found/x": "the file system's", "state.json": "numbers", "state.json.damaged-1": "x", "tokens.json.new": "half", "more/y.new": "half",
		"audit/done-1.jsonl": "a\nb\n{\"half", "log/0000000000000001.segment.new": "half", "log/damaged/0000000000000001.segment": "bad", "log/notes": "x",
	})
	path = filepath.Join(t.TempDir(), "backup")
	s, err := Write(path, dir, head)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 || s.Files != len(want) || s.Bytes != 24 || s.Backup != 1 {
		t.Fatalf("%v, %v, %+v", info.Mode(), err, s)
	}
	return path, want
}

func TestBackupAndRestore(t *testing.T) {
	path, want := small(t)
	dir := filepath.Join(t.TempDir(), "state")
	fill(t, dir, map[string]string{"lock": "", "lost+found/x": "the file system's", "state.json": "old numbers", "tokens.json": "old", "gone": "old", "audit/done-9.jsonl": "old", "more": "a file", "log/old": "old"})
	s, err := Restore(path, dir, never)
	if err != nil || s.Head.Gateway != head.Gateway || !s.Made.Equal(head.Made) || s.Files != len(want) {
		t.Fatalf("%+v, %v", s, err)
	}
	want["lock"], want["lost+found/x"] = "", "the file system's"
	same(t, "restored", content(t, dir), want)
	if info, err := os.Stat(filepath.Join(dir, "tokens.json")); err != nil || info.Mode().Perm() != 0o600 {
		t.Error(info.Mode(), err)
	}
	if names, err := InUse(dir); err != nil || len(names) != 6 {
		t.Error(names, err)
	}
	if err := os.MkdirAll(filepath.Join(dir, "fresh", "lost+found"), 0o700); err != nil {
		t.Fatal(err)
	}
	if names, err := InUse(filepath.Join(dir, "fresh")); err != nil || len(names) != 0 { // of a new file system
		t.Error(names, err)
	}
	if names, err := InUse(filepath.Join(dir, "missing")); err != nil || len(names) != 0 {
		t.Error(names, err)
	}
}

// TestRestoreLinked: a log that is on another disk stays there, and other files on that
// disk stay too; if that disk is not mounted, nothing is written to the first one instead.
func TestRestoreLinked(t *testing.T) {
	path, want := small(t)
	dir, disk := filepath.Join(t.TempDir(), "state"), t.TempDir()
	fill(t, dir, map[string]string{"tokens.json": "old", "lock": ""})
	fill(t, disk, map[string]string{"audit/done-9.jsonl": "old", "audit/restore.new/half": "x", "audit/photo.jpg": "theirs", "log/0000000000000009.segment": "old", "log/lost+found/x": "theirs"})
	for _, name := range []string{"audit", "log"} {
		if err := os.Symlink(filepath.Join(disk, name), filepath.Join(dir, name)); err != nil {
			t.Skip(err) // it needs a privilege on Windows
		}
	}
	if _, err := Restore(path, dir, never); err != nil {
		t.Fatal(err)
	}
	same(t, "the disk", content(t, disk), map[string]string{"audit/done-1.jsonl": want["audit/done-1.jsonl"], "audit/photo.jpg": "theirs", "log/lost+found/x": "theirs"})
	for _, name := range []string{"audit", "log"} {
		if info, err := os.Lstat(filepath.Join(dir, name)); err != nil || info.Mode().Type() != fs.ModeSymlink {
			t.Errorf("%s is no link any more: %v", name, err)
		}
	}
	if got, err := os.ReadFile(filepath.Join(dir, "tokens.json")); err != nil || string(got) != "tokens" {
		t.Errorf("%q, %v", got, err)
	}

	if err := os.Rename(disk, disk+".away"); err != nil {
		t.Fatal(err)
	}
	if _, err := Restore(path, dir, never); err == nil || !strings.Contains(err.Error(), "leads to no directory; fix: mount") {
		t.Errorf("the disk is away: %v", err)
	}
}

// TestDamaged: a file in which any byte was changed, or that ends too early, is refused
// with a reason, and nothing is changed.
func TestDamaged(t *testing.T) {
	path, want := small(t)
	tries := 0
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	old := map[string]string{"tokens.json": "old", "state.json": "old"}
	fill(t, dir, old)
	bad := filepath.Join(t.TempDir(), "bad")
	try := func(what string, data []byte) {
		t.Helper()
		if err := os.WriteFile(bad, data, 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := Check(bad)
		tries++
		if restored := t.TempDir(); err == nil { // a bit that nothing depends on
			if _, err := Restore(bad, restored, never); err != nil {
				t.Errorf("%s: %v", what, err)
			}
			same(t, what, content(t, restored), want)
			return
		}
		if !errors.Is(err, ErrDamaged) || strings.Contains(err.Error(), "EOF") || strings.HasSuffix(err.Error(), "<nil>") {
			t.Errorf("%s: %v", what, err)
		}
		if tries%50 != 0 {
			return
		}
		if _, err := Restore(bad, dir, never); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: restored: %v", what, err)
		}
	}
	for i := range whole {
		if i >= 3 && i < 10 { // flags, time and system of gzip's header are no content
			continue
		}
		data := bytes.Clone(whole)
		data[i] ^= 0x10
		try(fmt.Sprint("byte ", i), data)
	}
	for n := range whole {
		try(fmt.Sprint("the first ", n), whole[:n])
	}
	try("more behind it", append(bytes.Clone(whole), "more"...))
	same(t, "after all that", content(t, dir), old)
}

// TestForged: sums protect from accidents; names that lead elsewhere are refused whatever
// the sums are.
func TestForged(t *testing.T) {
	type entry struct {
		name, text string
		kind       byte
	}
	first := func(version int) entry {
		h := head
		h.Backup = version
		text, _ := json.Marshal(h)
		return entry{headName, string(text), tar.TypeReg}
	}
	none := entry{sumsName, "[]", tar.TypeReg}
	for what, tt := range map[string]struct {
		entries []entry
		want    string
	}{
		"outside":      {[]entry{first(1), {"../tokens.json", "x", tar.TypeReg}, none}, `"../tokens.json" does not belong into a backup`},
		"absolute":     {[]entry{first(1), {"/etc/passwd", "x", tar.TypeReg}, none}, `does not belong into a backup`},
		"a link":       {[]entry{first(1), {"log", "", tar.TypeSymlink}, none}, `"log" does not belong into a backup`},
		"a lock":       {[]entry{first(1), {"lock", "", tar.TypeReg}, none}, `"lock" does not belong into a backup`},
		"without sums": {[]entry{first(1)}, "its end is missing"},
		"too many":     {[]entry{first(1), {"x", "x", tar.TypeReg}, none}, "x does not belong into it"},
		"too few":      {[]entry{first(1), {sumsName, `[{"name":"x","size":1,"sha256":"00"}]`, tar.TypeReg}}, "x is missing"},
		"another":      {[]entry{first(1), {"x", "x", tar.TypeReg}, {sumsName, `[{"name":"x","size":1,"sha256":"00"}]`, tar.TypeReg}}, "the checksum of x does not match"},
		"another tar":  {[]entry{{"x", "x", tar.TypeReg}}, `it begins with "x"`},
		"newer":        {[]entry{first(2), none}, "it has version 2 of the format"},
		"no JSON":      {[]entry{{headName, "{", tar.TypeReg}}, headName},
	} {
		var b bytes.Buffer
		zipped := gzip.NewWriter(&b)
		w := tar.NewWriter(zipped)
		for _, e := range tt.entries {
			if err := w.WriteHeader(&tar.Header{Typeflag: e.kind, Name: e.name, Size: int64(len(e.text)), Mode: 0o600}); err != nil {
				t.Fatal(err)
			}
			if _, err := w.Write([]byte(e.text)); err != nil {
				t.Fatal(err)
			}
		}
		if err := errors.Join(w.Close(), zipped.Close()); err != nil {
			t.Fatal(err)
		}
		path, dir := filepath.Join(t.TempDir(), "forged"), t.TempDir()
		if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Check(path); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", what, err, tt.want)
		}
		if _, err := Restore(path, dir, never); err == nil {
			t.Errorf("%s: restored", what)
		}
		same(t, what, content(t, dir), nil)
	}
}

func FuzzCheck(f *testing.F) {
	path, _ := small(f)
	whole, err := os.ReadFile(path)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole)
	f.Add(whole[:len(whole)/2])
	f.Add([]byte("\x1f\x8b"))
	file := filepath.Join(f.TempDir(), "fuzzed")
	f.Fuzz(func(t *testing.T, data []byte) {
		if err := os.WriteFile(file, data, 0o600); err != nil {
			t.Fatal(err)
		}
		if s, err := Check(file); err == nil && (s.Backup != version || s.Files < 0) {
			t.Errorf("%+v", s)
		}
	})
}
