package e2e

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/csv"
	"fmt"
	"io"
	"maps"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/gorilla/websocket"

	"sensorgateway/wire"
)

// clientDir has the clients that people copy.
const clientDir = projectRoot + "/configs/clients"

// People read a client before they copy it, so it has to be short.
func TestClientsAreShort(t *testing.T) {
	files, err := filepath.Glob(clientDir + "/*")
	if err != nil || len(files) < 6 {
		t.Fatalf("%q, %v", files, err)
	}
	for _, file := range files {
		if n := strings.Count(mustRead(t, file), "\n"); n >= 60 {
			t.Errorf("%s has %d lines, want fewer than 60", file, n)
		}
	}
}

// copied are the clients to copy that print readings: how each is started for the
// sensor indoor of a gateway at address, and in which column the name of a sensor
// is, 0 if it has only one.
var copied = map[string]struct {
	start func(t *testing.T, address string) *exec.Cmd
	name  int
}{
	"client.py":   {func(t *testing.T, address string) *exec.Cmd { return pythonClient(t, "ws://"+address+"/") }, 1},
	"client.mjs":  {func(t *testing.T, address string) *exec.Cmd { return nodeClient(t, "ws://"+address+"/") }, 1},
	"Client.java": {javaClient, 0},
	"client.c":    {cClient, 0},
}

func pythonClient(t *testing.T, url string) *exec.Cmd {
	return exec.CommandContext(t.Context(), debianPython(t), clientDir+"/client.py", url)
}

func nodeClient(t *testing.T, url string) *exec.Cmd {
	const modules = "/usr/share/nodejs" // Debian's
	if _, err := os.Stat(modules + "/ws"); err != nil {
		unavailable(t, "no module ws for Node.js here (Debian package node-ws): %v", err)
	}
	cmd := exec.CommandContext(t.Context(), findTool(t, "node", "nodejs"), clientDir+"/client.mjs", url)
	cmd.Env = append(os.Environ(), "NODE_PATH="+modules)
	return cmd
}

func javaClient(t *testing.T, address string) *exec.Cmd {
	findTool(t, "javac", "openjdk-17-jdk-headless")
	return exec.CommandContext(t.Context(), "java", clientDir+"/Client.java", "ws://"+address, "indoor")
}

func cClient(t *testing.T, address string) *exec.Cmd {
	if _, err := os.Stat("/usr/include/libwebsockets.h"); err != nil {
		unavailable(t, "no libwebsockets here (Debian package libwebsockets-dev): %v", err)
	}
	binary := filepath.Join(t.TempDir(), "client")
	out, err := exec.Command(findTool(t, "gcc", "gcc"), "-Wall", "-Wextra", "-Wno-unused-parameter", "-Werror", "-o", binary, clientDir+"/client.c", "-lwebsockets").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	host, port, _ := strings.Cut(address, ":")
	return exec.CommandContext(t.Context(), binary, host, port, "indoor")
}

// printed collects the times that a client prints of the sensor indoor.
type printed struct {
	t     *testing.T
	lines <-chan string // of its output; closed at its end
	times []string
	name  int
}

// readLines returns the lines of r, on a channel that is closed at their end. It blocks
// when 1,000 lines wait in the channel.
func readLines(r io.Reader) <-chan string {
	lines := make(chan string, 1000)
	go func() {
		defer close(lines)
		in := bufio.NewScanner(r)
		for in.Buffer(nil, 1<<20); in.Scan(); {
			lines <- in.Text()
		}
	}()
	return lines
}

func startClient(t *testing.T, cmd *exec.Cmd, name int) *printed {
	t.Helper()
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	p := &printed{t: t, lines: readLines(out), name: name}
	t.Cleanup(func() {
		cmd.Process.Kill()
		for range p.lines { // until its output ends
		}
		cmd.Wait()
		if t.Failed() {
			t.Logf("the client wrote to stderr:\n%s", stderr.String())
		}
	})
	return p
}

// until reads on until the client has printed n more readings of indoor.
func (p *printed) until(n int) {
	p.t.Helper()
	p.within(patience, n)
}

// within is until with another limit of time.
func (p *printed) within(limit time.Duration, n int) {
	p.t.Helper()
	late := time.After(limit)
	for n += len(p.times); len(p.times) < n; {
		select {
		case line, ok := <-p.lines:
			if !ok {
				p.t.Fatal("the client has ended")
			}
			if words := strings.Fields(line); p.name == 0 || words[p.name] == "indoor" {
				p.times = append(p.times, words[0])
			}
		case <-late:
			p.t.Fatalf("%d of %d readings after %v", len(p.times), n, limit)
		}
	}
}

// Each client to copy prints each stored reading once, over an orderly restart of
// the gateway and over one after SIGKILL.
func TestClientsMissNothing(t *testing.T) {
	t.Parallel()
	for _, file := range slices.Sorted(maps.Keys(copied)) {
		c := copied[file]
		t.Run(file, func(t *testing.T) {
			t.Parallel()
			address, state := freeAddress(t), t.TempDir()
			begin := func() *gatewayProcess {
				return startGateway(t, buildGateway(t), "--simulate", "--state", state, "--listen", address)
			}
			gw := begin()
			out := startClient(t, c.start(t, address), c.name)
			out.until(10)
			if err := gw.Stop(t); err != nil {
				t.Error(err)
			}
			gw = begin()
			out.until(30)
			gw.Kill(t)
			begin()
			out.until(30)

			wantAllStored(t, address, "unix_ms", func() []string { return out.times }, func() { out.until(1) })
		})
	}
}

// The same over a line that dies without closing connections.
func TestClientsLeaveADeadLine(t *testing.T) {
	t.Parallel()
	long(t, fmt.Sprintf("each client hears nothing for %v", silence))
	for file, c := range copied {
		t.Run(file, func(t *testing.T) {
			t.Parallel()
			address := freeAddress(t)
			startGateway(t, buildGateway(t), "--simulate", "--state", t.TempDir(), "--listen", address)
			line := startLine(t, address)
			out := startClient(t, c.start(t, line.address), c.name)
			out.until(10)
			line.die()
			out.within(silence+patience, 30)
			wantAllStored(t, address, "unix_ms", func() []string { return out.times }, func() { out.until(1) })
		})
	}
}

// Missed readings come in a burst, in which a client's library may deliver a message in
// pieces: each reading is printed once, over one connection.
func TestClientsTakeABurst(t *testing.T) {
	t.Parallel()
	for file, c := range copied {
		if c.name > 0 {
			continue // its messages have several records
		}
		t.Run(file, func(t *testing.T) {
			t.Parallel()
			const readings = 20_000
			upgrader := websocket.Upgrader{Subprotocols: []string{"readings.v1"}}
			var connections atomic.Int32
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				connections.Add(1)
				ws, err := upgrader.Upgrade(w, r, nil)
				if err != nil {
					t.Error(err)
					return
				}
				defer ws.Close()
				var burst []byte
				for n := range readings {
					burst = append(burst, 0x82, wire.ReadingSize) // a binary frame (RFC 6455, section 5.2)
					burst = wire.Reading{Values: [2]float32{20, 40}, UnixMilli: int64(n)}.Append(burst)
				}
				if _, err := ws.NetConn().Write(burst); err != nil {
					t.Error(err)
				}
				_, _, _ = ws.ReadMessage() // until the client ends
			}))
			t.Cleanup(server.Close)
			out := startClient(t, c.start(t, strings.TrimPrefix(server.URL, "http://")), 0)
			out.until(readings)
			for n, got := range out.times {
				if got != strconv.Itoa(n) {
					t.Fatalf("line %d is the reading of %s", n, got)
				}
			}
			if n := connections.Load(); n != 1 {
				t.Errorf("it has connected %d times", n)
			}
		})
	}
}

// wantAllStored checks that a client gets each stored reading of indoor, from its first to
// its last one, once: got returns a column of those it has, more waits for another reading.
// Missed readings come beside live ones, on a busy machine much later.
func wantAllStored(t *testing.T, address, column string, got func() []string, more func()) {
	t.Helper()
	for late := time.Now().Add(patience); ; more() {
		have := slices.SortedFunc(slices.Values(got()), func(a, b string) int { // as numbers
			if d := len(a) - len(b); d != 0 {
				return d
			}
			return strings.Compare(a, b)
		})
		diff := cmp.Diff(stored(t, address, column, have[0], have[len(have)-1]), have)
		if diff == "" {
			return
		}
		if time.Now().After(late) {
			t.Fatalf("%s of readings (-stored +received):\n%s", column, diff)
		}
	}
}

// stored returns a column of the stored readings of indoor, from first to last by this
// column.
func stored(t *testing.T, address, name, first, last string) (all []string) {
	t.Helper()
	answer, err := http.Get("http://" + address + "/api/v1/readings?sensor=indoor&format=csv")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	rows, err := csv.NewReader(answer.Body).ReadAll()
	if err != nil || len(rows) < 2 {
		t.Fatalf("%d rows: %v", len(rows), err)
	}
	number := func(text string) int64 {
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	column := slices.Index(rows[0], name)
	for _, row := range rows[1:] {
		if n := number(row[column]); n >= number(first) && n <= number(last) {
			all = append(all, row[column])
		}
	}
	return all
}

// The sketch for microcontrollers, compiled for this machine with the declarations
// of its libraries: what it shows, and when it starts the fan.
func TestSketch(t *testing.T) {
	t.Parallel()
	binaryPath := filepath.Join(t.TempDir(), "sketch")
	source, err := filepath.Abs(clientDir + "/client.ino")
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(findTool(t, "g++", "g++"), "-Wall", "-Wextra", "-Werror", "-Itestdata/arduino", `-DSKETCH="`+source+`"`,
		"-o", binaryPath, "testdata/arduino/main.cpp").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var in bytes.Buffer
	receive := func(kind byte, message []byte) {
		in.WriteByte(kind)
		in.Write(binary.BigEndian.AppendUint16(nil, uint16(len(message))))
		in.Write(message)
	}
	const connected, text, binaryMessage = 2, 3, 4
	reading := func(temperature float32, ms int64) {
		receive(binaryMessage, wire.Reading{Values: [2]float32{temperature, 40}, UnixMilli: ms}.Append(nil))
	}
	receive(connected, nil)
	reading(21.5, 1795826680302)
	reading(28.5, 1795826680402)
	reading(29, 1795826680502) // the fan was started just now
	receive(text, []byte(`{"type":"ack"}`))
	receive(binaryMessage, make([]byte, 24)) // of another protocol
	reading(math.Float32frombits(0x7FC00003), 1795826680602)
	cmd := exec.Command(binaryPath)
	cmd.Stdin = &in
	got, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	start := `sent {"type":"command","payload":{"action":"start","target":"motor_1","run_ms":10000}}`
	want := []string{
		"begin 8765 /sensors/indoor readings.v1", "headers none", "heartbeat 15000 5000 2", "connected", "1795826680.302 21.50 40.0", "1795826680.402 28.50 40.0", start,
		"1795826680.502 29.00 40.0", `{"type":"ack"}`, "1795826680.602 failed, cause 3",
	}
	if diff := cmp.Diff(want, strings.Split(strings.TrimSpace(string(got)), "\n")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	// A real gateway carries out the sketch's command.
	c := newMotorClient(t, startGateway(t, buildGateway(t), "--simulate", "--config", withoutInterlocks(t), "--listen", "127.0.0.1:0").URL)
	if a := c.ask("command", `{"action":"start","target":"motor_1","run_ms":10000}`); a.Type != "ack" {
		t.Errorf("the gateway answers %+v", a)
	}
}
