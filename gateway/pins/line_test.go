package pins

import (
	"strings"
	"testing"
)

func TestParseLine(t *testing.T) {
	for _, tt := range []struct {
		in, canonical string
		want          lineName
	}{
		{"GPIO17", "GPIO17", lineName{name: "GPIO17"}},
		{"17", "GPIO17", lineName{offset: 17}},
		{"0", "GPIO0", lineName{}},
		{"gpiochip2/17", "gpiochip2/17", lineName{chip: "gpiochip2", offset: 17}},
		{"gpiochip0/GPIO17", "gpiochip0/GPIO17", lineName{chip: "gpiochip0", name: "GPIO17"}},
		{"SPI_CE0_N", "SPI_CE0_N", lineName{name: "SPI_CE0_N"}},
		{"[SDA0]", "[SDA0]", lineName{name: "[SDA0]"}},
		{"65535", "GPIO65535", lineName{offset: 65535}},
	} {
		got, err := parseLine(tt.in)
		if err != nil || got != tt.want || got.String() != tt.canonical {
			t.Errorf("%q: %+v %q, %v; want %+v %q", tt.in, got, got, err, tt.want, tt.canonical)
		}
	}
	for _, in := range []string{
		"", "/", "/17", "gpiochip0", "gpiochip0/", "gpiochip/1", "gpiochip01/1", "gpiochip0/1/2", "gpiochip0/gpiochip1",
		"/dev/gpiochip0/1", "017", "+17", "-1", "1e3", "0x11", "65536", "17 ", " GPIO17", "GPIO 17", "GPIO17\n",
		"gpiochip0/\x00", "3V3", "é", strings.Repeat("A", 32), "pwmchip0/0",
	} {
		if got, err := parseLine(in); err == nil {
			t.Errorf("%q was taken, as %+v", in, got)
		}
	}
}

func TestParseChannel(t *testing.T) {
	for _, in := range []string{"pwmchip0/0", "pwmchip12/3"} {
		if got, err := parseChannel(in); err != nil || got.String() != in {
			t.Errorf("%q: %v, %v", in, got, err)
		}
	}
	for _, in := range []string{"", "pwmchip", "pwmchip0", "pwmchip0/", "pwmchip/0", "pwmchip0/00", "pwmchip01/0", "pwmchip0/-1",
		"pwmchip0/0/", "pwmchip0/../x", "pwmchip0/0\n", "pwmchip00000/0", "GPIO18"} {
		if got, err := parseChannel(in); err == nil {
			t.Errorf("%q was taken, as %v", in, got)
		}
	}
}

// A valid name has a canonical form, which parses to the same line and is safe in a path.
func FuzzPinName(f *testing.F) {
	for _, s := range []string{"GPIO17", "17", "gpiochip2/17", "gpiochip2/LED", "pwmchip0/1", "017", "gpiochip0/../../x", "[SDA0]", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		name, err := Canonical(s)
		if err != nil {
			return
		}
		if again, err := Canonical(name); err != nil || again != name {
			t.Errorf("%q became %q, which becomes %q, %v", s, name, again, err)
		}
		if strings.Count(name, "/") > 1 || strings.Contains(name, "/.") || strings.ContainsAny(name, " \x00\n\\") {
			t.Errorf("%q became %q", s, name)
		}
		if IsChannel(s) {
			return
		}
		line, err := parseLine(s)
		if err != nil || len(line.name) > 31 || line.name != "" && line.offset != 0 {
			t.Errorf("%q: %+v, %v", s, line, err)
		}
	})
}
