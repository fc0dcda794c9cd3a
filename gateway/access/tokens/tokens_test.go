package tokens

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// makeToken adds a token to the file in a directory, and returns its text.
func makeToken(t *testing.T, dir string, token Token) (text string) {
	t.Helper()
	edit(t, dir, func(f *File) (err error) {
		text, err = f.Add(token)
		return err
	})
	return text
}

func edit(t *testing.T, dir string, change func(*File) error) {
	t.Helper()
	if err := Edit(dir, change); err != nil {
		t.Fatal(err)
	}
}

// golden is a file with everything that one can have.
func golden() *File {
	day := time.Date(2026, 5, 17, 8, 30, 0, 0, time.UTC)
	return &File{
		Gateway: "k3v9q2m7x1ab",
		Tokens: []Token{
			{ID: "aaaaaaaaaaaa", Name: "ayşe", Role: Admin, Created: day, By: "root", Hash: hashOf("one")},
			{ID: "bbbbbbbbbbbb", Name: "wall display", Role: Viewer, Sensors: []string{"indoor", "outdoor"}, Motors: []string{"fan"},
				Expires: day.AddDate(0, 3, 0), Created: day.Add(time.Hour), By: "ayşe", Hash: hashOf("two")},
		},
		Codes:  []Code{{Token: "bbbbbbbbbbbb", Expires: day.Add(time.Hour), Hash: hashOf("three")}},
		Logins: []Login{{ID: "cccccccccccc", Token: "aaaaaaaaaaaa", Created: day, From: "192.0.2.7", Hash: hashOf("four")}},
	}
}

func TestGoldenFile(t *testing.T) {
	want, err := os.ReadFile("testdata/tokens.json")
	if err != nil {
		t.Fatal(err)
	}
	if got := golden().format(); !bytes.Equal(got, want) {
		t.Errorf("the file is\n%s\nnot\n%s", got, want)
	}
	f, err := parse(want)
	if err != nil {
		t.Fatal(err)
	}
	if again := f.format(); !bytes.Equal(again, want) {
		t.Errorf("read and written again it is\n%s", again)
	}
}

// TestFileRefused holds that nothing ambiguous or unknown is read: a scope that is
// ignored would widen rights.
func TestFileRefused(t *testing.T) {
	good := string(golden().format())
	for name, change := range map[string][2]string{
		"no JSON":                  {"{", "["},
		"another version":          {`"version": 1`, `"version": 2`},
		"an unknown key":           {`"sensors"`, `"only_sensors"`},
		"an unknown role":          {`"viewer"`, `"owner"`},
		"no role":                  {`"role": "viewer",`, ``},
		"an empty role":            {`"viewer"`, `""`},
		"an empty scope name":      {`"indoor"`, `""`},
		"a name twice":             {`"wall display"`, `"ayşe"`},
		"a name of controls":       {`"wall display"`, `"wall\u001bdisplay"`},
		"an id twice":              {`"id": "bbbbbbbbbbbb"`, `"id": "aaaaaaaaaaaa"`},
		"an id for a header":       {`k3v9q2m7x1ab`, `k3v9; Path=/`},
		"no id of the gateway":     {`k3v9q2m7x1ab`, ``},
		"a hash twice":             {hexOf("two"), hexOf("one")},
		"a short hash":             {hexOf("two"), hexOf("two")[:62]},
		"a long hash":              {hexOf("two"), hexOf("two") + "00"},
		"a hash in capitals":       {hexOf("two"), strings.ToUpper(hexOf("two"))},
		"the hash of nothing":      {hexOf("two"), strings.Repeat("0", 64)},
		"a login of nobody":        {`"token": "aaaaaaaaaaaa"`, `"token": "dddddddddddd"`},
		"a code of nobody":         {`"token": "bbbbbbbbbbbb"`, `"token": "dddddddddddd"`},
		"a code that is a token's": {hexOf("three"), hexOf("one")},
	} {
		bad := strings.Replace(good, change[0], change[1], 1)
		if bad == good {
			t.Errorf("%s: %q is not in the file", name, change[0])
		} else if _, err := parse([]byte(bad)); err == nil {
			t.Errorf("%s is read", name)
		}
	}
	for name, data := range map[string][]byte{
		"nothing": nil, "null": []byte("null"), "a second file behind it": []byte(good + good), "half a file": []byte(good[:len(good)/2]),
		"4 MiB": append([]byte(good), bytes.Repeat([]byte(" "), maxFile)...),
	} {
		if _, err := parse(data); err == nil {
			t.Errorf("%s is read", name)
		}
	}
}

func hexOf(secret string) string {
	text, _ := hashOf(secret).MarshalText() // it never fails
	return string(text)
}

func FuzzFile(f *testing.F) {
	f.Add(golden().format())
	f.Add((&File{Gateway: "a"}).format())
	f.Add([]byte(`{"version":1,"gateway":"a","tokens":null}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		file, err := parse(data)
		if err != nil {
			return
		}
		once := file.format()
		again, err := parse(once)
		if err != nil {
			t.Fatalf("%q becomes %q, which is refused: %v", data, once, err)
		}
		if twice := again.format(); !bytes.Equal(once, twice) {
			t.Fatalf("%q becomes %q", once, twice)
		}
		for _, token := range file.Tokens {
			if token.Role.AtLeast(Admin) != (token.Role == Admin) || !token.Role.AtLeast(Viewer) {
				t.Fatalf("role %q", token.Role)
			}
		}
	})
}

func FuzzUsed(f *testing.F) {
	f.Add([]byte(`{"aaaaaaaaaaaa":"2026-05-17T08:30:00Z"}`))
	f.Add([]byte(`{"aaaaaaaaaaaa":{"at":"2026-05-17T08:30:00Z","from":"192.0.2.7"}}`))
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, data []byte) {
		at, err := parseUsed(data)
		if at == nil || err != nil && len(at) > 0 {
			t.Fatalf("%v, %v", at, err)
		}
	})
}

func TestRoles(t *testing.T) {
	for i, role := range Roles() {
		for j, other := range Roles() {
			if role.AtLeast(other) != (i >= j) {
				t.Errorf("%s may do what %s may: %t", role, other, i < j)
			}
		}
		if Role("").AtLeast(role) || Role("root").AtLeast(role) {
			t.Errorf("what is no role may do what %s may", role)
		}
	}
}

// TestEditsTogether holds that of changes made at the same time none is lost, and
// that the file is whole at all times.
func TestEditsTogether(t *testing.T) {
	dir := t.TempDir()
	names := []string{"a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"}
	var edits sync.WaitGroup
	for _, name := range names {
		edits.Go(func() {
			if err := Edit(dir, func(f *File) error { _, err := f.Add(Token{Name: name, Role: Viewer}); return err }); err != nil {
				t.Error(err)
			}
			if _, err := Read(dir); err != nil {
				t.Error(err)
			}
		})
	}
	edits.Wait()
	f, err := Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if f.Find(name) == nil {
			t.Errorf("%s is lost", name)
		}
	}
	if info, err := os.Stat(filepath.Join(dir, fileName)); err != nil || info.Mode() != 0o600 {
		t.Errorf("the file: %v, %v", info.Mode(), err)
	}
}

// TestEditFails holds that a change that is refused changes nothing.
func TestEditFails(t *testing.T) {
	dir := t.TempDir()
	makeToken(t, dir, Token{Name: "ayşe", Role: Admin})
	before, _ := os.ReadFile(filepath.Join(dir, fileName))
	for name, change := range map[string]func(*File) error{
		"a name twice":     func(f *File) error { _, err := f.Add(Token{Name: "ayşe", Role: Viewer}); return err },
		"no name":          func(f *File) error { _, err := f.Add(Token{Role: Viewer}); return err },
		"a terminal's":     func(f *File) error { _, err := f.Add(Token{Name: "x\x1b[2J", Role: Viewer}); return err },
		"no role":          func(f *File) error { _, err := f.Add(Token{Name: "x"}); return err },
		"an unknown one":   func(f *File) error { return f.Revoke("mehmet") },
		"no such rotation": func(f *File) error { _, err := f.Rotate("mehmet"); return err },
		"no such code":     func(f *File) error { _, err := f.AddCode("mehmet"); return err },
		"too many": func(f *File) error {
			for i := 0; ; i++ {
				if _, err := f.Add(Token{Name: newID(), Role: Viewer}); err != nil {
					return err
				}
			}
		},
	} {
		if err := Edit(dir, change); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if after, _ := os.ReadFile(filepath.Join(dir, fileName)); !bytes.Equal(before, after) {
		t.Errorf("the file has changed to\n%s", after)
	}
}

// TestNoSecretIsStored holds that no file contains a token, a code or a login's secret.
func TestNoSecretIsStored(t *testing.T) {
	dir := t.TempDir()
	text := makeToken(t, dir, Token{Name: "ayşe", Role: Admin})
	var code string
	edit(t, dir, func(f *File) (err error) { code, err = f.AddCode("ayşe"); return err })
	s := open(t, dir)
	cookie, _, err := s.LogIn(code, "192.0.2.7")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Find(cookie, ""); err != nil {
		t.Fatal(err)
	}
	s.used.write(dir, s.log)
	files, _ := filepath.Glob(filepath.Join(dir, "*"))
	if len(files) != 2 {
		t.Errorf("the files are %v", files)
	}
	for _, file := range files {
		data, _ := os.ReadFile(file)
		for _, secret := range []string{text, code, cookie} {
			if bytes.Contains(data, []byte(secret)) || bytes.Contains(data, []byte(secret[4:20])) {
				t.Errorf("%s has a secret in it", file)
			}
		}
	}
}
