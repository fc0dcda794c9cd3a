package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sensorgateway/wire"
)

// A client library of other authors: echo, stream, requests, too many requests, chat.
func TestPythonClient(t *testing.T) {
	t.Parallel()
	python := debianPython(t)
	p := startGateway(t, buildGateway(t), "--simulate", "--config", withoutInterlocks(t), "--listen", "127.0.0.1:0")
	out, err := exec.CommandContext(t.Context(), python, "testdata/strangers/talk.py", p.URL).Output()
	if err != nil {
		stderr := ""
		if e, ok := err.(*exec.ExitError); ok {
			stderr = string(e.Stderr)
		}
		t.Fatalf("%v\n%s%s", err, out, stderr)
	}
	var got struct {
		Echo     string
		Stream   []string
		Requests []wire.Envelope
		Rate     [3]any // pongs, close code, reason
		Chat     []any
	}
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	want := func(what string, got any, want string) {
		t.Helper()
		if s := fmt.Sprint(got); !strings.Contains(s, want) {
			t.Errorf("%s: %s, want %s", what, s, want)
		}
	}
	want("streaming", got.Stream, "[greenhouse indoor outdoor]")
	want("too many messages", got.Rate[1:], "[1008 Rate limit exceeded]")
	if pongs, _ := got.Rate[0].(float64); pongs < 20 {
		t.Errorf("%v pings were answered, want 20 at least", got.Rate[0])
	}
	for i, w := range []struct{ kind, id, payload string }{
		{"error", "", "map[code:400 message:Invalid JSON]"},
		{"error", "1", "map[code:404 message:Unknown type: fly]"},
		{"pong", `"a"`, "x:1"},
		{"subscribed", "", "motors:[map["},
		{"ack", "2", "running:true"},
	} {
		e := got.Requests[i]
		want("answer", e.Type, w.kind)
		want("id", string(e.ID), w.id)
		want(e.Type, e.Payload, w.payload)
	}
	for i, w := range []string{
		"nick:server", "nick:server", "[1008 Nick taken]", "map[nick:eve text: type:join]", "map[nick:eve text:hi type:chat]",
		"map[nick:eve text:hi type:chat]", "map[nick:eve text: type:leave]",
	} {
		want(fmt.Sprintf("chat message %d", i), got.Chat[i], w)
	}
	want("a taken nick", got.Chat[1], "type:error")
}

// Libraries of other authors read the unchanged stream, each with a few lines.
func TestStrangersRead(t *testing.T) {
	t.Parallel()
	p := startGateway(t, buildGateway(t), "--simulate", "--listen", "127.0.0.1:0")
	line := regexp.MustCompile(`(?m)^-?\d+\.\d+ \d+\.\d+ \d{13}$`)
	for _, tt := range []struct {
		program, pkg string
		has          []string // succeeds if the library is there
	}{
		{"read_aiohttp.py", "python3-aiohttp", []string{"/usr/bin/python3", "-c", "import aiohttp"}},
		{"read_websocket_client.py", "python3-websocket", []string{"/usr/bin/python3", "-c", "import websocket"}},
		{"read_qt.py", "python3-pyqt5.qtwebsockets", []string{"/usr/bin/python3", "-c", "import PyQt5.QtWebSockets"}},
		{"read_mojolicious.pl", "libmojolicious-perl", []string{"/usr/bin/perl", "-MMojolicious", "-e", "1"}},
	} {
		t.Run(tt.program, func(t *testing.T) {
			t.Parallel()
			if err := exec.Command(tt.has[0], tt.has[1:]...).Run(); err != nil {
				unavailable(t, "no library for %s here (Debian package %s): %v", tt.program, tt.pkg, err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			out, err := exec.CommandContext(ctx, tt.has[0], "testdata/strangers/"+tt.program, p.URL).CombinedOutput()
			// A sensor that fails on a busy machine is a NaN.
			if n := len(line.FindAll(out, -1)); err != nil || n == 0 || strings.Count(string(out), "\n") != 10 {
				t.Errorf("%v, %d readings:\n%s", err, n, out)
			}
		})
	}
}

// A restart closes each of fifty clients with 1012 and its own time to reconnect, and all
// of them reconnect.
func TestRestartUnderFiftyClients(t *testing.T) {
	t.Parallel()
	python := debianPython(t)
	args := []string{buildGateway(t), "--simulate", "--listen", freeAddress(t)}
	p := startGateway(t, args...)
	cmd := exec.CommandContext(t.Context(), python, "testdata/strangers/return.py", p.URL)
	cmd.Stderr = os.Stderr
	stdout, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	out := bufio.NewReader(stdout)
	if line, err := out.ReadString('\n'); line != "connected\n" {
		t.Fatalf("%q %v", line, err)
	}
	if err := p.Stop(t); err != nil {
		t.Errorf("SIGTERM: %v", err)
	}
	startGateway(t, args...)
	rest, _ := io.ReadAll(out)
	if err := cmd.Wait(); err != nil {
		t.Fatalf("%v\n%s", err, rest)
	}
	var got struct {
		Closed [][2]int `json:"closed"`
		Back   []float64
	}
	if err := json.Unmarshal(rest, &got); err != nil {
		t.Fatalf("%v\n%s", err, rest)
	}
	seen := map[int]bool{}
	for _, s := range got.Closed {
		if s[0] != wire.CloseServiceRestart || seen[s[1]] {
			t.Errorf("closed with %v, seen before: %v", s, seen[s[1]])
		}
		seen[s[1]] = true
	}
	slowest := slices.Max(append(got.Back, 0))
	t.Logf("all have reconnected after %.1f s", slowest)
	if slowest > patience.Seconds() {
		t.Errorf("reconnected after %.1f s", slowest)
	}
	if len(got.Closed) != 50 || len(got.Back) != 50 {
		t.Errorf("%d were closed, %d reconnected", len(got.Closed), len(got.Back))
	}
}
