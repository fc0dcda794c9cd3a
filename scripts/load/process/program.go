//go:build linux

package process

import (
	"bytes"
	"fmt"
	"os/exec"
	"regexp"
	"sync"
	"syscall"
	"time"
)

// startLimit is how long a program may take until it is ready.
const startLimit = 20 * time.Second

// StopLimit is how long it may take until it has ended.
const StopLimit = 20 * time.Second

// Program is one that runs.
type Program struct {
	ID
	Found  string // the first group of ready, in the line that matched
	cmd    *exec.Cmd
	log    *output
	exited chan struct{}
	err    error // of its end, once exited is closed
}

// Start runs a command, made with a context, and waits until a line of its log matches
// ready. The command ends with this program, however that ends.
func Start(cmd *exec.Cmd, ready *regexp.Regexp) (*Program, error) {
	p := &Program{cmd: cmd, log: &output{ready: ready, found: make(chan string, 1)}, exited: make(chan struct{})}
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = StopLimit
	cmd.Stderr = p.log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p.ID = ID(cmd.Process.Pid)
	go func() { p.err = cmd.Wait(); close(p.exited) }()
	select {
	case p.Found = <-p.log.found:
		return p, nil
	case <-p.exited:
		return nil, fmt.Errorf("%s ended before it was ready: %w\n%s", cmd.Path, p.err, &p.log.text)
	case <-time.After(startLimit):
		_ = cmd.Process.Kill()
		<-p.exited
		return nil, fmt.Errorf("%s is not ready after %v\n%s", cmd.Path, startLimit, &p.log.text)
	}
}

// Stop ends the program as its supervisor would.
func (p *Program) Stop() error {
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // if it has ended, its error says so
	kill := time.AfterFunc(StopLimit, func() { _ = p.cmd.Process.Kill() })
	defer kill.Stop()
	<-p.exited
	if p.err != nil {
		return fmt.Errorf("%s ended with %w\n%s", p.cmd.Path, p.err, &p.log.text)
	}
	return nil
}

// Log returns the beginning of the log of a program that has ended.
func (p *Program) Log() string {
	<-p.exited
	return p.log.text.String()
}

// output is what a program logs. It is read once the program has ended.
type output struct {
	mu    sync.Mutex
	text  bytes.Buffer
	ready *regexp.Regexp
	found chan string // once
}

// maxLog is how much of a log is kept, in bytes.
const maxLog = 64 << 10

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.text.Len() < maxLog {
		o.text.Write(p)
	}
	if m := o.ready.FindSubmatch(p); m != nil { // a line is one write
		select {
		case o.found <- string(m[len(m)-1]):
		default:
		}
	}
	return len(p), nil
}
