package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

func TestTakenPort(t *testing.T) {
	t.Parallel()
	p := startGateway(t, buildGateway(t), "--simulate", "--listen", "127.0.0.1:0")
	address := strings.TrimSuffix(strings.TrimPrefix(p.URL, "ws://"), "/")
	out, err := exec.Command(buildGateway(t), "--simulate", "--listen", address).CombinedOutput()
	if code := exitCode(err); code != 1 || !strings.Contains(string(out), "--listen localhost:8081") {
		t.Errorf("exit %d, %s", code, out)
	}
}

func exitCode(err error) int {
	if e, ok := err.(*exec.ExitError); ok {
		return e.ExitCode()
	}
	if err != nil {
		return -1
	}
	return 0
}

func TestExitStatus(t *testing.T) {
	t.Parallel()
	bad := writeFile(t, "bad.yaml", "listen: 0.0.0.0:80\nsensors:\n  - {name: a, chip: aht20, interval: 50ms}\n  - {nam: b, chip: sht4x}\n")
	good := writeFile(t, "good.yaml", "sensors:\n  - {name: a, chip: aht20}\n")
	noCertificate := writeFile(t, "tls.yaml", "sensors:\n  - {name: a, chip: aht20}\ntls:\n  cert: /nope.crt\n  key: /nope.key\n")
	for _, tt := range []struct {
		args []string
		code int
		says []string
	}{
		{[]string{"--version"}, 0, []string{"gateway version devel"}},
		{[]string{"--help"}, 0, []string{"--simulate", "--config", "--listen", "--state", "--log-format", "--version"}},
		{[]string{"--nope"}, 2, []string{"unknown flag"}},
		{[]string{"--simulat"}, 2, []string{"unknown flag: --simulat: did you mean --simulate?"}},
		{[]string{"watch", "pi", "--subprotokol", "x"}, 2, []string{"did you mean --subprotocol?"}},
		{[]string{"serve"}, 2, []string{`unknown command "serve": see gateway --help`}},
		{[]string{"wacth", "pi"}, 2, []string{`unknown command "wacth": did you mean gateway watch?`}},
		{[]string{"verison"}, 2, []string{"did you mean gateway version?"}},
		{[]string{"version", "x"}, 2, []string{`gateway version takes no argument such as "x"`}},
		{[]string{"version"}, 0, []string{"gateway version devel " + runtime.GOOS + "/" + runtime.GOARCH + " go1."}},
		{[]string{"version", "--json"}, 0, []string{`{"version":"devel","os":"` + runtime.GOOS + `","arch":"` + runtime.GOARCH + `","go":"go1.`}},
		{[]string{"check", bad}, 78, []string{"bad.yaml:1:", "insecure: true", "bad.yaml:3:", "100ms", "bad.yaml:4:", `did you mean "name"?`}},
		{[]string{"check", "/nope.yaml"}, 78, []string{"/nope.yaml: no such file"}},
		{[]string{"check", noCertificate}, 78, []string{"tls.yaml:4: tls: ", "/nope.crt"}},
		{[]string{"config", "example"}, 0, []string{"# Configuration of the gateway", "  - name: indoor"}},
		{[]string{"config", "schema"}, 0, []string{`"$schema": "http://json-schema.org/draft-07/schema#"`, `"sht3x"`}},
		{[]string{"config", "shema"}, 2, []string{"did you mean gateway config schema?"}},
		{[]string{"check", good, good}, 2, []string{"one file"}},
		{[]string{"check", good}, 0, []string{"good.yaml is valid: sensors 1, motors 0, listens on localhost:8765"}},
		{[]string{"--simulate=x"}, 2, []string{"--simulate=flaky"}},
		{[]string{"--config", "/nope.yaml"}, 78, []string{"/nope.yaml: no such file"}},
		{[]string{"--config", bad}, 78, []string{"bad.yaml:1:", "insecure: true", "bad.yaml:3:", "100ms", "bad.yaml:4:", `did you mean "name"?`}},
		{[]string{"--simulate", "--listen", "0.0.0.0:0"}, 78, []string{"--listen", "insecure: true"}},
		{[]string{"--simulate", "--listen", ":0"}, 78, []string{`--listen: ":0" is all interfaces`, "insecure: true", "localhost:0"}},
		{[]string{"--simulate", "--log-format", "xml"}, 78, []string{"--log-format", "json"}},
		{[]string{"GATEWAY_LISTEN=8765", "--simulate"}, 78, []string{"GATEWAY_LISTEN: ", ":8765"}},
		{[]string{"GATEWAY_LISTEN=8765", "--simulate", "--listen", "8080"}, 78, []string{"--listen: ", ":8080"}},
		{[]string{"GATEWAY_LOG_FORMAT=xml", "--simulate"}, 78, []string{"GATEWAY_LOG_FORMAT: ", "json"}},
		{[]string{"GATEWAY_SIMULATE=yes"}, 2, []string{"GATEWAY_SIMULATE=yes", "flaky"}},
		{[]string{"--simulate", "--config", noCertificate}, 78,
			[]string{"tls.yaml:4: tls: ", "/nope.crt", "gateway cert"}},
	} {
		args := tt.args
		cmd := exec.Command(buildGateway(t))
		if strings.HasPrefix(args[0], "GATEWAY_") {
			cmd.Env, args = append(os.Environ(), args[0]), args[1:]
		}
		cmd.Args = append(cmd.Args, args...)
		out, err := cmd.CombinedOutput()
		if code := exitCode(err); code != tt.code {
			t.Errorf("%v: exit %d, want %d\n%s", tt.args, code, tt.code, out)
		}
		for _, s := range tt.says {
			if !strings.Contains(string(out), s) {
				t.Errorf("%v does not say %q:\n%s", tt.args, s, out)
			}
		}
	}
}

// A pair of which only one file is new yet must not end the service for good: systemd starts
// it again after every status but 78.
func TestHalfReplacedPair(t *testing.T) {
	t.Parallel()
	bin, before, renewed := buildGateway(t), t.TempDir(), t.TempDir()
	for _, dir := range []string{before, renewed} {
		if out, err := exec.Command(bin, "cert", "--out", dir).CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	config := writeFile(t, "tls.yaml", fmt.Sprintf("sensors:\n  - {name: a, chip: aht20}\ntls: {cert: %q, key: %q}\n",
		filepath.ToSlash(filepath.Join(renewed, "gateway.crt")), filepath.ToSlash(filepath.Join(before, "gateway.key"))))
	for _, tt := range []struct {
		args []string
		code int
	}{
		{[]string{"--simulate", "--config", config, "--listen", "127.0.0.1:0"}, 1},
		{[]string{"check", config}, 78},
	} {
		out, err := exec.CommandContext(t.Context(), bin, tt.args...).CombinedOutput()
		if code := exitCode(err); code != tt.code || !strings.Contains(string(out), "tls.yaml:3: tls: certificate ") || !strings.Contains(string(out), "; fix: ") {
			t.Errorf("%v: exit %d, want %d\n%s", tt.args, code, tt.code, out)
		}
	}
}

// When something is wrong, a command says what, and the fix, and fails.
func TestErrorsSayTheFix(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	junk, missing, closed := writeFile(t, "junk", "junk\n"), filepath.Join(dir, "missing"), freeAddress(t)
	for _, tt := range []struct {
		args string
		code int
		says []string
	}{
		{"--simulate --listen :8765", 78, []string{`":8765" is all interfaces`, "localhost:8765", "--insecure allows that"}},
		{"--simulate --listen 8765", 78, []string{`"8765" is only a port`}},
		{"motor " + closed + " status", 1, []string{closed, "nothing listens there: start the gateway, or name its host and port"}},
		{"alarms " + closed, 1, []string{closed, "nothing listens there: start the gateway"}},
		{"motor gateway.invalid status", 1, []string{"gateway.invalid", "check the name, or write the gateway's address"}},
		{"replay " + missing, 1, []string{missing, "no such file", "fix: name a whole file that gateway record has written"}},
		{"replay " + dir, 1, []string{dir, "is a directory", "fix: name a whole file that gateway record has written"}},
		{"replay " + junk, 1, []string{"line 1: not a trace of the gateway", "fix: name a whole file that gateway record has written"}},
		{"--replay " + missing, 1, []string{missing, "no such file", "fix: name a whole file that gateway record has written"}},
		{"--replay " + junk, 1, []string{"line 1: not a trace of the gateway", "fix: name a whole file that gateway record has written"}},
		{"record --simulate " + missing + "/x", 1, []string{"no such file or directory", "fix: name a file in a directory that is there"}},
		{"record --simulate --for -1s " + missing, 2, []string{"--for -1s", "such as 10m"}},
		{"export --state " + junk, 1, []string{"not a directory", "fix: name the gateway's state directory with --state"}},
		{"export --state " + missing, 1, []string{missing, "fix: name that with --state"}},
		{"restore --state " + dir + " " + missing, 1, []string{missing, "no such file", "fix: name a file that gateway backup has written"}},
		{"restore --state " + dir + " " + junk, 1, []string{"it is damaged", "fix: use another copy of it"}},
		{"backup --state " + missing + " " + dir + "/x", 1, []string{missing, "fix: name the gateway's state directory"}},
		{"token add x --role boss", 2, []string{`--role "boss": it is viewer, operator or admin`}},
		{"token revoke x --state " + missing, 1, []string{missing, "fix: name the gateway's state directory"}},
		{"hub list --state " + missing, 1, []string{missing, "fix: name the hub's state directory with --state, or begin a fleet with gateway hub ca init"}},
		{"hub code --state " + missing, 2, []string{"--site is missing", "such as lab"}},
		{"hub --state " + missing, 1, []string{missing, "fix: make the fleet's authority with gateway hub ca init"}},
		{"help wacth", 2, []string{`unknown command "wacth": did you mean gateway watch?`}},
		{"help token ad", 2, []string{`unknown command "ad": did you mean gateway token add?`}},
		{"help token add", 0, []string{"gateway token add NAME"}},
		{"help", 0, []string{"Available Commands:"}},
	} {
		out, err := exec.CommandContext(t.Context(), buildGateway(t), strings.Fields(tt.args)...).CombinedOutput()
		if code := exitCode(err); code != tt.code {
			t.Errorf("%s: exit %d, want %d\n%s", tt.args, code, tt.code, out)
		}
		for _, s := range tt.says {
			if !strings.Contains(string(out), s) {
				t.Errorf("%s does not say %q:\n%s", tt.args, s, out)
			}
		}
	}
}

// A variable of the environment overrides the file, and a flag overrides it.
func TestEnvironment(t *testing.T) {
	t.Parallel()
	bin := buildGateway(t)
	p := startGateway(t, "env", "GATEWAY_SIMULATE=steady", "GATEWAY_LISTEN=127.0.0.1:0", "GATEWAY_LOG_FORMAT=json", bin)
	p.await(t, `"msg":"ready"`) // as JSON has it
	if strings.Contains(p.URL, ":8765") {
		t.Errorf("GATEWAY_LISTEN was not heard: %s", p.URL)
	}
}

func writeFile(t testing.TB, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
