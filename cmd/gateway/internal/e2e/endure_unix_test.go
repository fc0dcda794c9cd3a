//go:build unix

package e2e

import (
	"bufio"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestReaderOfLogEnds: a gateway goes on, and ends in order, when the process that reads its
// log lines has ended.
func TestReaderOfLogEnds(t *testing.T) {
	t.Parallel()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(buildGateway(t), "--simulate", "--listen", "127.0.0.1:0")
	cmd.Stdout, cmd.Stderr = w, w
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	w.Close()
	url := ""
	for lines := bufio.NewScanner(r); url == "" && lines.Scan(); {
		url = strings.Replace(announcedForm.FindString(lines.Text()), "ws", "http", 1)
	}
	r.Close()

	request, err := http.NewRequest(http.MethodGet, url+"readyz", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Host = "another.example" // a refusal is logged
	for range 2 {
		answer, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
	}
	if answer, err := http.Get(url + "healthz"); err != nil || answer.StatusCode != http.StatusOK {
		t.Errorf("%v, %v", answer, err)
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}

// TestReloadWhileItStops: a reload that comes while a gateway stops does not interrupt its
// orderly end.
func TestReloadWhileItStops(t *testing.T) {
	t.Parallel()
	p := startGateway(t, buildGateway(t), "--simulate", "--listen", "127.0.0.1:0", "--state", t.TempDir())
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	for again := time.NewTicker(time.Millisecond); p.running(); <-again.C {
		_ = p.cmd.Process.Signal(syscall.SIGHUP) // it fails when it has ended
	}
	if p.err != nil {
		t.Error(p.err)
	}
}
