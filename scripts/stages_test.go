//go:build unix

// Package scripts tests the scripts in its folder.
package scripts

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// writeScript writes a script with the stages in body.
func writeScript(t *testing.T, body string) string {
	t.Helper()
	if _, err := exec.LookPath("bash"); err != nil {
		t.Skip("no bash here")
	}
	top, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "script")
	text := "#!/usr/bin/env bash\nset -euo pipefail\ncd '" + top + "'\n. scripts/stages\n" + body + "\nsummary\n"
	if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

// runStages runs such a script and returns what it wrote and its exit status.
func runStages(t *testing.T, script string, stages ...string) (string, int) {
	t.Helper()
	out, err := exec.Command(script, stages...).CombinedOutput()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	} else if err != nil {
		return string(out), exit.ExitCode()
	}
	return string(out), 0
}

// wantInOrder checks that out has the texts, one after another.
func wantInOrder(t *testing.T, out string, texts ...string) {
	t.Helper()
	rest := out
	for _, text := range texts {
		_, after, found := strings.Cut(rest, text)
		if !found {
			t.Fatalf("%q is missing, or not where it should be, in:\n%s", text, out)
		}
		rest = after
	}
}

func TestAFailedStageStopsNoOther(t *testing.T) {
	script := writeScript(t, `
		broken() { echo "broken begins"; false; echo "broken goes on"; }
		beside slow bash -c 'echo "from the background"; exit 3'
		stage first broken
		stage second echo "second runs"
		collect slow
		stage third sh -c 'echo "scripts/test but this" >$REPEATS; exit 1'
		stage fourth test -d "$TMPDIR"`)

	out, status := runStages(t, script)
	if status != 1 || strings.Contains(out, "broken goes on") {
		t.Errorf("exit status %d, want 1, and an end at the command that failed:\n%s", status, out)
	}
	wantInOrder(t, out,
		"== first", "broken begins", "-- first: FAILED, ",
		"== second", "second runs", "-- second: ok, ",
		"== slow", "from the background", "-- slow: FAILED, ",
		"-- third: FAILED", "-- fourth: ok",
		"== 5 stages", "FAILED",
		"first: "+script+" first\n",
		"slow: "+script+" slow\n",
		"third: scripts/test but this\n")

	out, status = runStages(t, script, "second", "fourth")
	if status != 0 || strings.Contains(out, "broken") {
		t.Errorf("two stages alone: exit status %d, want 0:\n%s", status, out)
	}
	wantInOrder(t, out, "second runs", "-- fourth: ok", "== 2 stages", "all passed")

	if out, status = runStages(t, script, "fifth"); status != 1 || !strings.Contains(out, "fifth: is no stage") {
		t.Errorf("a stage that does not exist: exit status %d, want 1 and its name:\n%s", status, out)
	}
}

// Processes that a stage started end with the script, in any process group or session,
// and no file is left.
func TestInterrupted(t *testing.T) {
	marks := t.TempDir()
	children := []string{filepath.Join(marks, "child"), filepath.Join(marks, "without an environment")}
	for _, child := range children {
		if err := syscall.Mkfifo(child, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	script := writeScript(t, `
		own_session() {
			setsid sh -c 'touch "$TMPDIR/file"; exec sleep 1000 >"$0"' "`+children[0]+`" &
			setsid env -i OUTER_TMPDIR="$TMPDIR" /bin/sh -c 'exec sleep 1000 >"$0"' "`+children[1]+`" &
			wait
		}
		stage endless own_session`)
	temporary := t.TempDir()
	cmd := exec.Command(script)
	cmd.Env = append(os.Environ(), "TMPDIR="+temporary)
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var alive []*os.File
	for _, child := range children {
		f, err := os.Open(child) // returns once sleep has it
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		alive = append(alive, f)
	}
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	if status := cmd.ProcessState.ExitCode(); status != 130 {
		t.Errorf("exit status %d, want 130:\n%s", status, &out)
	}
	for _, f := range alive {
		if n, err := f.Read(make([]byte, 1)); n != 0 || err == nil { // end of file: no writer is alive
			t.Errorf("%s: read %d, %v; want the end", f.Name(), n, err)
		}
	}
	if left, _ := os.ReadDir(temporary); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestEachFailedTestIsRepeatedByItsCommand(t *testing.T) {
	module := t.TempDir()
	for name, text := range map[string]string{
		"go.mod":         "module example.org/failing\n",
		"a/a_test.go":    "package a\nimport (\"testing\"; \"os\")\nfunc TestGood(t *testing.T) { t.Log(\"good says\") }\nfunc TestBad(t *testing.T) { t.Run(\"x\", func(t *testing.T) { t.Fatal(\"bad says\") }) }\nfunc TestWorse(t *testing.T) { if os.Getenv(\"GATEWAY_TEST_LONG\") == \"\" { t.Skip(\"it takes long\") }; t.Fatal(\"worse says\\n--- PASS: TestElsewhere (1s)\\nand elsewhere\") }\nfunc TestSkipped(t *testing.T) { t.Skip(\"skipped says\") }\n",
		"b/b_test.go":    "package b\nimport \"testing\"\nfunc TestPanic(t *testing.T) { panic(\"oh\") }\n",
		"c/c_test.go":    "package c\nfunc does not compile\n",
		"d/d_test.go":    "package d\nimport \"testing\"\nfunc TestGood(t *testing.T) {}\n",
		"e/e_test.go":    "package e\nimport (\"testing\"; \"os\")\nfunc TestMain(m *testing.M) { os.Exit(7) }\n",
		"f/f_test.go":    "package f\nimport \"testing\"\nfunc TestEndless(t *testing.T) { t.Log(\"endless says\"); select {} }\nfunc TestOther(t *testing.T) { t.Parallel() }\n",
		"g/g_test.go":    "package g\nimport (\"testing\"; \"os\"; \"fmt\")\nfunc TestDies(t *testing.T) { fmt.Println(\"dying says\"); os.Exit(3) }\n",
		"scripts/ignore": "",
	} {
		path := filepath.Join(module, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	awk, err := filepath.Abs("failures.awk")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(awk, filepath.Join(module, "scripts/failures.awk")); err != nil {
		t.Fatal(err)
	}
	out, status := runStages(t, writeScript(t, "cd '"+module+"'\nstage go tests GOWORK=off -short -timeout=2s -skip=None -- ./..."))
	if status != 1 || strings.Contains(out, "good says") {
		t.Errorf("exit status %d, want 1, and nothing of the tests that passed:\n%s", status, out)
	}
	for _, said := range []string{"bad says", "worse says", "and elsewhere", "skipped says", "endless says", "dying says", "--- SKIP: TestSkipped", "panic: oh", "ok  \texample.org/failing/d"} {
		if !strings.Contains(out, said) {
			t.Errorf("%q is missing", said)
		}
	}
	_, list, _ := strings.Cut(out, "== 1 stages")
	var got []string
	for line := range strings.Lines(list) {
		if command, found := strings.CutPrefix(strings.TrimSpace(line), "go: "); found {
			got = append(got, command)
		}
	}
	const command = "GATEWAY_TEST_LONG=1 GOWORK=off go test -count=1 -short -timeout=2s "
	want := []string{
		command + "./c", // before all others: it does not compile
		command + "-run='^TestBad$' ./a", command + "-run='^TestWorse$' ./a",
		command + "-run='^TestPanic$' ./b", command + "./e",
		command + "-run='^TestEndless$' ./f", command + "./g",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("repeated by:\n%s\nwant:\n%s\nof:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"), out)
	}
}
