package e2e

import (
	"encoding/json"
	"maps"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"sensorgateway/wire"
)

// debianPython returns a Python that has the websockets library: a client by other
// authors.
func debianPython(t testing.TB) string {
	t.Helper()
	for _, name := range []string{"/usr/bin/python3", "python3"} {
		if exec.Command(name, "-c", "import websockets").Run() == nil {
			return name
		}
	}
	unavailable(t, "no Python with the websockets library here (Debian package python3-websockets)")
	return ""
}

// The README's ten lines of Python, with the real binary.
func TestPythonReadsTheStream(t *testing.T) {
	t.Parallel()
	python := debianPython(t)
	p := startGateway(t, buildGateway(t), "--simulate", "--listen", "localhost:0")
	out, err := exec.Command(python, "-c", `
import asyncio, json, struct, sys, websockets

async def main(url):
    got = {"v1": [], "v2": [], "hello": None}
    async with websockets.connect(url) as ws:                       # no subprotocol at all
        for _ in range(30):
            got["v1"].append(struct.unpack("!ffq", await ws.recv()))
    async with websockets.connect(url, subprotocols=["readings.v2"]) as ws:
        got["hello"] = json.loads(await ws.recv())
        for _ in range(20):
            got["v2"].append(list(struct.iter_unpack("!HBBIffq", await ws.recv())))
    async with websockets.connect(url + "nope") as ws:
        try:
            await ws.recv()
        except websockets.ConnectionClosed as e:
            got["unknown"] = [e.code, e.reason]
    def plain(x):  # JSON has no NaN: a busy machine may fail a tick
        return [plain(y) for y in x] if isinstance(x, (list, tuple)) else None if x != x else x
    print(json.dumps(got | {k: plain(got[k]) for k in ("v1", "v2")}))

asyncio.run(main(sys.argv[1]))
`, p.URL).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var got struct {
		V1    [][3]*float64
		V2    [][][7]*float64
		Hello struct {
			Type    string
			Payload wire.Hello
		}
		Unknown [2]any
	}
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	good := 0
	begin := *got.V1[0][2]
	for i, r := range got.V1 {
		if r[0] != nil {
			if good++; *r[0] < 10 || *r[0] > 35 || *r[1] < 1 || *r[1] > 99 {
				t.Errorf("reading %d: %v °C, %v %% are not the environment's", i, *r[0], *r[1])
			}
		}
		// A reading says when it was made; a busy machine may be late, or miss some.
		if early := begin + float64(i)*100 - *r[2]; early > 100 {
			t.Errorf("reading %d is early by %v ms", i, early)
		}
	}
	if good < len(got.V1)/2 {
		t.Errorf("%d of %d readings are good", good, len(got.V1))
	}
	hello := got.Hello.Payload
	if got.Hello.Type != "hello" || !hello.Simulated || hello.Epoch == "" || len(hello.Sensors) != 3 {
		t.Errorf("hello %+v", got.Hello)
	}
	for i, tick := range got.V2 {
		if len(tick) != 3 && i > 0 { // on a busy machine one may come later, but none is lost
			t.Logf("message %d has %d records", i, len(tick))
		}
		for _, r := range tick {
			if int(*r[1])&int(wire.Simulated) == 0 {
				t.Errorf("message %d: a record without the simulated flag", i)
			}
		}
	}
	if got.Unknown[0] != 1008. || got.Unknown[1] != "Unknown endpoint" {
		t.Errorf("an unknown endpoint ends with %v", got.Unknown)
	}
	if err := p.Stop(t); err != nil {
		t.Errorf("SIGTERM: %v", err)
	}
}

// readV2 reads records until done says so.
func readV2(t testing.TB, url string, done func(wire.Record) bool) wire.Hello {
	t.Helper()
	d := websocket.Dialer{Subprotocols: []string{wire.ReadingsV2}}
	c, _, err := d.Dial(url, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetReadDeadline(time.Now().Add(3 * patience)) // for all records
	var hello struct{ Payload wire.Hello }
	if err := c.ReadJSON(&hello); err != nil {
		t.Fatal(err)
	}
	for {
		_, b, err := c.ReadMessage()
		if err != nil {
			t.Fatal(err)
		}
		records, err := wire.ParseRecords(b)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range records {
			if done(r) {
				return hello.Payload
			}
		}
	}
}

// Every sensor, also the primary one, shows three causes within 10 s; on a busy machine that
// misses ticks it takes longer.
func TestFlakySimulationShowsItsCauses(t *testing.T) {
	t.Parallel()
	p := startGateway(t, buildGateway(t), "--simulate=flaky", "--listen", "127.0.0.1:0")
	causes := map[uint16]map[wire.Fault]bool{}
	var begin int64
	readV2(t, p.URL, func(r wire.Record) bool {
		if begin == 0 {
			begin = r.UnixMilli
		}
		if r.Fault != wire.Good {
			if causes[r.Sensor] == nil {
				causes[r.Sensor] = map[wire.Fault]bool{}
			}
			causes[r.Sensor][r.Fault] = true
		}
		enough := len(causes) == 3
		for _, c := range causes {
			enough = enough && len(c) >= 3
		}
		return enough || r.UnixMilli-begin > 30_000
	})
	for sensor, seen := range causes {
		if len(seen) < 3 {
			t.Errorf("sensor %d showed %v in 30 s, want three causes", sensor, seen)
		}
	}
	if len(causes) < 3 {
		t.Errorf("only %d sensors failed at all", len(causes))
	}
}

// Sequence numbers go on after a clean stop and after SIGKILL, and none is used
// twice; without a directory each start is a new epoch.
func TestRestarts(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "state")
	args := []string{buildGateway(t), "--simulate", "--listen", "127.0.0.1:0", "--state", dir}
	var epoch string
	last := map[uint16]uint32{}
	for i, end := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL, syscall.SIGKILL, syscall.SIGTERM} {
		p := startGateway(t, args...)
		first, n := map[uint16]uint32{}, 0
		hello := readV2(t, p.URL, func(r wire.Record) bool {
			if _, ok := first[r.Sensor]; !ok {
				first[r.Sensor] = r.Seq
				if before, ok := last[r.Sensor]; ok && r.Seq <= before {
					t.Errorf("start %d: sensor %d says %d after %d", i, r.Sensor, r.Seq, before)
				}
			}
			last[r.Sensor] = r.Seq
			n++
			return n >= 9
		})
		if epoch != "" && hello.Epoch != epoch {
			t.Errorf("start %d: epoch %s after %s", i, hello.Epoch, epoch)
		}
		epoch = hello.Epoch
		if end == syscall.SIGTERM {
			if err := p.Stop(t); err != nil {
				t.Errorf("SIGTERM: %v", err)
			}
			continue
		}
		_ = p.cmd.Process.Signal(end)
		<-p.exited
	}
	// A start that fails uses no numbers.
	before := readState(t, dir)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if out, err := exec.Command(args[0], "--simulate", "--listen", l.Addr().String(), "--state", dir).CombinedOutput(); err == nil {
		t.Errorf("two listen at one address: %s", out)
	}
	if after := readState(t, dir); after.Reached != nil || !maps.Equal(after.Next, before.Next) {
		t.Errorf("a start that failed left %+v of %+v", after, before)
	}
	p := startGateway(t, args[:4]...)
	if hello := readV2(t, p.URL, func(wire.Record) bool { return true }); hello.Epoch == epoch {
		t.Error("without --state, the epoch of another run came back")
	}
}

// SIGTERM closes each client with 1012 and its own time to reconnect.
func TestStopClosesClients(t *testing.T) {
	t.Parallel()
	p := startGateway(t, buildGateway(t), "--simulate", "--listen", "127.0.0.1:0")
	var clients []*websocket.Conn
	for range 20 {
		c, _, err := websocket.DefaultDialer.Dial(p.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, _, err := c.ReadMessage(); err != nil {
			t.Fatal(err)
		}
		clients = append(clients, c)
	}
	reasons := make(chan string, len(clients))
	for _, c := range clients {
		go func() {
			for {
				if _, _, err := c.ReadMessage(); err != nil {
					reasons <- err.Error()
					return
				}
			}
		}()
	}
	if err := p.Stop(t); err != nil {
		t.Errorf("SIGTERM: %v", err)
	}
	seen := map[string]bool{}
	for range clients {
		r := <-reasons
		if !strings.Contains(r, "1012") || !strings.Contains(r, "retry_ms=") || seen[r] {
			t.Errorf("a client ended with %q", r)
		}
		seen[r] = true
	}
}

// When a chip or a bus does not exist, only their readings are missing.
func TestMissingHardwareIsNoFailedStart(t *testing.T) {
	t.Parallel()
	config := writeFile(t, "gateway.yaml", "sensors:\n  - {name: cellar, chip: sht3x, bus: 250}\n")
	p := startGateway(t, buildGateway(t), "--config", config, "--listen", "127.0.0.1:0")
	readV2(t, p.URL, func(r wire.Record) bool {
		if r.Fault != wire.BusDown || r.Values[0] == r.Values[0] || r.Flags&wire.Simulated != 0 {
			t.Errorf("%+v, want bus_down", r)
		}
		return r.Seq > 5
	})
	res, err := http.Get(strings.Replace(p.URL, "ws://", "http://", 1) + "readyz")
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("/readyz %d with no sensor", res.StatusCode)
	}
	p.await(t, "/dev/i2c-250")
}

// The times of the ticks do not drift, and no tick is left out silently.
func TestTicksDoNotDrift(t *testing.T) {
	t.Parallel()
	seconds := tenth(t, 60, "seconds")
	p := startGateway(t, buildGateway(t), "--simulate", "--listen", "127.0.0.1:0")
	count, first, last := map[uint16]int{}, map[uint16]wire.Record{}, map[uint16]wire.Record{}
	readV2(t, p.URL, func(r wire.Record) bool {
		if _, ok := first[r.Sensor]; !ok {
			first[r.Sensor] = r
		}
		count[r.Sensor]++
		last[r.Sensor] = r
		return r.UnixMilli-first[r.Sensor].UnixMilli >= int64(seconds)*1000
	})
	for sensor, n := range count {
		ticks := int64(last[sensor].Seq - first[sensor].Seq)
		drift := last[sensor].UnixMilli - first[sensor].UnixMilli - 100*ticks
		t.Logf("sensor %d: %d readings of %d ticks, drift %d ms", sensor, n, ticks+1, drift)
		// The first and the last tick may have been late by up to an interval, beyond which
		// their numbers are skipped; but lateness does not add up.
		if drift < -100 || drift > 100 {
			t.Errorf("sensor %d drifted by %d ms", sensor, drift)
		}
	}
	if len(count) != 3 {
		t.Errorf("sensors seen: %v", count)
	}
}
