package e2e

import (
	"bytes"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"sensorgateway/wire"
)

// The binary for a Pi of 64 bits, run by an emulated processor: the program starts, streams,
// and ends as asked. An instruction that the processor lacks would end it with a signal. The
// binary for the smallest machines is tried in TestSmallBuild.
func TestForeignProcessorStreams(t *testing.T) {
	t.Parallel()
	long(t, "it builds the program for another processor and emulates that")
	emulator := findTool(t, "qemu-aarch64-static", "qemu-user-static")
	p := startGateway(t, emulator, buildGateway(t, "GOOS=linux", "GOARCH=arm64"), "--simulate", "--listen", "127.0.0.1:0")
	checkStream(t, p.URL, 30)
	if err := p.Stop(t); err != nil {
		t.Errorf("ended with %v, want exit status 0", err)
	}
}

// The binary for the smallest machines is small: it inlines less, and has no hub, which it
// says. It streams as the others do: unaligned 64-bit atomics, or an instruction that ARMv6
// lacks, would end it with a signal.
func TestSmallBuild(t *testing.T) {
	t.Parallel()
	long(t, "it builds the program as for release, and emulates its processor")
	const most = 12_000_000
	emulator := findTool(t, "qemu-arm-static", "qemu-user-static")
	dir := copyProject(t, projectRoot)
	if out, err := runScript(t, dir, []string{"VERSION=v1"}, "scripts/build", "linux-armv6"); err != nil {
		t.Fatalf("scripts/build: %v\n%s", err, out)
	}
	binary := filepath.Join(dir, "dist/gateway-linux-armv6")
	info, err := os.Stat(binary)
	if err != nil {
		t.Fatal(err)
	}
	if info.Size() > most {
		t.Errorf("%d bytes, more than %d", info.Size(), most)
	}
	for _, args := range [][]string{{"hub"}, {"hub", "ca", "init", "--state", "x"}} {
		out, err := exec.Command(emulator, append([]string{binary}, args...)...).CombinedOutput()
		if err == nil || !strings.Contains(string(out), "has no hub; fix: ") {
			t.Errorf("%v: %v\n%s", args, err, out)
		}
	}
	p := startGateway(t, emulator, binary, "--simulate", "--listen", "127.0.0.1:0")
	checkStream(t, p.URL, 30)
	checkPage(t, "http"+strings.TrimPrefix(p.URL, "ws"), filepath.Join(projectRoot, "gateway/dashboard/page"))
	if err := p.Stop(t); err != nil {
		t.Errorf("ended with %v, want exit status 0", err)
	}
}

// checkPage gets each module of the page in a directory from a gateway, with compression as
// browsers do, and without.
func checkPage(t *testing.T, gateway, dir string) {
	t.Helper()
	modules, err := filepath.Glob(filepath.Join(dir, "*.js"))
	if err != nil || len(modules) == 0 {
		t.Fatalf("%d modules in %s: %v", len(modules), dir, err)
	}
	for _, file := range modules {
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, plain := range []bool{false, true} {
			client := http.Client{Transport: &http.Transport{DisableCompression: plain, DisableKeepAlives: true}, Timeout: patience}
			resp, err := client.Get(gateway + filepath.Base(file))
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(resp.Body)
			_ = resp.Body.Close()
			if err != nil || resp.Uncompressed == plain || !bytes.Equal(got, want) {
				t.Errorf("%s: %v, %s, compressed %t, %d bytes, want the %d of the file", resp.Request.URL, err, resp.Status, resp.Uncompressed, len(got), len(want))
			}
		}
	}
}

// checkStream reads n good readings of readings.v1 from url. An emulated processor
// may miss ticks, so there is no upper bound for the time between them, and on a busy
// machine a measurement may time out.
func checkStream(t *testing.T, url string, n int) {
	t.Helper()
	c, _, err := websocket.DefaultDialer.Dial(url, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetReadDeadline(time.Now().Add(patience))

	const interval = 100 // ms
	var first, last wire.Reading
	for i, good := 0, 0; good < n; i++ {
		kind, msg, err := c.ReadMessage()
		if err != nil {
			t.Fatalf("reading %d: %v", i, err)
		}
		if kind != websocket.BinaryMessage {
			t.Fatalf("reading %d: message of type %d, want binary", i, kind)
		}
		r, err := wire.ParseReading(msg)
		if err != nil {
			t.Fatalf("reading %d: %v", i, err)
		}
		switch {
		case r.Fault() == wire.Timeout:
		case r.Fault() != wire.Good || r.Values[0] < -40 || r.Values[0] > 60 || r.Values[1] < 0 || r.Values[1] > 100:
			t.Errorf("reading %d: %+v, want a plausible one", i, r)
			fallthrough
		default:
			good++
		}
		if i == 0 {
			first = r
		} else if gap := r.UnixMilli - last.UnixMilli; gap <= 0 {
			t.Errorf("reading %d: %d ms after the one before, want about %d", i, gap, interval)
		}
		last = r
	}
	want := int64(n-1) * interval
	if got := last.UnixMilli - first.UnixMilli; got < want-interval {
		t.Errorf("%d readings span %d ms, want %d at least", n, got, want-interval)
	}
}
