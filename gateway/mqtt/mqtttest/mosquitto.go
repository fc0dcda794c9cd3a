package mqtttest

import (
	"bytes"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// patience is how long Mosquitto may take to listen, on a machine that has much else to do.
const patience = time.Minute

// Mosquitto is Debian's broker, as a process. It says when nobody subscribes, and knows
// topic aliases.
type Mosquitto struct {
	Address string // HOST:PORT

	t    testing.TB
	file string
	kill func()
	cmd  *exec.Cmd
}

// StartMosquitto starts one at a free port of loopback, which ends with the test; lines are
// for its configuration, and without them nobody is let in.
func StartMosquitto(t testing.TB, lines ...string) *Mosquitto {
	t.Helper()
	l, err := listen("")
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
	address := l.Addr().String()
	host, port, _ := net.SplitHostPort(address)
	file := filepath.Join(t.TempDir(), "mosquitto.conf")
	// Otherwise root would become somebody who cannot read the test's files.
	lines = append([]string{"listener " + port + " " + host, "user root"}, lines...)
	if err := os.WriteFile(file, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	m := NewMosquitto(t, address, file)
	m.Start()
	return m
}

// NewMosquitto returns one that is not running. Its configuration, in a file, has it listen
// at an address. Without Mosquitto the test is skipped; where GATEWAY_TEST_ALL is set, it fails.
func NewMosquitto(t testing.TB, address, file string) *Mosquitto {
	t.Helper()
	if _, err := exec.LookPath("mosquitto"); err != nil {
		if os.Getenv("GATEWAY_TEST_ALL") != "" {
			t.Fatal("no mosquitto here (Debian package mosquitto)")
		}
		t.Skip("no mosquitto here (Debian package mosquitto)")
	}
	return &Mosquitto{Address: address, t: t, file: file}
}

// Start starts it, and returns when it listens. It can be started again once it was killed.
func (m *Mosquitto) Start() {
	m.t.Helper()
	var said bytes.Buffer // may be read when the process has ended
	cmd := exec.Command("mosquitto", "-c", m.file)
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		m.t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = cmd.Wait() // killed, or it has said why
	}()
	m.cmd = cmd
	m.kill = func() { _ = cmd.Process.Kill(); <-ended }
	m.t.Cleanup(m.kill)
	again, late := time.NewTicker(time.Millisecond), time.After(patience)
	defer again.Stop()
	for {
		c, err := net.Dial("tcp", m.Address)
		if err == nil {
			_ = c.Close()
			return
		}
		select {
		case <-again.C:
		case <-ended:
			m.t.Fatalf("mosquitto has ended:\n%s", said.Bytes())
		case <-late:
			m.t.Fatalf("mosquitto does not listen: %v", err)
		}
	}
}

// Signal sends its process a signal.
func (m *Mosquitto) Signal(s os.Signal) {
	m.t.Helper()
	if err := m.cmd.Process.Signal(s); err != nil {
		m.t.Fatal(err)
	}
}

// Kill ends it, and returns when it has ended.
func (m *Mosquitto) Kill() { m.kill() }
