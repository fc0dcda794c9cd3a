package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
)

// buildPackage makes the Debian package of a version for amd64, in a copy of the
// project, and returns its path.
func buildPackage(t *testing.T, version string) string {
	t.Helper()
	findTool(t, "dpkg-deb", "dpkg")
	dir := copyProject(t, projectRoot)
	out, err := runScript(t, os.TempDir(), []string{"VERSION=" + version, "SOURCE_DATE_EPOCH=1770000000"}, filepath.Join(dir, "scripts/build"), "--deb", "amd64")
	if err != nil {
		t.Fatalf("scripts/build --deb: %v\n%s", err, out)
	}
	path := filepath.Join(dir, "dist/gateway_"+strings.TrimPrefix(version, "v")+"_amd64.deb")
	if _, err := os.Stat(path); err != nil || !strings.Contains(out, filepath.Base(path)) {
		t.Fatalf("%v\n%s", err, out)
	}
	return path
}

// The package is reproducible, contains what it should, and Debian's own check finds no
// fault in it. Its installation is tested in the virtual machine.
func TestDebianPackage(t *testing.T) {
	t.Parallel()
	long(t, "it builds the program and its package twice")
	first, second := buildPackage(t, "v1.2.3"), buildPackage(t, "v1.2.3")
	a, err := os.ReadFile(first)
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(second)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(a, b) {
		t.Error("the same source gives two packages")
	}
	root := t.TempDir()
	if out, err := exec.Command("dpkg-deb", "--raw-extract", first, root).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for path, from := range map[string]string{
		"usr/lib/systemd/system/gateway.service":        unitFile,
		"usr/lib/systemd/system/gateway-hub.service":    hubUnitFile,
		"usr/lib/systemd/system/gateway-rebind.service": rebindUnitFile,
		"usr/lib/systemd/system/gateway-rebind.path":    projectRoot + "/systemd/gateway-rebind.path",
		"usr/share/gateway/gateway.yaml":                projectRoot + "/configs/gateway.yaml",
		"usr/lib/sysusers.d/gateway.conf":               projectRoot + "/systemd/debian/sysusers.conf",
		"usr/lib/udev/rules.d/60-gateway.rules":         projectRoot + "/systemd/debian/udev.rules",
	} {
		if mustRead(t, filepath.Join(root, path)) != mustRead(t, from) {
			t.Errorf("%s is not %s", path, from)
		}
	}
	if out, err := exec.Command(filepath.Join(root, "usr/bin/gateway"), "--version").CombinedOutput(); err != nil || !strings.Contains(string(out), "v1.2.3") {
		t.Errorf("%v\n%s", err, out)
	}
	// dpkg asks about a conffile that its user and a new version changed, and
	// unattended-upgrades then leaves that version out.
	for _, name := range []string{"DEBIAN/conffiles", "etc"} {
		if _, err := os.Lstat(filepath.Join(root, name)); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s is in the package: %v", name, err)
		}
	}
	lintian, err := exec.LookPath("lintian")
	if err != nil {
		t.Log("no lintian here (Debian package lintian)")
		return
	}
	if out, err := exec.Command(lintian, "--allow-root", "--fail-on", "warning,error", first).CombinedOutput(); err != nil || len(bytes.TrimSpace(out)) > 0 {
		t.Errorf("lintian: %v\n%s", err, out)
	}
}

func TestDebianPackageOfNoSuchArchitecture(t *testing.T) {
	t.Parallel()
	findTool(t, "dpkg-deb", "dpkg")
	out, err := runScript(t, projectRoot, nil, "scripts/build", "--deb", "vax")
	if err == nil || !strings.Contains(out, `no architecture "vax"; there are: armhf arm64 amd64`) {
		t.Errorf("%v\n%s", err, out)
	}
}

// apt takes the highest version, so each of these has to be above the one before: a release
// above its candidates, commits above the tag they follow.
func TestDebianVersions(t *testing.T) {
	t.Parallel()
	dpkg := findTool(t, "dpkg", "dpkg")
	dir := copyProject(t, projectRoot)
	if err := os.WriteFile(dir+"/scripts/build", []byte("#!/bin/sh\nmkdir -p dist\necho x >dist/gateway-$1\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	before := ""
	for _, tt := range []struct{ described, version string }{
		{"8579e82", "0~8579e82"}, // a repository without tags
		{"8579e82-dirty", "0~8579e82+dirty"},
		{"unversioned", "0~unversioned"},
		{"v1.2.0", "1.2.0"},
		{"v1.2.0-5-gabc1234", "1.2.0+5+gabc1234"},
		{"v1.3.0-alpha1", "1.3.0~alpha1"},
		{"v1.3.0-beta.1", "1.3.0~beta.1"},
		{"v1.3.0-pre1", "1.3.0~pre1"},
		{"v1.3.0-rc1", "1.3.0~rc1"},
		{"v1.3.0-rc1-12-gabc1234", "1.3.0~rc1+12+gabc1234"},
		{"v1.3.0-rc1-12-gabc1234-dirty", "1.3.0~rc1+12+gabc1234+dirty"},
		{"v1.3.0-rc2", "1.3.0~rc2"},
		{"v1.3.0-RC3", "1.3.0~rc3"},
		{"v1.3.0rc4", "1.3.0~rc4"},
		{"v1.3.0", "1.3.0"},
		{"v1.3.0-1-gabc1234", "1.3.0+1+gabc1234"},
		{"2", "2"},
		{"2024-05-01", "2024+05+01"},
	} {
		out, err := runScript(t, dir, []string{"VERSION=" + tt.described, "SOURCE_DATE_EPOCH=1770000000"}, "scripts/deb", "amd64")
		if err != nil || !strings.Contains(out, "dist/gateway_"+tt.version+"_amd64.deb ") {
			t.Errorf("%s: %v\n%s\nwant version %s", tt.described, err, out, tt.version)
		}
		if before != "" && exec.Command(dpkg, "--compare-versions", before, "lt", tt.version).Run() != nil {
			t.Errorf("%s is not below %s", before, tt.version)
		}
		before = tt.version
	}
}

// repackage returns a package with another version, whose example of a configuration
// differs from those of other versions, and, if there is one, another program.
func repackage(t *testing.T, deb, version, program string) string {
	t.Helper()
	root := filepath.Join(t.TempDir(), "root")
	if out, err := exec.Command("dpkg-deb", "--raw-extract", deb, root).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	edit := func(path, pattern, by string) {
		t.Helper()
		path = filepath.Join(root, path)
		text := regexp.MustCompile("(?m)"+pattern).ReplaceAllString(mustRead(t, path), by)
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	edit("DEBIAN/control", "^Version: .*", "Version: "+version)
	edit("usr/share/gateway/gateway.yaml", `\A`, "# Of version "+version+".\n")
	if program != "" {
		if err := os.WriteFile(filepath.Join(root, "usr/bin/gateway"), []byte("#!/bin/sh\n"+program+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
		major, _, _ := strings.Cut(version, ".")
		edit("usr/lib/systemd/system/gateway.service", "^Description=.*", "Description=unit v"+major)
		edit("usr/lib/systemd/system/gateway-hub.service", "^Description=.*", "Description=hub v"+major)
	}
	sums := exec.Command("sh", "-c", "find usr -type f -print0 | xargs -0 md5sum >DEBIAN/md5sums")
	sums.Dir = root
	file := filepath.Join(filepath.Dir(root), version+".deb")
	for _, cmd := range []*exec.Cmd{sums, exec.Command("dpkg-deb", "--root-owner-group", "-Znone", "--build", root, file)} {
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	return file
}

// When the program of an update does not get ready, as the gateway or as a hub, the previous
// version is put back, with its units, which is reported. For dpkg the update is installed, and
// a corrected version replaces it as usual. scripts/install does the same. That a real systemd
// waits for the program is tested in the virtual machine.
func TestUpdateGoesBack(t *testing.T) {
	t.Parallel()
	long(t, "it builds the program and installs its package with dpkg")
	if runtime.GOOS != "linux" || os.Geteuid() != 0 {
		t.Skip("dpkg needs root on Linux, in an image of this machine")
	}
	image, made := t.TempDir(), buildPackage(t, "v1.0")
	for name, v := range map[string]struct{ version, gateway, hub string }{
		"old": {"1.0", "starts", "starts"}, "new": {"2.0", "starts", "starts"}, "bad": {"3.0", "fails", "starts"},
		"fixed": {"4.0", "starts", "starts"}, "badhub": {"5.0", "starts", "fails"},
	} {
		program := fmt.Sprintf("case \"$1\" in hub) echo v%[1]s %[3]s,;; *) echo v%[1]s %[2]s,;; esac", v.version[:1], v.gateway, v.hub)
		err := copyFile(filepath.Join(image, name+".deb"), repackage(t, made, v.version, program))
		if err == nil {
			err = writeProgram(filepath.Join(image, name), []byte("#!/bin/sh\n"+program+"\n"), 0o755)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, dir := range []string{"scripts", "systemd", "configs"} { // what a machine without Go has
		if err := os.CopyFS(filepath.Join(image, "project", dir), os.DirFS(filepath.Join(projectRoot, dir))); err != nil {
			t.Fatal(err)
		}
	}
	out, err := exec.CommandContext(t.Context(), findTool(t, "unshare", "util-linux"), "--mount", "--", "bash", "testdata/package/run", image).CombinedOutput()
	if strings.Contains(string(out), "mount: ") {
		t.Skipf("no image of this machine can be made: %s", out)
	}
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
