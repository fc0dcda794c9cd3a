//go:build linux

package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"

	"sensorgateway/scripts/load/process"
)

// gateway is the program under test, or the bare loop that it is compared with.
type gateway struct {
	*process.Program
	addr string // of its listener
}

// limits are for a gateway whose clients all come from one address at the same time.
const limits = "limits: {connections: 20000, connections_per_address: 20000, clients: 20000, clients_per_address: 20000}\n"

var announced = regexp.MustCompile(`ws://(127\.0\.0\.1:[0-9]+)/`)

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

// startServer runs a program that logs its listening address, and waits for that line.
func startServer(ctx context.Context, program string, flags ...string) (*gateway, error) {
	cmd := exec.CommandContext(ctx, program, flags...)
	cmd.Env = append(os.Environ(), "GOMEMLIMIT=96MiB") // as in the unit
	p, err := process.Start(cmd, announced)
	if err != nil {
		return nil, err
	}
	return &gateway{p, p.Found}, nil
}

// goroutines asks a gateway how many it has.
func goroutines(addr string) (int, error) { return metric(addr, "go_goroutines ") }

// metric asks a gateway for a number of its metrics.
func metric(addr, name string) (int, error) {
	r, err := http.Get("http://" + addr + "/metrics")
	if err != nil {
		return 0, err
	}
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	if err != nil {
		return 0, fmt.Errorf("/metrics: %w", err)
	}
	return process.Number(string(text), name)
}
