package phrase

import (
	"encoding/json"
	"reflect"
	"testing"
)

func TestEscapeJSON(t *testing.T) {
	for in, want := range map[string]string{
		`{"a":"b"}` + "\n":           `{"a":"b"}` + "\n",
		"\"\u009b31m\u0085\u007f\"":  `"\u009b31m\u0085\u007f"`,
		"\"\u202egpj.exe\u2066\"":    `"\u202egpj.exe\u2066"`,
		"\"\u2028\u2029\ufeff\u00ad": `"\u2028\u2029\ufeff\u00ad`,
		"\"\U000e0001 👍🏽 漢字 °C\"":    `"\udb40\udc01 👍🏽 漢字 °C"`,
	} {
		if got := string(EscapeJSON([]byte(in))); got != want {
			t.Errorf("%q became %s, want %s", in, got, want)
		}
	}
}

// Whatever the text, its JSON means the same and steers no terminal.
func FuzzEscapeJSON(f *testing.F) {
	f.Add("\x1b[2J\u009b\u202e\r\n\U000e0001\xff")
	f.Fuzz(func(t *testing.T, s string) {
		plain, err := json.Marshal(map[string]string{s: s})
		if err != nil {
			t.Fatal(err)
		}
		escaped := EscapeJSON(plain)
		for _, r := range string(escaped) {
			if r < ' ' || r >= 0x7f && r < 0xa0 || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 {
				t.Errorf("%q lets %U through", s, r)
			}
		}
		var want, got map[string]string
		if json.Unmarshal(plain, &want) != nil || json.Unmarshal(escaped, &got) != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%q became %s", s, escaped)
		}
	})
}
