//go:build linux

package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"sync"
	"syscall"
	"time"
)

const (
	startLimit = 20 * time.Second // until it listens
	stopLimit  = 20 * time.Second // until it has ended
)

// gateway is the program under test, or the bare loop that it is compared with.
type gateway struct {
	process
	addr   string // of its listener
	cmd    *exec.Cmd
	log    *output
	exited chan struct{}
	err    error // of its end, once exited is closed
}

// limits are those of a gateway all of whose clients come from one address at once.
const limits = "limits: {connections: 20000, connections_per_address: 20000, clients: 20000, clients_per_address: 20000}\n"

// startGateway runs the program with a configuration of its own, kept in dir,
// and waits until it listens.
func startGateway(ctx context.Context, program, dir, config string, flags ...string) (*gateway, error) {
	file := filepath.Join(dir, "gateway.yaml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		return nil, err
	}
	flags = append([]string{"--simulate", "--config", file, "--listen", "127.0.0.1:0", "--log-format", "text"}, flags...)
	return startServer(ctx, program, flags...)
}

// startServer runs a program that logs the address that it listens at, and waits for that.
func startServer(ctx context.Context, program string, flags ...string) (*gateway, error) {
	g := &gateway{log: &output{addr: make(chan string, 1)}, exited: make(chan struct{})}
	g.cmd = exec.CommandContext(ctx, program, flags...)
	g.cmd.Env = append(os.Environ(), "GOMEMLIMIT=96MiB") // as in the unit
	g.cmd.Cancel = func() error { return g.cmd.Process.Signal(syscall.SIGTERM) }
	g.cmd.WaitDelay = stopLimit
	g.cmd.Stderr = g.log
	if err := g.cmd.Start(); err != nil {
		return nil, err
	}
	g.process = process(g.cmd.Process.Pid)
	go func() { g.err = g.cmd.Wait(); close(g.exited) }()
	select {
	case g.addr = <-g.log.addr:
		return g, nil
	case <-g.exited:
		return nil, fmt.Errorf("%s ended before it listened: %w\n%s", program, g.err, &g.log.text)
	case <-time.After(startLimit):
		_ = g.cmd.Process.Kill()
		<-g.exited
		return nil, fmt.Errorf("%s does not listen after %v\n%s", program, startLimit, &g.log.text)
	}
}

// stop ends the program as its supervisor would.
func (g *gateway) stop() error {
	_ = g.cmd.Process.Signal(syscall.SIGTERM) // if it has ended, its error says so
	kill := time.AfterFunc(stopLimit, func() { _ = g.cmd.Process.Kill() })
	defer kill.Stop()
	<-g.exited
	if g.err != nil {
		return fmt.Errorf("%s ended with %w\n%s", g.cmd.Path, g.err, &g.log.text)
	}
	return nil
}

// output is what a gateway logs. It is read once the gateway has ended.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
	addr chan string // where it listens, once
}

var announced = regexp.MustCompile(`ws://(127\.0\.0\.1:[0-9]+)/`)

// maxLog is how much of a log is kept, in bytes.
const maxLog = 64 << 10

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.text.Len() < maxLog {
		o.text.Write(p)
	}
	if m := announced.FindSubmatch(p); m != nil { // a line is one write
		select {
		case o.addr <- string(m[1]):
		default:
		}
	}
	return len(p), nil
}
