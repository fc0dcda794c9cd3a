package e2e

import (
	"encoding/json"
	"fmt"
	"math"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"sensorgateway/gateway/access/tokens"
)

// A recording is replayed anywhere: as fast as possible and compared, or served at the
// recorded speed.
func TestRecordAndReplay(t *testing.T) {
	t.Parallel()
	bin, file := buildGateway(t), filepath.Join(t.TempDir(), "bus.trace")
	out, err := exec.Command(bin, "record", "--simulate=flaky:7", "--for", "4s", file).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "failed, are in "+file) {
		t.Fatalf("%v\n%s", err, out)
	}
	out, err = exec.Command(bin, "replay", file).CombinedOutput()
	if err != nil || !strings.Contains(string(out), " 0 end otherwise now\n") || !strings.Contains(string(out), "indoor  sht3x 0x44 on bus 1, every 100ms\n") {
		t.Errorf("%v\n%s", err, out)
	}

	p := startGateway(t, bin, "--replay", file, "--listen", "127.0.0.1:0")
	var reading struct {
		Payload struct {
			Temp  *float32
			Fault string
		}
	}
	for end := time.Now().Add(patience); reading.Payload.Temp == nil; {
		r, err := http.Get(strings.Replace(p.URL, "ws://", "http://", 1) + "sensors/outdoor")
		if err != nil {
			t.Fatal(err)
		}
		err = json.NewDecoder(r.Body).Decode(&reading)
		r.Body.Close()
		if time.Now().After(end) || err != nil {
			t.Fatalf("no reading: %+v, %v", reading, err)
		}
	}
	trace, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if bits := fmt.Sprintf(`"values":"%08x `, math.Float32bits(*reading.Payload.Temp)); !strings.Contains(string(trace), bits) {
		t.Errorf("%v was served, which was not recorded", *reading.Payload.Temp)
	}

	for _, tt := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"record", "--simulate", file}, 1, "fix: name another file"},
		{[]string{"record", "--simulate", "--size", "5", file + "2"}, 2, "write it as 64MiB or 1GiB"},
		{[]string{"record"}, 2, "takes one file"},
		{[]string{"replay", bin}, 1, "line 1: not a trace of the gateway"},
		{[]string{"--replay", file, "--simulate"}, 2, "--replay goes without --simulate"},
		{[]string{"--replay", "/nope"}, 1, "/nope: no such file"},
	} {
		out, err := exec.Command(bin, tt.args...).CombinedOutput()
		if exitCode(err) != tt.code || !strings.Contains(string(out), tt.says) {
			t.Errorf("%v: %v\n%s", tt.args, err, out)
		}
	}
}

// On a machine whose gateway runs, read and scan ask it, and leave its bus alone.
func TestReadAsksTheRunningGateway(t *testing.T) {
	t.Parallel()
	bin, address := buildGateway(t), freeAddress(t)
	cfg := writeFile(t, "gateway.yaml", "listen: "+address+"\nsensors:\n  - {name: indoor, chip: sht3x}\n  - {name: greenhouse, chip: aht20}\n")
	p := startGateway(t, bin, "--simulate", "--config", cfg)
	// A busy machine may fail a reading, the first one above all.
	untilSays := func(args []string, texts ...string) {
		t.Helper()
		missing := func(s string) bool {
			return slices.ContainsFunc(texts, func(text string) bool { return !strings.Contains(s, text) })
		}
		for end := time.Now().Add(patience); ; {
			out, err := exec.Command(bin, args...).CombinedOutput()
			if !missing(string(out)) {
				return
			}
			if time.Now().After(end) {
				t.Fatalf("%v does not say %q: %v\n%s", args, texts, err, out)
			}
		}
	}
	untilSays([]string{"read", "--config", cfg}, "indoor  2", "greenhouse  2", " ms ago", "  from the gateway that runs at http://"+address)
	out, err := exec.Command(bin, "scan", "--config", cfg, "1").CombinedOutput()
	if exitCode(err) != 1 || !strings.Contains(string(out), "0x38  the gateway that runs has it, as greenhouse\n") &&
		!strings.Contains(string(out), "open /dev/i2c-1") {
		t.Errorf("%v\n%s", err, out)
	}
	untilSays([]string{"doctor", "--json", "--config", cfg},
		`"check":"users","verdict":"PASS","evidence":"the gateway that runs at http://`+address, `°C, `, ` ms ago, says the gateway"`)
	if err := p.Stop(t); err != nil {
		t.Fatal(err)
	}
	// When no gateway runs they use the bus, which does not exist here.
	out, err = exec.Command(bin, "read", "--config", cfg).CombinedOutput()
	if exitCode(err) != 1 || !strings.Contains(string(out), "FAIL: ") || strings.Contains(string(out), "the gateway that runs") {
		t.Errorf("%v\n%s", err, out)
	}
}

// Each of the commands sends a token, from each of its places, to a gateway that asks for one.
// Without a valid token they say how to give one, and do not use the bus.
func TestReadShowsAToken(t *testing.T) {
	t.Parallel()
	bin, address, state := buildGateway(t), freeAddress(t), t.TempDir()
	cfg := writeFile(t, "gateway.yaml", "listen: "+address+"\nsensors:\n  - {name: indoor, chip: sht3x}\n  - {name: greenhouse, chip: aht20}\n")
	var token, narrow, revoked string
	if err := tokens.Edit(state, func(f *tokens.File) (err error) {
		token, _ = f.Add(tokens.Token{Name: "technician", Role: tokens.Viewer})
		narrow, _ = f.Add(tokens.Token{Name: "indoors", Role: tokens.Viewer, Sensors: []string{"indoor"}})
		revoked, _ = f.Add(tokens.Token{Name: "gone", Role: tokens.Viewer})
		return f.Revoke("gone")
	}); err != nil || token == "" || narrow == "" || revoked == "" {
		t.Fatal(err)
	}
	startGateway(t, bin, "--simulate", "--config", cfg, "--state", state)
	home := t.TempDir()
	if err := os.MkdirAll(filepath.Join(home, "gateway"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(home, "gateway", "tokens"), []byte(address+" "+token+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	file := writeFile(t, "token", token+"\n")
	if err := os.Chmod(file, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		env  string
		args []string
		want []string
	}{
		{"", []string{"read", "--token-file", file}, []string{"indoor  2", "greenhouse  2", " ms ago"}},
		{"GATEWAY_TOKEN=" + token, []string{"read"}, []string{"indoor  2", "greenhouse  2", " ms ago"}},
		{"XDG_CONFIG_HOME=" + home, []string{"read"}, []string{"indoor  2", "greenhouse  2", " ms ago"}},
		{"GATEWAY_TOKEN=" + token, []string{"doctor", "--json"}, []string{" ms ago, says the gateway"}},
		{"", []string{"read"}, []string{"asks for a token", "--token-file FILE", "GATEWAY_TOKEN", "gateway token add"}},
		{"", []string{"doctor", "--json"}, []string{`"check":"indoor","verdict":"SKIP"`, "asks for a token", "gateway token add"}},
		{"GATEWAY_TOKEN=" + revoked, []string{"read"}, []string{"401 Unauthorized: the token is not one of this gateway", "gateway token add"}},
		{"GATEWAY_TOKEN=" + token[:20], []string{"read"}, []string{"GATEWAY_TOKEN: the token is cut off", "gateway token add"}},
		{"GATEWAY_TOKEN=" + narrow, []string{"read"}, []string{"indoor  2", "greenhouse is not in the scope of the token", "show another token"}},
	} {
		await(t, strings.Join(tt.want, ", "), func() bool { // a busy machine may fail a reading
			cmd := exec.Command(bin, append(tt.args, "--config", cfg)...)
			cmd.Env = append(os.Environ(), "XDG_CONFIG_HOME="+t.TempDir(), tt.env)
			out, _ := cmd.CombinedOutput()
			if strings.Contains(string(out), "gwt_") {
				t.Fatalf("%v, %v shows a token: %s", tt.env, tt.args, out)
			}
			missing := slices.IndexFunc(tt.want, func(text string) bool { return !strings.Contains(string(out), text) })
			if missing >= 0 && !strings.Contains(string(out), "newest reading failed") {
				t.Fatalf("%v: no %q in\n%s", tt.args, tt.want[missing], out)
			}
			return missing < 0
		})
	}
}

// TestReadShowsATokenToTheGatewayAlone: another program that listens at the gateway's address
// is sent no token.
func TestReadShowsATokenToTheGatewayAlone(t *testing.T) {
	t.Parallel()
	bin, address, dir, other := buildGateway(t), freeAddress(t), t.TempDir(), t.TempDir()
	for _, out := range []string{dir, other} {
		if text, err := exec.Command(bin, "cert", "--out", out).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, text)
		}
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	var presented atomic.Value
	presented.Store("")
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if got := r.Header.Get("Authorization"); got != "" {
			presented.Store(got)
		}
		http.Error(w, "a token", http.StatusUnauthorized)
	})}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.ServeTLS(l, filepath.Join(other, "gateway.crt"), filepath.Join(other, "gateway.key"))
	}()
	defer func() { _ = server.Close(); <-done }()
	state := t.TempDir()
	var token string
	if err := tokens.Edit(state, func(f *tokens.File) (err error) {
		token, err = f.Add(tokens.Token{Name: "technician", Role: tokens.Viewer})
		return err
	}); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ dir, want string }{{dir, "has another certificate than " + dir}, {other, "401 Unauthorized: a token"}} {
		cfg := writeFile(t, "gateway.yaml", fmt.Sprintf("listen: %q\ntls: {cert: %s, key: %s}\nsensors:\n  - {name: indoor, chip: sht3x}\n",
			address, filepath.Join(tt.dir, "gateway.crt"), filepath.Join(tt.dir, "gateway.key")))
		cmd := exec.Command(bin, "read", "--config", cfg)
		cmd.Env = append(os.Environ(), "GATEWAY_TOKEN="+token)
		out, err := cmd.CombinedOutput()
		if exitCode(err) != 1 || !strings.Contains(string(out), tt.want) {
			t.Errorf("%v\n%s, want %q", err, out, tt.want)
		}
		if got := presented.Load(); (got != "") != (tt.dir == other) {
			t.Errorf("it was shown %q", got)
		}
	}
}
