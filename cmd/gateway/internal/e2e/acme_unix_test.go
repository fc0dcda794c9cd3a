//go:build unix

package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// What systemd/README.md gives an ACME client to run puts a renewed pair where the
// gateway takes it over.
func TestACMEHook(t *testing.T) {
	t.Parallel()
	readme := mustRead(t, filepath.Join(projectRoot, "systemd/README.md"))
	block := regexp.MustCompile("(?s)```shell\n(#!/bin/sh\n.*?LEGO_CERT_PATH.*?)```").FindStringSubmatch(readme)
	if block == nil {
		t.Fatal("no hook in systemd/README.md")
	}
	bin, dir, renewed := buildGateway(t), t.TempDir(), t.TempDir()
	makeCert(t, dir)
	makeCert(t, renewed)
	config := writeFile(t, "gateway.yaml", fmt.Sprintf("tls: {cert: %[1]s/gateway.crt, key: %[1]s/gateway.key}\nsensors: [{name: indoor, chip: sht3x}]\n", dir))
	p := startGateway(t, bin, "--simulate", "--config", config, "--listen", "127.0.0.1:0")

	// The group is that of the package, and the gateway no service, here.
	hook := writeFile(t, "acme-hook", strings.NewReplacer("/etc/gateway", dir, " -g gateway", "").Replace(block[1]))
	tools := t.TempDir()
	if err := os.WriteFile(filepath.Join(tools, "systemctl"), []byte(fmt.Sprintf("#!/bin/sh\n[ \"$*\" = 'reload gateway' ] && kill -HUP %d\n", p.cmd.Process.Pid)), 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("/bin/sh", hook)
	cmd.Env = append(os.Environ(), "PATH="+tools+":"+os.Getenv("PATH"),
		"LEGO_CERT_PATH="+filepath.Join(renewed, "gateway.crt"), "LEGO_CERT_KEY_PATH="+filepath.Join(renewed, "gateway.key"))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	p.await(t, "certificate reloaded")
	if got, want := mustRead(t, filepath.Join(dir, "gateway.crt")), mustRead(t, filepath.Join(renewed, "gateway.crt")); got != want {
		t.Error("the certificate is not the renewed one")
	}
	if info, err := os.Stat(filepath.Join(dir, "gateway.key")); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("the key: %v, %v", info.Mode(), err)
	}
}
