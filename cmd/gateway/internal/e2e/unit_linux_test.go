package e2e

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

// The unit's copy of the configuration, for ExecStopPost, is that of the last start, also
// if its owner may not write the file.
func TestUnitCopiesConfiguration(t *testing.T) {
	t.Parallel()
	line := regexp.MustCompile(`(?m)^ExecStartPre=-(.*) (\S+) /run/gateway/gateway\.yaml$`).FindStringSubmatch(mustRead(t, unitFile))
	if line == nil || line[2] != "/etc/gateway/gateway.yaml" {
		t.Fatalf("%s does not copy the configuration: %q", unitFile, line)
	}
	dir, err := os.MkdirTemp("", "gateway-test-unit-") // that another user may enter
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	var user syscall.SysProcAttr
	if os.Geteuid() == 0 { // who may write everything
		const nobody = 65534
		user.Credential = &syscall.Credential{Uid: nobody, Gid: nobody}
		if err := os.Chown(dir, nobody, nobody); err != nil {
			t.Fatal(err)
		}
	}
	file, copied := filepath.Join(dir, "etc.yaml"), filepath.Join(dir, "run.yaml")
	argv := append(strings.Fields(line[1]), file, copied)
	for _, content := range []string{"first", "second"} {
		if err := errors.Join(os.RemoveAll(file), os.WriteFile(file, []byte(content), 0o444), os.Chmod(file, 0o444)); err != nil {
			t.Fatal(err)
		}
		cmd := exec.CommandContext(t.Context(), argv[0], argv[1:]...)
		cmd.SysProcAttr = &user
		out, err := cmd.CombinedOutput()
		if err != nil || mustRead(t, copied) != content {
			t.Errorf("%s: %v\n%s", content, err, out)
		}
	}
}
