package e2e

import (
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

// systemd accepts the unit for a screen.
func TestKioskUnit(t *testing.T) {
	t.Parallel()
	analyze := findTool(t, "systemd-analyze", "systemd")
	unit := mustRead(t, configDir+"/kiosk.service")
	staged := filepath.Join(t.TempDir(), "kiosk.service")
	if err := os.WriteFile(staged, []byte(strings.ReplaceAll(unit, "/usr/bin/cage", "/bin/true")), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(analyze, "verify", "--man=no", "--recursive-errors=no", staged).CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("systemd-analyze verify: %v\n%s", err, out)
	}
}

// The command of that unit shows the page on a virtual screen, run by a user without
// privileges.
func TestKioskShows(t *testing.T) {
	t.Parallel()
	long(t, "it starts a desktop, and a browser on it")
	findTool(t, "cage", "cage")
	findTool(t, "Xwayland", "xwayland")
	findTool(t, "chromium", "chromium")
	if os.Geteuid() != 0 {
		t.Skip("another user needs root")
	}
	p := startGateway(t, buildGateway(t), "--simulate", "--listen", "127.0.0.1:0")
	line := regexp.MustCompile(`(?m)^ExecStart=(.*)$`).FindStringSubmatch(mustRead(t, configDir+"/kiosk.service"))[1]
	u, err := url.Parse(pageOf(p))
	if err != nil {
		t.Fatal(err)
	}
	line = strings.Replace(line, "localhost:8765", u.Host, 1)
	line = strings.Replace(line, " --kiosk ", " --kiosk --no-sandbox ", 1) // which containers have not
	const nobody = 65534
	home, err := os.MkdirTemp("", "gateway-test-kiosk-") // that this user may enter
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(home) })
	if err := os.Chown(home, nobody, nobody); err != nil {
		t.Fatal(err)
	}
	words := strings.Fields(line)
	cage := exec.Command(words[0], words[1:]...)
	cage.Dir, cage.Env = home, []string{"PATH=" + os.Getenv("PATH"), "HOME=" + home, "XDG_RUNTIME_DIR=" + home, "WLR_BACKENDS=headless", "WLR_RENDERER=pixman", "WLR_LIBINPUT_NO_DEVICES=1"}
	cage.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}, Setpgid: true}
	said, err := os.Create(filepath.Join(home, "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer said.Close()
	cage.Stdout, cage.Stderr = said, said
	if err := cage.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = syscall.Kill(-cage.Process.Pid, syscall.SIGKILL)
		_ = cage.Wait()
		if t.Failed() {
			t.Log(mustRead(t, said.Name()))
		}
	})
	await(t, "the page on the screen", func() bool { return metric(t, p.URL, "gateway_ws_clients") == 1 })
}
