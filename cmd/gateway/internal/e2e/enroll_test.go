package e2e

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// hubProcess is a hub that runs, and its fleet.
type hubProcess struct {
	*gatewayProcess
	t       testing.TB
	program string
	state   string
	url     string
	more    []string // flags
}

var hubAddressForm = regexp.MustCompile(`https://127\.0\.0\.1:[0-9]+`)

// startHub starts the hub of a new fleet, with more flags.
func startHub(t testing.TB, more ...string) *hubProcess {
	t.Helper()
	h := &hubProcess{t: t, program: buildGateway(t), state: t.TempDir(), more: more}
	h.want("ca.crt", "hub", "ca", "init", "--state", h.state)
	h.start()
	return h
}

func (h *hubProcess) start() {
	h.t.Helper()
	h.gatewayProcess = launchGateway(h.t, append([]string{h.program, "hub", "--state", h.state, "--name", "hub-a", "--listen", "127.0.0.1:0"}, h.more...)...)
	h.await(h.t, "the hub is ready")
	h.url = hubAddressForm.FindString(h.Output())
}

// run returns what a command prints, and how it ends.
func (h *hubProcess) run(args ...string) (stdout, stderr string, err error) {
	var out, errs bytes.Buffer
	cmd := exec.Command(h.program, args...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	err = cmd.Run()
	return out.String(), errs.String(), err
}

// want runs a command that succeeds and prints a text.
func (h *hubProcess) want(text string, args ...string) string {
	h.t.Helper()
	out, errs, err := h.run(args...)
	if err != nil || !strings.Contains(out, text) {
		h.t.Fatalf("%q: %v, %s%s; want %q", args, err, out, errs, text)
	}
	return strings.TrimSpace(out)
}

// refuse runs a command that fails, and says why.
func (h *hubProcess) refuse(why string, args ...string) {
	h.t.Helper()
	out, errs, err := h.run(args...)
	if err == nil || !strings.Contains(errs, why) {
		h.t.Errorf("%q: %v, %s%s; want %q", args, err, out, errs, why)
	}
}

func (h *hubProcess) code(args ...string) string {
	h.t.Helper()
	return h.want("-", append([]string{"hub", "code", "--state", h.state}, args...)...)
}

func (h *hubProcess) enroll(device, name, code string, more ...string) []string {
	return append([]string{"enroll", h.url, "--state", device, "--name", name, "--code", code}, more...)
}

// TestEnrollment: a gateway becomes a member of a fleet with a code, but not with one that is
// wrong, used, or of another fleet.
func TestEnrollment(t *testing.T) {
	t.Parallel()
	h := startHub(t, "--broker", "mqtts://broker.example")
	device, code := t.TempDir(), h.code("--site", "lab")
	h.want("broker  mqtts://broker.example", h.enroll(device, "pi-1", code)...)
	h.want("pi-1 of the site lab", h.enroll(device, "pi-1", strings.ToLower(code))...) // again, with the same code
	for _, file := range []string{"fleet.key", "fleet.crt", "fleet-ca.crt", "fleet-hubs.keys", "fleet.json"} {
		if info, err := os.Stat(filepath.Join(device, file)); err != nil || info.Mode() != 0o600 {
			t.Errorf("%s: %v, %v", file, info, err)
		}
	}
	h.refuse("used by another device", h.enroll(t.TempDir(), "pi-2", code)...)
	h.refuse("--gateway pi-1", h.enroll(t.TempDir(), "pi-1", h.code("--site", "lab"))...)
	h.refuse("typo", h.enroll(t.TempDir(), "pi-2", strings.Replace(code, code[:4], "0000", 1))...)
	h.refuse("name", h.enroll(t.TempDir(), "Pi.2", h.code("--site", "lab"))...)
	h.refuse("--site", "hub", "code", "--state", h.state, "--site", "LAB")
	h.refuse("already", "hub", "ca", "init", "--state", h.state)
	h.refuse("no address of a hub", "enroll", "http://hub.example", "--state", device, "--code", code)

	other := startHub(t)
	h.refuse("another fleet", "enroll", other.url, "--state", t.TempDir(), "--name", "pi-2", "--code", h.code("--site", "lab"))
	if strings.Contains(other.Output(), "pi-2") {
		t.Error("the hub of another fleet heard of the device")
	}

	h.want("pi-1 is revoked", "hub", "revoke", "pi-1", "--state", h.state)
	h.want("revoked 20", "hub", "list", "--state", h.state)
	h.refuse("revoked", h.enroll(device, "pi-1", h.code("--site", "lab"))...)
	h.want("pi-1 of the site roof", h.enroll(device, "pi-1", h.code("--site", "roof", "--gateway", "pi-1"))...)
	if err := h.Stop(t); err != nil {
		t.Errorf("the hub ended: %v", err)
	}
}

// TestEnrollmentIsKilled: when the device or the hub is killed at any moment of an enrolment,
// a repetition completes it.
func TestEnrollmentIsKilled(t *testing.T) {
	t.Parallel()
	h := startHub(t)
	device, code := t.TempDir(), h.code("--site", "lab")
	for kill := time.Millisecond; ; kill += kill / 3 {
		cmd := exec.Command(h.program, h.enroll(device, "pi-1", code)...)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		timer := time.AfterFunc(kill, func() { cmd.Process.Kill() })
		err := cmd.Wait()
		timer.Stop()
		if err == nil {
			break
		}
		if kill > patience {
			t.Fatal("it never completes")
		}
	}
	h.Kill(t)
	h.start() // it knows who has used the code
	h.want("pi-1 of the site lab", h.enroll(device, "pi-1", code)...)
	h.refuse("used by another device", h.enroll(t.TempDir(), "pi-2", code)...)
	out := h.want("lab", "hub", "list", "--state", h.state)
	if strings.Count(out, "pi-1") != 1 {
		t.Errorf("the fleet has\n%s", out)
	}
}
