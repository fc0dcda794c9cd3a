//go:build linux

package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"sensorgateway/scripts/load/process"
)

// attackerAddress is the address from which all attacks come. The operator has
// another one.
const attackerAddress = "127.0.0.2"

// head is the beginning of an attacker's request. A client that comes through a proxy
// may not command, whatever its address is.
const head = "%s HTTP/1.1\r\nHost: %s\r\nX-Forwarded-For: 192.0.2.66\r\n"

// An attack is many connections of one host at the same time. Each is made again when
// it has ended.
type attack struct {
	name    string
	clients int
	pause   time.Duration // before a connection is made again
	request string        // the request line
	header  string
	body    string
	listens bool // it reads the answer
}

// attacks are what one host can do without credentials.
var attacks = []attack{
	{"slow bodies", 5000, 4 * time.Second, "POST /api/v1/readings", "Content-Length: 100000\r\n", "{", true},
	{"slow chunks", 500, 4 * time.Second, "POST /", "Transfer-Encoding: chunked\r\n", "5\r\nab", true},
	{"silent connections", 5000, 4 * time.Second, "", "", "", true},
	{"incomplete requests", 500, 4 * time.Second, "GET /", "X-A: b\r\n", "", true},
	{"WebSocket clients that read", 5000, 10 * time.Second, "GET /", handshake, "", true},
	{"WebSocket clients that do not", 5000, 10 * time.Second, "GET /", handshake, "", false},
	{"queries of a day", 64, 100 * time.Millisecond, "GET /api/v1/readings?sensor=s&from=0", "Connection: close\r\n", "", true},
	{"queries of a day that are not read", 64, 100 * time.Millisecond, "GET /api/v1/readings?sensor=s&from=0", "Connection: close\r\n", "", false},
}

const handshake = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n" +
	"Sec-WebSocket-Key: c3dhcm0gb2YgY2xpZW50cw==\r\n"

// attackFrom attacks until ctx ends, and returns how many connections it made. It
// does so in a process of low priority, which leaves the gateway its processors as an
// attacker on another machine would.
func attackFrom(ctx context.Context, addr string) (tries int64, err error) {
	program, err := os.Executable()
	if err != nil {
		return 0, err
	}
	cmd := exec.CommandContext(ctx, "nice", "-n", "19", program, "-attack", addr)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = process.StopLimit
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if ctx.Err() == nil {
		return 0, fmt.Errorf("the attack ended early: %w", err)
	}
	return strconv.ParseInt(strings.TrimSpace(string(out)), 10, 64)
}

// attackAll is run in that process: it attacks until ctx ends, and prints how many
// connections it made.
func attackAll(ctx context.Context, addr string) error {
	var tries atomic.Int64
	var all sync.WaitGroup
	for _, a := range attacks {
		all.Go(func() { a.run(ctx, addr, &tries) })
	}
	all.Wait()
	fmt.Println(tries.Load())
	return nil
}

// run attacks until ctx ends. tries counts connections.
func (a attack) run(ctx context.Context, addr string, tries *atomic.Int64) {
	var all sync.WaitGroup
	for i := range a.clients {
		all.Go(func() {
			// The first connections are spread over the pause after which each is repeated.
			if !pause(ctx, time.Duration(i)*a.pause/time.Duration(a.clients)) {
				return
			}
			for ctx.Err() == nil {
				tries.Add(1)
				a.once(ctx, addr)
				if !pause(ctx, a.pause) {
					return
				}
			}
		})
	}
	all.Wait()
}

// once makes one connection and keeps it as long as it lasts.
func (a attack) once(ctx context.Context, addr string) {
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(attackerAddress)}, Timeout: 10 * time.Second}
	c, err := d.DialContext(ctx, "tcp4", addr)
	if err != nil {
		return // to be refused is the purpose of the attack
	}
	cut := context.AfterFunc(ctx, func() { _ = c.Close() })
	defer cut()
	defer c.Close()
	_ = c.(*net.TCPConn).SetLinger(0) // so that thousands leave no ports in TIME_WAIT
	if a.request != "" {
		end := "\r\n"
		if a.name == "incomplete requests" {
			end = ""
		}
		if _, err := fmt.Fprintf(c, head+"%s%s%s", a.request, addr, a.header, end, a.body); err != nil {
			return
		}
	}
	if a.listens {
		_, _ = io.Copy(io.Discard, c)
		return
	}
	pause(ctx, time.Minute)
}

// pause waits, and returns false if ctx has ended.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
