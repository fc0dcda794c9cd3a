package credential

import (
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sensorgateway/gateway/access/tokens"
)

func newToken(t *testing.T) (text string) {
	t.Helper()
	if err := tokens.Edit(t.TempDir(), func(f *tokens.File) (err error) {
		text, err = f.Add(tokens.Token{Name: "ayşe", Role: tokens.Viewer})
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return text
}

func TestFind(t *testing.T) {
	a, b, c := newToken(t), newToken(t), newToken(t)
	dir := t.TempDir()
	write := func(name, text string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	file := write("token", a+"\n", 0o600)
	shared := write("shared", a+"\n", 0o640)
	typo := write("typo", a[:20]+"\n", 0o600)
	write("home/.config/gateway/tokens", "# greenhouse\nPi.local:8443 "+c+"\n\nother:8765 "+b+"\n", 0o600)
	write("bad/.config/gateway/tokens", "pi.local:8443\n", 0o600)
	write("open/.config/gateway/tokens", "pi.local:8443 "+c+"\n", 0o644)
	home := filepath.Join(dir, "home")
	for name, tt := range map[string]struct {
		file, url   string
		environment map[string]string
		want        string
		err         string // a part of it
	}{
		"nothing":                {url: "ws://pi.local:8443/"},
		"no such home":           {url: "ws://pi.local:8443/", environment: map[string]string{"HOME": dir}},
		"a file":                 {file: file, url: "ws://x/", environment: map[string]string{Variable: b, "HOME": home}, want: a},
		"the environment":        {url: "wss://pi.local:8443/", environment: map[string]string{Variable: " " + b + "\n", "HOME": home}, want: b},
		"the gateway's line":     {url: "wss://pi.local:8443/sensors/a", environment: map[string]string{"HOME": home}, want: c},
		"the second line":        {url: "ws://other:8765/", environment: map[string]string{"HOME": home}, want: b},
		"another port":           {url: "wss://pi.local:8444/", environment: map[string]string{"HOME": home}},
		"another host":           {url: "wss://evil.example:8443/", environment: map[string]string{"HOME": home}},
		"another home":           {url: "ws://other:8765/", environment: map[string]string{"XDG_CONFIG_HOME": filepath.Join(home, ".config"), "HOME": dir}, want: b},
		"a file that is missing": {file: dir + "/missing", url: "ws://x/", err: "no such file"},
		"a file for everybody":   {file: shared, url: "ws://x/", err: "chmod 600 " + shared},
		"lines for everybody":    {url: "wss://pi.local:8443/", environment: map[string]string{"HOME": filepath.Join(dir, "open")}, err: "chmod 600"},
		"a typo in a file":       {file: typo, url: "ws://x/", err: "--token-file " + typo + ": the token is cut off"},
		"a typo there":           {url: "ws://x/", environment: map[string]string{Variable: b[:30] + "_" + b[31:]}, err: Variable + ": the token has a typo"},
		"half a line":            {url: "wss://pi.local:8443/", environment: map[string]string{"HOME": filepath.Join(dir, "bad")}, err: "tokens:1: a line is"},
	} {
		u, err := url.Parse(tt.url)
		if err != nil {
			t.Fatal(err)
		}
		got, err := Find(tt.file, u, func(name string) string { return tt.environment[name] })
		if name == "a typo there" && b[30] == '_' {
			continue
		}
		switch {
		case got != tt.want, (err != nil) != (tt.err != ""):
			t.Errorf("%s: %q, %v", name, got, err)
		case err != nil && (!strings.Contains(err.Error(), tt.err) || strings.Contains(err.Error(), a[4:24]) || strings.Contains(err.Error(), b[4:24])):
			t.Errorf("%s: %v, want %q, and no token", name, err, tt.err)
		}
	}
}

func FuzzLookUp(f *testing.F) {
	f.Add("pi:1 gwt_x\n# y\n", "pi:1")
	f.Fuzz(func(t *testing.T, text, host string) {
		token, err := lookUp("tokens", text, host)
		if token != "" && (err != nil || !strings.Contains(text, token)) {
			t.Fatalf("%q, %v", token, err)
		}
	})
}
