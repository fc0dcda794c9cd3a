package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// aptClient is apt as on a machine that follows a repository, with directories of its own.
type aptClient struct {
	t    *testing.T
	args []string
}

func newAptClient(t *testing.T, repository string) aptClient {
	t.Helper()
	findTool(t, "apt-get", "apt")
	dir := t.TempDir()
	for _, sub := range []string{"lists/partial", "cache/archives/partial", "etc"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	source := fmt.Sprintf("deb [signed-by=%s/gateway.asc] file:%[1]s ./\n", repository)
	if err := os.WriteFile(dir+"/etc/sources.list", []byte(source), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(dir+"/status", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	return aptClient{t, []string{"-o", "Dir::State::lists=" + dir + "/lists", "-o", "Dir::Cache=" + dir + "/cache", "-o", "Dir::State::status=" + dir + "/status",
		"-o", "Dir::Etc::sourcelist=" + dir + "/etc/sources.list", "-o", "Dir::Etc::sourceparts=-", "-o", "Debug::NoLocking=1", "-o", "APT::Sandbox::User=root"}}
}

func (a aptClient) run(program string, args ...string) (string, error) {
	cmd := exec.Command(program, append(a.args, args...)...)
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// candidate returns the version of the gateway that apt would install.
func (a aptClient) candidate() string {
	a.t.Helper()
	if out, err := a.run("apt-get", "-o", "APT::Update::Error-Mode=any", "update"); err != nil {
		a.t.Fatalf("%v\n%s", err, out)
	}
	out, err := a.run("apt-cache", "policy", "gateway")
	if err != nil {
		a.t.Fatalf("%v\n%s", err, out)
	}
	_, rest, _ := strings.Cut(out, "Candidate: ")
	version, _, _ := strings.Cut(rest, "\n")
	return version
}

// emptyPackage makes a package of the gateway without files.
func emptyPackage(t *testing.T, version string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.MkdirAll(dir+"/root/DEBIAN", 0o755); err != nil {
		t.Fatal(err)
	}
	control := fmt.Sprintf("Package: gateway\nVersion: %s\nArchitecture: all\nMaintainer: Test <test@example.org>\nDescription: test\n", version)
	if err := os.WriteFile(dir+"/root/DEBIAN/control", []byte(control), 0o644); err != nil {
		t.Fatal(err)
	}
	file := dir + "/gateway_" + version + "_all.deb"
	if out, err := exec.Command(findTool(t, "dpkg-deb", "dpkg"), "--root-owner-group", "--build", dir+"/root", file).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return file
}

// gnupgHome returns the environment for a keyring of its own, which is empty.
func gnupgHome(t *testing.T) []string {
	t.Helper()
	home, err := os.MkdirTemp("/tmp", "gnupg") // its sockets need a short path
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		exec.Command("gpgconf", "--homedir", home, "--kill", "all").Run()
		os.RemoveAll(home)
	})
	return []string{"GNUPGHOME=" + home}
}

// makeKey makes a key to sign with.
func makeKey(t *testing.T, env []string) {
	t.Helper()
	key := exec.Command(findTool(t, "gpg", "gpg"), "--batch", "--passphrase", "", "--quick-generate-key", "gateway packages", "ed25519", "sign", "never")
	key.Env = append(os.Environ(), env...)
	if out, err := key.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

// The packages of the project, as apt finds them.
func TestAptRepositoryOfTheProject(t *testing.T) {
	t.Parallel()
	long(t, "it builds the program and a repository of its package")
	findTool(t, "dpkg-scanpackages", "dpkg-dev")
	env, dir := append(gnupgHome(t), "VERSION=v1.2.3"), t.TempDir()
	makeKey(t, env)
	project := copyProject(t, projectRoot)
	out, err := runScript(t, dir, env, filepath.Join(project, "scripts/build"), "--apt", "staging", "amd64")
	if err != nil || !strings.Contains(out, "staging: gateway 1.2.3 amd64") {
		t.Fatalf("%v\n%s", err, out)
	}
	a := newAptClient(t, dir+"/staging")
	a.args = append(a.args, "-o", "APT::Architecture=amd64")
	if got := a.candidate(); got != "1.2.3" {
		t.Errorf("apt finds %s", got)
	}
}

// apt follows a repository, and accepts only its signature. Packages from one suite are
// published in a second one.
func TestAptRepository(t *testing.T) {
	t.Parallel()
	findTool(t, "dpkg-scanpackages", "dpkg-dev")
	env := gnupgHome(t)
	dir := t.TempDir()
	staging, stable := dir+"/staging", dir+"/stable"
	v1, v2 := emptyPackage(t, "1.0"), emptyPackage(t, "2.0")
	if out, err := runScript(t, projectRoot, env, "scripts/apt", staging, v1); err == nil || !strings.Contains(out, "gpg --quick-generate-key") {
		t.Errorf("without a key: %v %s", err, out)
	}
	makeKey(t, env)
	publish := func(args ...string) {
		t.Helper()
		if out, err := runScript(t, projectRoot, env, append([]string{"scripts/apt"}, args...)...); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	publish(staging, v1)
	publish(stable, staging+"/"+filepath.Base(v1))
	first, all := newAptClient(t, staging), newAptClient(t, stable)
	publish(staging, v2)
	if got := first.candidate(); got != "2.0" {
		t.Errorf("staging has %s, want 2.0", got)
	}
	if got := all.candidate(); got != "1.0" {
		t.Errorf("stable has %s, want 1.0", got)
	}
	if out, err := first.run("apt-get", "--print-uris", "download", "gateway=1.0"); err != nil || !strings.Contains(out, "gateway_1.0_all.deb") {
		t.Errorf("the version before cannot be had: %v %s", err, out)
	}
	publish(stable, staging+"/"+filepath.Base(v2))
	if got := all.candidate(); got != "2.0" {
		t.Errorf("stable has %s, want 2.0", got)
	}
	packages := mustRead(t, stable+"/Packages")
	for _, file := range []string{"/Packages", "/Packages.gz"} {
		if err := os.WriteFile(stable+file, []byte(strings.Replace(packages, "2.0", "6.6", 1)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := newAptClient(t, stable).run("apt-get", "-o", "APT::Update::Error-Mode=any", "update"); err == nil {
		t.Errorf("apt takes a list that was changed:\n%s", out)
	}
	for _, tt := range []struct{ args, says string }{{dir + "/Stable " + v1, "no name of a suite"}, {stable, "which packages?"}, {stable + " " + projectRoot + "/README.md", "is no package"}} {
		if out, err := runScript(t, projectRoot, env, append([]string{"scripts/apt"}, strings.Fields(tt.args)...)...); err == nil || !strings.Contains(out, tt.says) {
			t.Errorf("%s: %v %s", tt.args, err, out)
		}
	}
}
