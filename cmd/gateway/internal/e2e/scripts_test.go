package e2e

import (
	"bytes"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
)

const projectRoot = "../../../.." // of the project, seen from this package

// copyProject copies the project's source at src to a new directory.
func copyProject(t *testing.T, src string) string {
	t.Helper()
	dst := t.TempDir()
	entries, err := os.ReadDir(src)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") || e.Name() == "dist" {
			continue
		}
		from, to := filepath.Join(src, e.Name()), filepath.Join(dst, e.Name())
		if e.IsDir() {
			err = os.CopyFS(to, os.DirFS(from))
		} else {
			err = copyFile(to, from)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return dst
}

func copyFile(to, from string) error {
	b, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	info, err := os.Stat(from)
	if err != nil {
		return err
	}
	return writeProgram(to, b, info.Mode().Perm())
}

// writeProgram writes a file that will be run. It lets no process start meanwhile: a new
// process would inherit the file, open for writing, until it calls execve, and Linux does
// not run a file that is open for writing (execve(2), ETXTBSY).
func writeProgram(file string, b []byte, mode os.FileMode) error {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	return os.WriteFile(file, b, mode)
}

// runScript runs one of the project's scripts in the directory dir and returns its
// output.
func runScript(t *testing.T, dir string, env []string, argv ...string) (string, error) {
	t.Helper()
	if _, err := exec.LookPath("bash"); err != nil {
		t.Skip("no bash here")
	}
	cmd := exec.Command("bash", argv...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func TestBuildIsReproducible(t *testing.T) {
	t.Parallel()
	long(t, "it builds the program twice")
	const binary = "dist/gateway-linux-amd64"
	first := copyProject(t, projectRoot)
	second := copyProject(t, first)
	var builds [2][]byte
	for i, dir := range []string{first, second} {
		// A user's own settings must not change the bytes.
		env := [][]string{
			{"VERSION=v1.2.3-test"},
			{"VERSION=v1.2.3-test", "GOFLAGS=-race", "GOAMD64=v3", "CGO_ENABLED=1"},
		}[i]
		argv := []string{filepath.Join(dir, "scripts/build"), "linux-amd64"}
		if i == 1 && runtime.GOOS+"-"+runtime.GOARCH == argv[1] {
			argv = argv[:1] // it builds for the machine that it runs on
		}
		out, err := runScript(t, os.TempDir(), env, argv...)
		if err != nil {
			t.Fatalf("scripts/build: %v\n%s", err, out)
		}
		if !strings.Contains(out, binary) || !strings.Contains(out, "KiB") {
			t.Errorf("scripts/build does not say what it made and how large it is:\n%s", out)
		}
		if builds[i], err = os.ReadFile(filepath.Join(dir, binary)); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(builds[0], builds[1]) {
		t.Errorf("two builds of the same source differ")
	}
	if !bytes.Contains(builds[0], []byte("v1.2.3-test")) {
		t.Errorf("the version is not stamped")
	}
	if bytes.Contains(builds[0], []byte(first)) {
		t.Errorf("the binary names the directory it was built in")
	}
}

func TestBuildRefusesWhatItDoesNotKnow(t *testing.T) {
	t.Parallel()
	out, err := runScript(t, projectRoot, nil, "scripts/build", "linux-vax")
	if err == nil || !strings.Contains(out, `"linux-vax"`) || !strings.Contains(out, "linux-armv6") {
		t.Errorf("got %v, want an error that names the target and those that exist:\n%s", err, out)
	}
	out, err = runScript(t, projectRoot, []string{"VERSION=1 -X main.x=y"}, "scripts/build", "linux-amd64")
	if err == nil || !strings.Contains(out, "VERSION") {
		t.Errorf("got %v, want an error that names VERSION:\n%s", err, out)
	}
}

// filesUnder returns the files under dir with their contents.
func filesUnder(t *testing.T, dir string) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		name, _ := filepath.Rel(dir, path)
		found[filepath.ToSlash(name)] = string(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func mustRead(t testing.TB, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// wantFiles compares the files under dir with want, by name and content.
func wantFiles(t *testing.T, dir string, want map[string]string) {
	t.Helper()
	got := filesUnder(t, dir)
	for name, content := range want {
		if c, ok := got[name]; !ok {
			t.Errorf("%s is not there", name)
		} else if c != content {
			t.Errorf("%s holds %.60q, want %.60q", name, c, content)
		}
		delete(got, name)
	}
	for name := range got {
		t.Errorf("%s is there, want it not to be", name)
	}
}

func TestInstall(t *testing.T) {
	t.Parallel()
	const (
		program  = "usr/bin/gateway"
		unit     = "etc/systemd/system/gateway.service"
		watch    = "etc/systemd/system/gateway-rebind.path"
		helper   = "etc/systemd/system/gateway-rebind.service"
		config   = "etc/gateway/gateway.yaml"
		journal  = "var/lib/gateway/state"
		version1 = "the program, version 1"
		version2 = "the program, version 2"
	)
	stage := t.TempDir()
	binary := filepath.Join(t.TempDir(), "gateway")
	unitText, watchText, helperText := mustRead(t, unitFile), mustRead(t, projectRoot+"/systemd/gateway-rebind.path"), mustRead(t, rebindUnitFile)
	reference := mustRead(t, projectRoot+"/configs/gateway.yaml")

	write := func(path, content string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := writeProgram(path, []byte(content), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	install := func(argv ...string) string {
		t.Helper()
		out, err := runScript(t, projectRoot, nil, append([]string{"scripts/install", "--root", stage}, argv...)...)
		if err != nil {
			t.Fatalf("scripts/install %v: %v\n%s", argv, err, out)
		}
		return out
	}

	write(binary, version1)
	out := install(binary)
	want := map[string]string{program: version1, unit: unitText, watch: watchText, helper: helperText, config: reference}
	wantFiles(t, stage, want)
	for name := range want {
		if !strings.Contains(out, "installed "+filepath.Join(stage, name)) {
			t.Errorf("it does not say that it installed %s:\n%s", name, out)
		}
	}
	for name, mode := range map[string]fs.FileMode{program: 0o755, unit: 0o644, config: 0o644} {
		if info, err := os.Stat(filepath.Join(stage, name)); err != nil {
			t.Error(err)
		} else if info.Mode() != mode {
			t.Errorf("%s: mode %v, want %v", name, info.Mode(), mode)
		}
	}

	// Again: nothing to do, and it says so.
	out = install(binary)
	wantFiles(t, stage, want)
	if strings.Contains(out, "installed ") || strings.Count(out, "left ") != len(want) {
		t.Errorf("a second run does something:\n%s", out)
	}

	// An update does not change an edited configuration, and puts the new example beside it.
	write(binary, version2)
	write(filepath.Join(stage, config), "mine")
	out = install(binary)
	want = map[string]string{program: version2, unit: unitText, watch: watchText, helper: helperText, config: "mine", config + ".new": reference}
	wantFiles(t, stage, want)
	if !strings.Contains(out, "(yours)") {
		t.Errorf("it does not say that it left the configuration:\n%s", out)
	}

	// Without --purge, configuration and readings stay.
	write(filepath.Join(stage, journal), "readings")
	out = install("--uninstall")
	delete(want, program)
	for _, name := range []string{unit, watch, helper} {
		delete(want, name)
	}
	want[journal] = "readings"
	wantFiles(t, stage, want)
	if strings.Count(out, "kept ") != 2 {
		t.Errorf("it does not say what it kept:\n%s", out)
	}
	install("--uninstall")
	wantFiles(t, stage, want)
	install("--uninstall", "--purge")
	wantFiles(t, stage, nil)
}

// Missing programs are found before anything is changed.
func TestInstallChecksFirst(t *testing.T) {
	bin, stage := t.TempDir(), t.TempDir()
	for _, name := range []string{"bash", "dirname", "mkdir", "install", "mv"} { // no cmp, no sync
		path, err := exec.LookPath(name)
		if err != nil {
			t.Skip(err)
		}
		if err := os.Symlink(path, filepath.Join(bin, name)); err != nil {
			t.Fatal(err)
		}
	}
	out, err := runScript(t, projectRoot, []string{"PATH=" + bin}, "scripts/install", "--root", stage, writeFile(t, "gateway", "x"))
	if err == nil || !strings.Contains(out, "nothing was done, for these programs are missing: cmp sync") {
		t.Errorf("%v\n%s", err, out)
	}
	if left, err := os.ReadDir(stage); err != nil || len(left) > 0 {
		t.Errorf("%v, %v", left, err)
	}
}

func TestInstallRefuses(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, want string }{
		{"--purge", "--uninstall"},
		{"--frobnicate", "--frobnicate"},
		{"/nonexistent/gateway", "/nonexistent/gateway"},
	}
	for _, tt := range tests {
		out, err := runScript(t, projectRoot, nil, "scripts/install", "--root", t.TempDir(), tt.name)
		if err == nil || !strings.Contains(out, tt.want) {
			t.Errorf("install %s: %v, want an error that names %s:\n%s", tt.name, err, tt.want, out)
		}
	}
}
