package main

import (
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
)

// Only a reset ends an e-stop: no SIGTERM, no SIGKILL.
func TestEStopOutlivesTheGateway(t *testing.T) {
	bin, dir := buildGateway(t), t.TempDir()
	begin := func() (*gatewayProcess, *motorClient) {
		p := startGateway(t, bin, "--simulate", "--listen", "127.0.0.1:0", "--state", dir)
		return p, newMotorClient(t, p.URL)
	}
	p, o := begin()
	if a := o.ask("command", `{"action":"estop"}`); a.Type != "ack" {
		t.Fatalf("estop: %+v", a)
	}
	by := o.LocalAddr().String()
	if err := p.Stop(t); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		p, o = begin()
		if s := o.ask("command", `{"action":"status","target":"motor_1"}`).Payload.State; !s.Latched || s.Reason != "estop" || s.By != by {
			t.Errorf("after a restart: %+v", s)
		}
		if a := o.ask("command", `{"action":"start","target":"motor_1"}`); a.Payload.Code != 409 {
			t.Errorf("a start after a restart: %+v", a)
		}
		p.Kill(t)
	}
	p, o = begin()
	if a := o.ask("command", `{"action":"reset"}`); a.Type != "ack" {
		t.Fatalf("reset: %+v", a)
	}
	if err := p.Stop(t); err != nil {
		t.Fatal(err)
	}
	_, o = begin()
	if s := o.ask("command", `{"action":"status","target":"motor_1"}`).Payload.State; s.Latched || s.Reason != "boot" {
		t.Errorf("after a reset and a restart: %+v", s)
	}
}

// What cannot be read may be an e-stop, and so it is one.
func TestLatchInDoubt(t *testing.T) {
	for name, spoil := range map[string]func(path string) error{
		"empty, after a cut of power": func(path string) error { return os.WriteFile(path, nil, 0o640) },
		"unreadable":                  func(path string) error { return os.Mkdir(path, 0o750) },
	} {
		l := newLatch(t.TempDir(), slog.New(slog.NewTextHandler(io.Discard, nil)))
		if err := spoil(filepath.Join(l.dir, latchFile)); err != nil {
			t.Fatal(err)
		}
		if l.by() == "" {
			t.Errorf("%s: not latched", name)
		}
	}
	if by := newLatch("", slog.Default()).by(); by != "" {
		t.Errorf("without a directory: latched by %s", by)
	}
}

// The newest counts, also when the one before was not written yet.
func TestLatchIsWrittenAtTheEnd(t *testing.T) {
	l := newLatch(t.TempDir(), slog.Default())
	for _, by := range []string{"ahmet", "", "zeynep"} {
		l.set(by != "", by)
	}
	l.close()
	if by := l.by(); by != "zeynep" {
		t.Errorf("latched by %q", by)
	}
	l.set(false, "ahmet")
	l.close()
	if by := l.by(); by != "" {
		t.Errorf("latched by %q after a reset", by)
	}
}
