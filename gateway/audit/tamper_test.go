package audit

import (
	"bytes"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
)

// tamper is a change of a file's lines by somebody who does not have the key.
var tamper = map[string]func(rnd *rand.Rand, lines [][]byte, i int) ([][]byte, int){
	"a byte is changed": func(rnd *rand.Rand, lines [][]byte, i int) ([][]byte, int) {
		line := bytes.Clone(lines[i])
		at := rnd.IntN(len(line) - 1) // not the end of the line, which joins two
		line[at] ^= byte(1 + rnd.IntN(255))
		lines[i] = line
		return lines, i
	},
	"two lines are joined": func(_ *rand.Rand, lines [][]byte, i int) ([][]byte, int) {
		lines[i] = bytes.TrimSuffix(lines[i], []byte("\n"))
		return lines, i
	},
	"a record is dropped": func(_ *rand.Rand, lines [][]byte, i int) ([][]byte, int) {
		return append(lines[:i:i], lines[i+1:]...), i
	},
	"a record comes twice": func(_ *rand.Rand, lines [][]byte, i int) ([][]byte, int) {
		return append(append(lines[:i+1:i+1], lines[i]), lines[i+1:]...), i + 1
	},
	"two records change places": func(_ *rand.Rand, lines [][]byte, i int) ([][]byte, int) {
		lines[i], lines[i+1] = lines[i+1], lines[i]
		return lines, i
	},
	"all behind it is dropped": func(_ *rand.Rand, lines [][]byte, i int) ([][]byte, int) {
		return lines[:i], i
	},
}

// Ten thousand records: whatever is done to one that the anchor covers, the first bad
// one is named.
func TestTampered(t *testing.T) {
	p := newPlace(t)
	const n = 10_000
	p.fill(t, n)
	paths, firsts, err := files(p.dir, Done)
	if err != nil || len(paths) < 10 {
		t.Fatalf("%d files, %v", len(paths), err)
	}
	if done, _ := p.verify(t); done.Bad != "" || done.Records != n {
		t.Fatalf("%+v", done)
	}
	rounds := 2
	if os.Getenv("GATEWAY_TEST_SOAK") != "" {
		rounds = 2000
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	for name, change := range tamper {
		for range rounds {
			f := rnd.IntN(len(paths))
			content, err := os.ReadFile(paths[f])
			if err != nil {
				t.Fatal(err)
			}
			lines := bytes.SplitAfter(content, []byte("\n"))
			lines = lines[:len(lines)-1]
			i := 1 + rnd.IntN(len(lines)-2)         // the first is the header; one is behind it
			want := firsts[f] + uint64(i) - 1       // its number
			changed, first := change(rnd, lines, i) // the first line that is bad
			want += uint64(first - i)               // and its number
			if err := os.WriteFile(paths[f], bytes.Join(changed, nil), 0o600); err != nil {
				t.Fatal(err)
			}
			if done, _ := p.verify(t); done.Bad == "" || done.BadN != want {
				t.Errorf("%s at record %d: %+v", name, want, done)
			}
			if err := os.WriteFile(paths[f], content, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	// A file as a whole.
	for _, f := range []int{0, 3, len(paths) - 1} {
		away := paths[f] + ".away"
		if err := os.Rename(paths[f], away); err != nil {
			t.Fatal(err)
		}
		if done, _ := p.verify(t); done.BadN != firsts[f] {
			t.Errorf("without file %d: %+v, want record %d", f, done, firsts[f])
		}
		if err := os.Rename(away, paths[f]); err != nil {
			t.Fatal(err)
		}
	}
	// Another gateway's log, whole in itself, in the place of this one.
	other := newPlace(t)
	other.fill(t, n)
	if reports, err := Verify(other.dir, p.key, p.anchor, nil); err != nil || reports[0].BadN != 1 {
		t.Errorf("another's log: %+v, %v", reports, err)
	}
	// An anchor from elsewhere shows a change that the local anchor hides.
	reports, err := Verify(p.dir, p.key, p.anchor, &Outside{N: n + 1, Code: strings.Repeat("0", 64)})
	if err != nil || reports[0].BadN != n+1 {
		t.Errorf("an outside anchor of a record that is missing: %+v, %v", reports, err)
	}
	reports, err = Verify(p.dir, p.key, p.anchor, &Outside{N: 17, Code: strings.Repeat("0", 64)})
	if err != nil || reports[0].BadN != 17 {
		t.Errorf("an outside anchor of another record: %+v, %v", reports, err)
	}
}
