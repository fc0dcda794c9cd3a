// Package hil runs inside the virtual machine, as root, beside the installed
// gateway: it sets what the emulated chips measure and how they fail, reads the
// GPIO lines, and is a client on the network. It knows only the gateway's protocol and
// command line.
package hil

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/user"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"sensorgateway/wire"
)

const (
	address = "127.0.0.1:8765"
	out     = "/hil/out/" // the folder that is shared with the host
	control = "/run/i2c-emu.sock"

	// limit is the longest wait. The processor is emulated, and a missing chip is tried
	// with a growing pause.
	limit = 3 * time.Minute
)

// retry calls f until it succeeds.
func retry(t *testing.T, what string, f func() error) {
	t.Helper()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	end := time.After(limit)
	for {
		err := f()
		if err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-end:
			t.Fatalf("%s: not within %v: %v", what, limit, err)
		}
	}
}

// startBus puts a bus with the chips of gateway.yaml at /dev/i2c-1, and returns a function
// that removes it. The bus has the major number of the kernel's own buses, because the
// unit allows no other.
func startBus(t *testing.T) (remove func()) {
	t.Helper()
	const device = "/dev/i2c-1"
	os.Remove(control)
	log, err := os.OpenFile(out+"emulator.log", os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	emulator := exec.Command("i2c-emu", "--bus", "1", "--major", "89", "--ctl", control,
		"--dev", "sht31@0x44", "--dev", "bme280@0x76", "--dev", "aht20@0x38", "--dev", "sht31@0x45")
	emulator.Stdout, emulator.Stderr = log, log
	if err := emulator.Start(); err != nil {
		t.Fatal(err)
	}
	remove = func() {
		emulator.Process.Kill()
		emulator.Wait()
	}
	group, err := user.LookupGroup("i2c")
	if err != nil {
		t.Fatal(err)
	}
	gid, err := strconv.Atoi(group.Gid)
	if err != nil {
		t.Fatal(err)
	}
	retry(t, "bus", func() error {
		if _, err := os.Stat(control); err != nil {
			return err
		}
		// As the udev rule does on a Pi.
		if err := os.Chown(device, 0, gid); err != nil {
			return err
		}
		return os.Chmod(device, 0o660)
	})
	return remove
}

// bus gives the emulator a command.
func bus(t *testing.T, format string, args ...any) {
	t.Helper()
	command := fmt.Sprintf(format, args...)
	if b, err := exec.Command("i2c-emu", "--client", control, command).CombinedOutput(); err != nil {
		t.Fatalf("i2c-emu %s: %v: %s", command, err, b)
	}
}

// property returns a property of the gateway's unit.
func property(t *testing.T, name string) string {
	t.Helper()
	b, err := exec.Command("systemctl", "show", "--property", name, "--value", "gateway.service").Output()
	if err != nil {
		t.Fatalf("systemctl show %s: %v", name, err)
	}
	return strings.TrimSpace(string(b))
}

// untilLogged waits until journald has a line of the running process with a text in it,
// and returns all its lines. They reach journald some time after the gateway wrote
// them.
func untilLogged(t *testing.T, text string) (lines string) {
	t.Helper()
	retry(t, "log line with "+text, func() (err error) {
		if lines, err = logged(property(t, "InvocationID")); err == nil && !strings.Contains(lines, text) {
			err = fmt.Errorf("there is only\n%s", lines)
		}
		return err
	})
	return lines
}

// logged returns the lines that journald has of an invocation of the unit.
func logged(invocation string) (string, error) {
	b, err := exec.Command("journalctl", "--output", "cat", "_SYSTEMD_INVOCATION_ID="+invocation).Output()
	return string(b), err
}

// wantStopPost waits until ExecStopPost has driven the outputs off after the end of an
// invocation, and checks its exit status. systemd forgets that with the next start, a second
// later: then the error with which it ends with 1 stands for it.
func wantStopPost(t *testing.T, invocation, status string) {
	t.Helper()
	retry(t, "ExecStopPost", func() error {
		next := property(t, "InvocationID") != invocation
		switch p := property(t, "ExecStopPost"); {
		case strings.Contains(p, "code=exited ; status="+status+" "):
			return nil
		case !next || strings.Contains(p, "code=exited"):
			return fmt.Errorf("%s, want status %s", p, status)
		}
		lines, err := logged(invocation)
		if failed := strings.Contains(lines, "not all outputs could be driven off"); err == nil && failed != (status == "1") {
			err = fmt.Errorf("want status %s, and it has logged\n%s", status, lines)
		}
		return err
	})
}

// get asks the gateway over HTTP for an answer of a type.
func get(t *testing.T, path, accept string) (status int, body []byte) {
	t.Helper()
	request, err := http.NewRequest(http.MethodGet, "http://"+address+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Accept", accept)
	client := http.Client{Timeout: limit}
	r, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	if body, err = io.ReadAll(r.Body); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return r.StatusCode, body
}

// wantHealthy checks that the gateway is healthy.
func wantHealthy(t *testing.T) {
	t.Helper()
	if status, body := get(t, "/healthz", "*/*"); status != http.StatusOK {
		t.Errorf("/healthz says %d %s", status, body)
	}
}

// kept returns the stored readings of a sensor from one time to another, in Unix
// milliseconds.
func kept(t *testing.T, sensor string, from, to int64) []wire.Record {
	t.Helper()
	query := fmt.Sprintf("/api/v1/readings?sensor=%s&from=%d&to=%d", sensor, from, to)
	status, body := get(t, query, "application/octet-stream")
	if status != http.StatusOK {
		t.Fatalf("%s: %d %s", query, status, body)
	}
	return parse(t, body)
}

// parse parses records, if there are any.
func parse(t *testing.T, b []byte) []wire.Record {
	t.Helper()
	if len(b) == 0 {
		return nil
	}
	records, err := wire.ParseRecords(b)
	if err != nil {
		t.Fatal(err)
	}
	return records
}

// stream is a client of readings.v2.
type stream struct {
	hello   wire.Hello
	names   map[uint16]string
	records chan wire.Record // closed when the connection has ended
	err     error            // of the end; valid once records is closed
}

// dial connects, as soon as the gateway answers.
func dial(t *testing.T) *websocket.Conn {
	t.Helper()
	dialer := websocket.Dialer{
		Subprotocols:     []string{wire.ReadingsV2},
		HandshakeTimeout: 10 * time.Second,
		NetDial:          (&net.Dialer{Timeout: 10 * time.Second}).Dial,
	}
	var c *websocket.Conn
	retry(t, "connect", func() (err error) {
		c, _, err = dialer.Dial("ws://"+address+"/", nil)
		return err
	})
	t.Cleanup(func() { c.Close() })
	return c
}

// connect begins to read what the gateway streams.
func connect(t *testing.T) *stream {
	t.Helper()
	c := dial(t)
	s := &stream{
		names:   map[uint16]string{},
		records: make(chan wire.Record, 10_000), // more than a whole run has; full, the test fails
	}
	_, msg, err := c.ReadMessage()
	if err != nil {
		t.Fatal(err)
	}
	hello := wire.Envelope{Payload: &s.hello}
	if err := json.Unmarshal(msg, &hello); err != nil || hello.Type != "hello" {
		t.Fatalf("first message %q (%v), want hello", msg, err)
	}
	for _, sensor := range s.hello.Sensors {
		s.names[sensor.ID] = sensor.Name
	}
	go s.read(c)
	return s
}

// read passes the records on until the connection ends.
func (s *stream) read(c *websocket.Conn) {
	defer close(s.records)
	seq := map[uint16]uint32{}
	for {
		kind, msg, err := c.ReadMessage()
		if err != nil {
			s.err = err
			return
		}
		if kind != websocket.BinaryMessage {
			continue
		}
		records, err := wire.ParseRecords(msg)
		if err != nil {
			s.err = err
			return
		}
		for _, r := range records {
			last, seen := seq[r.Sensor]
			if seen && r.Seq <= last {
				s.err = fmt.Errorf("%s: number %d after %d", s.names[r.Sensor], r.Seq, last)
				return
			}
			seq[r.Sensor] = r.Seq
			if r.Flags&wire.Simulated != 0 {
				s.err = fmt.Errorf("%s: %+v says it is simulated", s.names[r.Sensor], r)
				return
			}
			select {
			case s.records <- r:
			default:
				s.err = fmt.Errorf("nobody takes the records")
				return
			}
		}
	}
}

// until takes records until one of the sensor called name is what is wanted.
// Records of others that come before it are dropped.
func (s *stream) until(t *testing.T, name, want string, ok func(wire.Record) bool) wire.Record {
	t.Helper()
	start, end := time.Now(), time.After(limit)
	var last wire.Record
	for {
		select {
		case r, open := <-s.records:
			if !open {
				t.Fatalf("%s: connection ended: %v", name, s.err)
			}
			if s.names[r.Sensor] != name {
				continue
			}
			if last = r; ok(r) {
				t.Logf("%-6s %s after %v: number %d, %.4f °C, %.4f %%, %v", name, want,
					time.Since(start).Round(time.Millisecond), r.Seq, r.Values[0], r.Values[1], r.Fault)
				return r
			}
		case <-end:
			t.Fatalf("%s: no %s within %v; last %+v", name, want, limit, last)
		}
	}
}

// untilFault takes records until the sensor called name says one of causes.
func (s *stream) untilFault(t *testing.T, name string, causes ...wire.Fault) wire.Record {
	t.Helper()
	return s.until(t, name, fmt.Sprint(causes), func(r wire.Record) bool {
		for _, cause := range causes {
			if r.Fault == cause && r.Reading.Fault() == cause {
				return true
			}
		}
		return false
	})
}

// untilGood takes records until the sensor called name measures.
func (s *stream) untilGood(t *testing.T, name string) wire.Record {
	t.Helper()
	return s.untilFault(t, name, wire.Good)
}

// ended waits for the end of the connection and returns its cause.
func (s *stream) ended(t *testing.T) error {
	t.Helper()
	end := time.After(limit)
	for {
		select {
		case _, open := <-s.records:
			if !open {
				return s.err
			}
		case <-end:
			t.Fatalf("the connection has not ended within %v", limit)
		}
	}
}
