package e2e

import (
	"bufio"
	"bytes"
	"io"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"
)

// gatewayProcess is the program running as its user would start it.
type gatewayProcess struct {
	URL string // ws(s)://HOST:PORT/, as the program announced it

	cmd       *exec.Cmd
	announced chan string   // the first announcement; more are dropped
	exited    chan struct{} // closed when it has ended and all its output is in
	err       error         // of the end; valid once exited is closed

	mu     sync.Mutex
	output bytes.Buffer // stdout and stderr as they came
}

var announcedForm = regexp.MustCompile(`wss?://[^\s"/]+:[0-9]+/`)

// startGateway starts argv and waits, a minute at most, until it says where it
// listens. It is killed at the end of the test if it still runs by then.
func startGateway(t testing.TB, argv ...string) *gatewayProcess {
	t.Helper()
	p := launchGateway(t, argv...)
	select {
	case p.URL = <-p.announced:
	case <-p.exited:
		t.Fatalf("it ended before it listened: %v", p.err)
	case <-time.After(time.Minute):
		t.Fatal("it does not listen after a minute")
	}
	return p
}

// launchGateway starts argv, as startGateway does, and waits for nothing.
func launchGateway(t testing.TB, argv ...string) *gatewayProcess {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	p := &gatewayProcess{cmd: exec.Command(argv[0], argv[1:]...), exited: make(chan struct{}), announced: make(chan string, 1)}
	p.cmd.Stdout, p.cmd.Stderr = w, w
	err = p.cmd.Start()
	w.Close()
	if err != nil {
		r.Close()
		t.Fatal(err)
	}
	go p.follow(r)
	t.Cleanup(func() {
		p.cmd.Process.Kill()
		<-p.exited
		if t.Failed() {
			t.Logf("output of the program:\n%s", p.Output())
		}
	})
	return p
}

// follow collects the output until the process has ended.
func (p *gatewayProcess) follow(r io.ReadCloser) {
	defer close(p.exited)
	defer r.Close()
	for in := bufio.NewReader(r); ; {
		line, err := in.ReadString('\n')
		p.mu.Lock()
		p.output.WriteString(line)
		p.mu.Unlock()
		if at := announcedForm.FindString(line); at != "" {
			select {
			case p.announced <- at:
			default:
			}
		}
		if err != nil {
			break
		}
	}
	p.err = p.cmd.Wait()
}

// Output returns what the process has written so far.
func (p *gatewayProcess) Output() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.output.String()
}

// Stop asks the process to end and returns how it did: nil for exit status 0.
func (p *gatewayProcess) Stop(t testing.TB) error {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("a process cannot be asked to end on Windows")
	}
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case <-p.exited:
		return p.err
	case <-time.After(time.Minute):
		t.Fatal("it did not end within a minute")
		return nil
	}
}

// Kill ends the process as a power cut would, and waits until it is gone.
func (p *gatewayProcess) Kill(t testing.TB) {
	t.Helper()
	if err := p.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-p.exited
}
