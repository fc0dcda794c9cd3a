package setup

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"

	"sensorgateway/cmd/gateway/internal/config"
	"sensorgateway/cmd/gateway/internal/console"
	"sensorgateway/gateway/access/tokens"
)

// run runs "gateway token" with a state directory and a configuration with the sensors
// indoor and outdoor and the motor fan.
func run(t *testing.T, dir string, terminal bool, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	flags := pflag.NewFlagSet("", pflag.ContinueOnError)
	flags.String("config", "", "")
	cmd := Token(console.Env{Stdout: &out, Stderr: &out, Terminal: terminal}, Installed{
		Flags: flags,
		State: func() (string, error) { return dir, nil },
		Read: func(string) (*config.Config, error) {
			c := &config.Config{Listen: "192.0.2.7:8443", TLS: &config.TLS{}, Sensors: []config.Sensor{{Name: "indoor"}, {Name: "outdoor"}}}
			c.Motors = make([]config.Motor, 1)
			c.Motors[0].Name = "fan"
			return c, nil
		},
	})
	cmd.SetArgs(args)
	cmd.SetOut(&out)
	cmd.SetErr(&out)
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	err := cmd.Execute()
	return out.String(), err
}

func TestToken(t *testing.T) {
	dir := t.TempDir()
	text, err := run(t, dir, false, "add", "ahmet", "--role", "operator", "--sensors", "indoor,outdoor", "--motors", "fan", "--expires", "90d")
	if err != nil || tokens.CheckText(strings.TrimSuffix(text, "\n")) != nil {
		t.Fatalf("%q, %v", text, err)
	}
	f, err := tokens.Read(dir)
	if err != nil || len(f.Tokens) != 1 {
		t.Fatal(f, err)
	}
	if got := f.Tokens[0]; got.Role != tokens.Operator || len(got.Sensors) != 2 || len(got.Motors) != 1 || time.Until(got.Expires).Round(time.Hour) != 90*24*time.Hour || got.By == "" {
		t.Errorf("%+v", got)
	}
	for name, args := range map[string][]string{
		"a name twice": {"add", "ahmet"}, "no name": {"add"}, "no such role": {"add", "x", "--role", "root"}, "no such sensor": {"add", "x", "--sensors", "indor"},
		"no such motor": {"add", "x", "--motors", "pump"}, "a past": {"add", "x", "--expires", "2020-01-01T00:00:00Z"}, "no time": {"add", "x", "--expires", "soon"},
		"no such token": {"revoke", "x"}, "a terminal's": {"revoke", "x\x1b[2J"}, "no such rotation": {"rotate", "x"}, "no such link": {"link", "x"},
		"no page": {"link", "ahmet", "--page", "pi.local"},
	} {
		if out, err := run(t, dir, false, args...); err == nil {
			t.Errorf("%s: %s", name, out)
		}
	}
	var usage console.UsageError
	if _, err := run(t, dir, false, "add", "x", "--sensors", "indor"); !errors.As(err, &usage) || !strings.Contains(err.Error(), "indoor, outdoor") {
		t.Errorf("what there is: %v", err)
	}

	again, err := run(t, dir, true, "rotate", "ahmet")
	if err != nil || strings.Contains(again, strings.TrimSpace(text)) || !strings.Contains(again, "shown this once") {
		t.Errorf("rotated: %q, %v", again, err)
	}
	list, err := run(t, dir, false, "list")
	if err != nil || !strings.Contains(list, "ahmet  operator  indoor,outdoor  fan") || strings.Contains(list, "gwt_") {
		t.Errorf("%s, %v", list, err)
	}
	line, err := run(t, dir, false, "list", "--json")
	var l listed
	if err != nil || json.Unmarshal([]byte(line), &l) != nil || l.Name != "ahmet" || strings.Contains(line, "sha256") {
		t.Errorf("%s, %v", line, err)
	}
	if out, err := run(t, dir, false, "revoke", "ahmet"); err != nil || out != "ahmet is revoked\n" {
		t.Errorf("%s, %v", out, err)
	}
	if list, err = run(t, dir, false, "list"); err != nil || !strings.Contains(list, "fix: gateway token add") {
		t.Errorf("%s, %v", list, err)
	}
}

// A link logs in by what is behind its #, and is a picture on a terminal only.
func TestLink(t *testing.T) {
	dir := t.TempDir()
	if _, err := run(t, dir, false, "add", "ahmet"); err != nil {
		t.Fatal(err)
	}
	for page, want := range map[string]string{
		"":                         "https://192.0.2.7:8443/login#",
		"https://gw.example/pi/":   "https://gw.example/pi/login#",
		"http://127.0.0.1:8765":    "http://127.0.0.1:8765/login#",
		"https://gw.example/pi?a#": "https://gw.example/pi/login#",
	} {
		out, err := run(t, dir, false, "link", "ahmet", "--page", page)
		code, found := strings.CutPrefix(strings.TrimSpace(out), want)
		if err != nil || !found || len(code) != 43 {
			t.Errorf("%q: %q, %v", page, out, err)
		}
	}
	out, err := run(t, dir, true, "link", "ahmet")
	if err != nil || !strings.Contains(out, "█") || !strings.Contains(out, "\nhttps://192.0.2.7:8443/login#") {
		t.Errorf("%q, %v", out, err)
	}
}

// A QR code is dark on light whatever the terminal has, square, and has its border.
func TestQR(t *testing.T) {
	text, err := qrText("https://192.0.2.7:8443/login#" + strings.Repeat("x", 43))
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	for i, line := range lines {
		cells, begun := strings.CutPrefix(line, "\x1b[30;107m")
		cells, ended := strings.CutSuffix(cells, "\x1b[0m")
		if !begun || !ended || len([]rune(cells))+1 != 2*len(lines) || !strings.HasPrefix(cells, "    ") || !strings.HasSuffix(cells, "    ") {
			t.Fatalf("line %d of %d: %q", i, len(lines), line)
		}
		if i < quiet/2 && strings.TrimSpace(cells) != "" {
			t.Errorf("line %d is in the border", i)
		}
	}
	// The finder pattern at the top left: a square of 7, a ring of white, one of 3.
	if got := string([]rune(strings.TrimPrefix(lines[2], "\x1b[30;107m"))[4:11]); got != "█▀▀▀▀▀█" {
		t.Errorf("no finder pattern: %q", got)
	}
	if _, err := qrText(strings.Repeat("x", 4000)); err == nil {
		t.Error("too long a text is a code")
	}
}
