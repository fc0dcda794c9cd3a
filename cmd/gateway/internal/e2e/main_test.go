package e2e

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// builtBinaries holds the program as the tests run it from outside: built once for each
// target, for all tests of this package, and removed at the end.
var builtBinaries struct {
	sync.Mutex
	dir     string
	targets map[string]func() (string, error)
}

// together is how many of these tests run at the same time, unless -parallel says
// so: most of their time they wait for readings, leases and pages.
const together = "8"

// patience is how long a test waits for what must come, on a machine that has much
// else to do.
const patience = time.Minute

// eventually asks until the answer is right, because nothing else tells how far another
// process is. If the answer stays wrong, it reports the last one.
func eventually(t testing.TB, late time.Duration, ask func() (answer string, right bool)) {
	t.Helper()
	again, end := time.NewTicker(20*time.Millisecond), time.After(late)
	defer again.Stop()
	for {
		answer, right := ask()
		if right {
			return
		}
		select {
		case <-again.C:
		case <-end:
			t.Fatalf("after %v: %s", late, answer)
		}
	}
}

// moving is eventually without a limit on the whole time: it waits as long as the answer changes.
func moving(t testing.TB, still time.Duration, ask func() (answer string, right bool)) {
	t.Helper()
	again, before, since := time.NewTicker(200*time.Millisecond), "", time.Now()
	defer again.Stop()
	for {
		answer, right := ask()
		switch {
		case right:
			return
		case answer != before:
			before, since = answer, time.Now()
		case time.Since(since) >= still:
			t.Fatalf("for %v: %s", still, answer)
		}
		<-again.C
	}
}

func TestMain(m *testing.M) {
	flag.Parse()
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "test.parallel" })
	if !given {
		if err := flag.Set("test.parallel", together); err != nil {
			panic(err)
		}
	}
	// Files in memory that killed gateways leave behind are removed with it.
	memory, err := os.MkdirTemp("", "gateway-test-memory-")
	if err != nil {
		panic(err)
	}
	os.Setenv("RUNTIME_DIRECTORY", memory)
	code := m.Run()
	os.RemoveAll(memory)
	if builtBinaries.dir != "" {
		os.RemoveAll(builtBinaries.dir)
	}
	os.Exit(code)
}

// buildGateway builds the program and returns the path of the binary. env
// chooses another target than this one: "GOARCH=arm", "GOARM=6".
func buildGateway(t testing.TB, env ...string) string {
	t.Helper()
	builtBinaries.Lock()
	if builtBinaries.targets == nil {
		dir, err := os.MkdirTemp("", "gateway-test-")
		if err != nil {
			builtBinaries.Unlock()
			t.Fatal(err)
		}
		builtBinaries.dir, builtBinaries.targets = dir, map[string]func() (string, error){}
	}
	key := strings.Join(env, " ")
	build, ok := builtBinaries.targets[key]
	if !ok {
		path := filepath.Join(builtBinaries.dir, fmt.Sprintf("%d", len(builtBinaries.targets)), "gateway")
		if runtime.GOOS == "windows" || slices.Contains(env, "GOOS=windows") {
			path += ".exe"
		}
		build = sync.OnceValues(func() (string, error) { return path, goBuild(path, env) })
		builtBinaries.targets[key] = build
	}
	builtBinaries.Unlock()

	path, err := build()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// goBuild builds the program to path, with the flags of scripts/build, so that
// both share what the compiler has cached.
func goBuild(path string, env []string) error {
	cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-tags=nethttpomithttp2", "-ldflags=-s -w", "-o", path, "sensorgateway/cmd/gateway")
	cmd.Env = append(append(os.Environ(), "CGO_ENABLED=0"), env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go build %s: %w\n%s", strings.Join(env, " "), err, out)
	}
	return nil
}

// tenth returns a tenth of what a test does at its full length, and all of it where
// GATEWAY_TEST_SOAK is set, as by scripts/soak.
func tenth(t testing.TB, full int, of string) int {
	t.Helper()
	n := full
	if os.Getenv("GATEWAY_TEST_SOAK") == "" {
		n = full / 10
	}
	t.Logf("%d of %d %s (scripts/soak: all)", n, full, of)
	return n
}

// long skips a test that takes long, and says so, unless GATEWAY_TEST_LONG is set, as
// by scripts/test. So the tests that everybody runs before each commit take little
// time.
func long(t testing.TB, why string) {
	t.Helper()
	if os.Getenv("GATEWAY_TEST_LONG") == "" {
		t.Skipf("%s; to run it: GATEWAY_TEST_LONG=1 go test -run '^%s$' ./cmd/gateway/internal/e2e", why, t.Name())
	}
}

// findTool returns the path of a program that is not Go's, which Debian has in
// pkg; without it the test is skipped, see [unavailable].
func findTool(t testing.TB, name, pkg string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		unavailable(t, "no %s here (Debian package %s)", name, pkg)
	}
	return path
}

// unavailable skips a test whose tools are missing and says why. If GATEWAY_TEST_ALL
// is set, as by scripts/test when it could install them, the test fails instead,
// because then no test may be skipped.
func unavailable(t testing.TB, format string, args ...any) {
	t.Helper()
	if os.Getenv("GATEWAY_TEST_ALL") != "" {
		t.Fatalf(format, args...)
	}
	t.Skipf(format, args...)
}
