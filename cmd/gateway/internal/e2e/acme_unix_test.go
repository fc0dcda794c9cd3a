//go:build unix

package e2e

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// The hook for ACME clients in systemd/README.md puts a renewed pair where the gateway
// reads it.
func TestACMEHook(t *testing.T) {
	t.Parallel()
	readme := mustRead(t, filepath.Join(projectRoot, "systemd/README.md"))
	block := regexp.MustCompile("(?s)```shell\n(#!/bin/sh\n.*?LEGO_CERT_PATH.*?)```").FindStringSubmatch(readme)
	if block == nil {
		t.Fatal("no hook in systemd/README.md")
	}
	bin, dir := buildGateway(t), t.TempDir()
	makeCert(t, dir)
	config := writeFile(t, "gateway.yaml", fmt.Sprintf("tls: {cert: %[1]s/gateway.crt, key: %[1]s/gateway.key}\nsensors: [{name: indoor, chip: sht3x}]\n", dir))
	p := startGateway(t, bin, "--simulate", "--config", config, "--listen", "127.0.0.1:0")

	// Here the group does not exist, and the gateway does not run as a service.
	hook := writeFile(t, "acme-hook", strings.NewReplacer("/etc/gateway", dir, " -g gateway", "").Replace(block[1]))
	tools := t.TempDir()
	if err := writeProgram(filepath.Join(tools, "systemctl"), fmt.Appendf(nil, "#!/bin/sh\n[ \"$*\" = 'reload gateway' ] && kill -HUP %d\n", p.cmd.Process.Pid), 0o755); err != nil {
		t.Fatal(err)
	}
	for n, client := range []struct{ name, crt, key string }{{"lego", "any.crt", "any.key"}, {"certbot", "fullchain.pem", "privkey.pem"}} {
		renewed := t.TempDir()
		makeCert(t, renewed)
		crt, key := filepath.Join(renewed, client.crt), filepath.Join(renewed, client.key)
		if err := errors.Join(os.Rename(filepath.Join(renewed, "gateway.crt"), crt), os.Rename(filepath.Join(renewed, "gateway.key"), key)); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command("/bin/sh", hook)
		cmd.Env = append(os.Environ(), "PATH="+tools+":"+os.Getenv("PATH"), "RENEWED_LINEAGE="+renewed)
		if client.name == "lego" {
			cmd.Env = append(cmd.Env, "LEGO_CERT_PATH="+crt, "LEGO_CERT_KEY_PATH="+key)
		}
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", client.name, err, out)
		}
		await(t, "the pair of "+client.name+" is taken over", func() bool { return strings.Count(p.Output(), "certificate reloaded") == n+1 })
		if got, want := mustRead(t, filepath.Join(dir, "gateway.crt")), mustRead(t, crt); got != want {
			t.Errorf("%s: the certificate is not the renewed one", client.name)
		}
		if info, err := os.Stat(filepath.Join(dir, "gateway.key")); err != nil || info.Mode().Perm() != 0o640 {
			t.Errorf("%s: the key: %v, %v", client.name, info.Mode(), err)
		}
	}
}
