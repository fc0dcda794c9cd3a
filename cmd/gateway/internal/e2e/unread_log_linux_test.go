package e2e

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"golang.org/x/sys/unix"

	"sensorgateway/wire"
)

// unreadLog starts the program with a pipe for its log lines that nobody reads once it
// listens. fill leaves no room in the pipe.
func unreadLog(t *testing.T) (p *exec.Cmd, url string, lines *bufio.Scanner, fill func()) {
	t.Helper()
	program := buildGateway(t)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	if err := r.SetReadDeadline(time.Now().Add(2 * patience)); err != nil {
		t.Fatal(err)
	}
	p = exec.Command(program, "--simulate=flaky", "--config", withoutInterlocks(t), "--listen", "127.0.0.1:0")
	p.Stdout, p.Stderr = w, w
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Process.Kill() })
	// Another open file: the program's own must not become non-blocking.
	own, err := unix.Open(fmt.Sprintf("/proc/self/fd/%d", w.Fd()), unix.O_WRONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(own) })
	w.Close()
	lines = bufio.NewScanner(r)
	for url == "" && lines.Scan() {
		url = announcedForm.FindString(lines.Text())
	}
	if url == "" {
		t.Fatalf("it does not say where it listens: %v", lines.Err())
	}
	return p, url, lines, func() {
		t.Helper()
		for _, size := range []int{4096, 1} {
			for err = nil; err == nil; {
				_, err = unix.Write(own, []byte(strings.Repeat("\n", size)))
			}
			if err != unix.EAGAIN {
				t.Fatal(err)
			}
		}
	}
}

// untilLost reads until a sensor is lost after a moment, which is logged before it is sent, and
// returns how many messages of readings came before that.
func untilLost(t *testing.T, c *motorClient, after time.Time) (readings int) {
	t.Helper()
	for late := time.Now().Add(patience); ; { // the account comes once a second
		kind, message, err := c.ReadMessage()
		if err != nil || time.Now().After(late) {
			t.Fatalf("no sensor is lost after %d messages of readings: %v", readings, err)
		}
		if kind == websocket.BinaryMessage {
			readings++
			continue
		}
		var e struct{ Payload wire.Event }
		if json.Unmarshal(message, &e) == nil && e.Payload.Kind == wire.EventSensorLost && e.Payload.TS > wire.Seconds(after.UnixMilli()) {
			return readings
		}
	}
}

// TestNobodyReadsTheLog holds that a gateway goes on while its log lines cannot be written,
// writes them afterwards, and ends in order.
func TestNobodyReadsTheLog(t *testing.T) {
	t.Parallel()
	p, url, lines, fill := unreadLog(t)
	c, o := newMotorClient(t, url), newMotorClient(t, url)
	c.ask("subscribe", `{"topic":"events"}`)
	fill()
	untilLost(t, c, time.Now())
	if untilLost(t, c, time.Now()) == 0 {
		t.Error("no reading comes")
	}
	for _, action := range []string{"start", "stop"} {
		if a := o.ask("command", `{"action":"`+action+`","target":"motor_1"}`); a.Type != "ack" {
			t.Errorf("%s: %+v", action, a)
		}
	}
	if answer, err := http.Get("http" + strings.TrimPrefix(url, "ws") + "healthz"); err != nil || answer.StatusCode != http.StatusOK {
		t.Errorf("%v, %v", answer, err)
	}

	for lines.Scan() && lines.Text() != "" { // what was written before
	}
	for lines.Scan() && !strings.Contains(lines.Text(), `msg="sensor lost"`) {
	}
	if lines.Text() == "" {
		t.Errorf("what was logged meanwhile does not come: %v", lines.Err())
	}
	if n := metric(t, url, "gateway_log_lost_total"); n != 0 {
		t.Errorf("%d lines are lost, and there was room for all", n)
	}

	fill()
	untilLost(t, c, time.Now())
	if err := p.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- p.Wait() }()
	select {
	case err := <-ended:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(patience):
		t.Error("it does not end")
	}
}
