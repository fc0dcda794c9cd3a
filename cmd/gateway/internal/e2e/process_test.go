package e2e

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// gatewayProcess is the program running as its user would start it.
type gatewayProcess struct {
	URL string // ws(s)://HOST:PORT/, as the program announced it

	cmd       *exec.Cmd
	announced chan string   // the first announcement; others are dropped
	exited    chan struct{} // closed when it has ended and all its output was read
	err       error         // of the end; valid once exited is closed

	mu     sync.Mutex
	output bytes.Buffer  // stdout and stderr as they came
	more   chan struct{} // 1: there is more of it
}

var announcedForm = regexp.MustCompile(`wss?://[^\s"/]+:[0-9]+/`)

// startGateway starts argv and waits until it announces its address. It is killed at
// the end of the test if it still runs.
func startGateway(t testing.TB, argv ...string) *gatewayProcess {
	t.Helper()
	p := launchGateway(t, argv...)
	select {
	case p.URL = <-p.announced:
	case <-p.exited:
		t.Fatalf("the gateway ended before it listened: %v", p.err)
	case <-time.After(patience):
		t.Fatalf("the gateway does not say where it listens, after %v", patience)
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
	p := &gatewayProcess{cmd: exec.Command(argv[0], argv[1:]...), exited: make(chan struct{}), announced: make(chan string, 1), more: make(chan struct{}, 1)}
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
		select {
		case p.more <- struct{}{}:
		default:
		}
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

// running reports whether the process has not ended yet.
func (p *gatewayProcess) running() bool {
	select {
	case <-p.exited:
		return false
	default:
		return true
	}
}

// Output returns what the process has written so far.
func (p *gatewayProcess) Output() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.output.String()
}

// await waits until the process has written text. One goroutine may do so.
func (p *gatewayProcess) await(t testing.TB, text string) {
	t.Helper()
	for late := time.After(patience); !strings.Contains(p.Output(), text); {
		select {
		case <-p.more:
		case <-late:
			t.Fatalf("the gateway has not written %q after %v", text, patience)
		}
	}
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
	case <-time.After(patience):
		t.Fatalf("the gateway did not end within %v after SIGTERM", patience)
		return nil
	}
}

// Kill ends the process as a power cut would, and waits until it has ended.
func (p *gatewayProcess) Kill(t testing.TB) {
	t.Helper()
	if err := p.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-p.exited
}

// reserved has the ports that freeAddress has given away.
var reserved sync.Map

// freeAddress returns an address that is not in use, for a program that will listen there
// again after a restart. Its port is below those that systems choose for connections and
// for port 0, so no other program gets it while the program does not run.
func freeAddress(t testing.TB) string {
	t.Helper()
	for range 100 {
		port := 10_000 + rand.IntN(20_000)
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			continue
		}
		l.Close()
		if _, taken := reserved.LoadOrStore(port, true); !taken {
			return l.Addr().String()
		}
	}
	t.Fatal("no free port below 30000")
	return ""
}
