package tokens

import (
	"strings"
	"testing"
)

func TestText(t *testing.T) {
	text := newText()
	if len(text) != 53 || !strings.HasPrefix(text, "gwt_") {
		t.Fatalf("a token has %d characters and begins with %q", len(text), text[:4])
	}
	if err := CheckText(text); err != nil {
		t.Fatal(err)
	}
	if newText() == text {
		t.Error("two tokens are the same")
	}
	// The example of the README, as other programs compute it.
	const body = "gwt_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
	if err := CheckText(body + "2x1kK3"); err != nil {
		t.Errorf("%s is %s: %v", body, checksum(body), err)
	}
}

// TestTypos holds that each wrong character, and each pair that changed places, is
// found without a look-up, and that no error contains the text.
func TestTypos(t *testing.T) {
	text := newText()
	bad := map[string]string{"nothing": "", "its prefix": prefix, "cut": text[:52], "longer": text + "x", "in capitals": strings.ToUpper(text), "another's": "ghp_" + text[4:]}
	for i := range text {
		for _, c := range "A_z\x00é" {
			if typo := text[:i] + string(c) + text[i+1:]; typo != text {
				bad["character "+string(rune('0'+i))+string(c)] = typo
			}
		}
		if i > 0 && text[i] != text[i-1] {
			bad["pair "+string(rune('0'+i))] = text[:i-1] + text[i:i+1] + text[i-1:i] + text[i+1:]
		}
	}
	for name, typo := range bad {
		err := CheckText(typo)
		if err == nil {
			t.Errorf("%s: %q is accepted", name, typo)
		} else if strings.Contains(err.Error(), text[10:20]) {
			t.Errorf("%s: the error has the token in it: %v", name, err)
		}
	}
}

func FuzzText(f *testing.F) {
	f.Add(newText())
	f.Add("gwt_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA2x1kK3")
	f.Add("gwt_")
	f.Fuzz(func(t *testing.T, text string) {
		if CheckText(text) == nil && (len(text) != textLen || checksum(text[:textLen-sumLen]) != text[textLen-sumLen:]) {
			t.Fatalf("%q is accepted", text)
		}
	})
}
