package e2e

import (
	"bufio"
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sensorgateway/gateway/client"
	"sensorgateway/wire"
)

// follower records what the Go client gets, and what is reported lost.
type follower struct {
	t     *testing.T
	mu    sync.Mutex
	came  map[string]map[uint32]bool
	twice int
	lost  map[string]uint32
	ready int           // how often it was connected and had all missed readings
	more  chan struct{} // 1: something happened
}

func (f *follower) handle(e client.Event) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch e := e.(type) {
	case client.Connected:
		if f.ready == 0 {
			f.ready = 1
		}
	case client.Replayed:
		f.ready++
		for name, n := range e.Lost {
			f.lost[name] += n
		}
	case client.Resumed:
		if e.Anew {
			f.t.Error("another epoch")
		}
	case client.Records:
		for _, r := range e {
			if f.came[r.Name] == nil {
				f.came[r.Name] = map[uint32]bool{}
			}
			if f.came[r.Name][r.Seq] {
				f.twice++
			}
			f.came[r.Name][r.Seq] = true
			if r.Flags&wire.Conflated == 0 {
				f.lost[r.Name] += r.Missed
			}
		}
	}
	select {
	case f.more <- struct{}{}:
	default:
	}
}

// await waits until so much has come. (If the replay does not reach the first live reading,
// because a busy machine missed a tick, a client takes a minute to see the replay's end.)
func (f *follower) await(what string, enough func() bool) {
	f.t.Helper()
	late := time.After(3 * time.Minute)
	for {
		f.mu.Lock()
		ok := enough()
		f.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-f.more:
		case <-late:
			f.t.Fatalf("no %s after three minutes", what)
		}
	}
}

// A gateway is killed, stopped and killed again, while the Go client and a Python client
// are connected: both get all that the log has, each number once or reported lost. The
// log is exported while the gateway writes it.
func TestNothingIsMissedOverRestarts(t *testing.T) {
	t.Parallel()
	python := debianPython(t)
	address, state, binary := freeAddress(t), t.TempDir(), buildGateway(t)
	begin := func() *gatewayProcess {
		return startGateway(t, binary, "--simulate", "--state", state, "--listen", address)
	}
	p := begin()

	f := &follower{t: t, came: map[string]map[uint32]bool{}, lost: map[string]uint32{}, more: make(chan struct{}, 1)}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- client.New(client.Options{URL: p.URL, Subprotocol: wire.ReadingsV2, Handle: f.handle}).Run(ctx)
	}()
	stranger := exec.CommandContext(t.Context(), python, "testdata/strangers/resume.py", p.URL, "4")
	stranger.Stderr = os.Stderr
	pipe, err := stranger.StdoutPipe()
	if err == nil {
		err = stranger.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	said := bufio.NewReader(pipe)
	connected := func() {
		t.Helper()
		if line, err := said.ReadString('\n'); line != "connected\n" {
			t.Fatalf("the Python client wrote %q, %v", line, err)
		}
	}

	connected()
	for i, kill := range []bool{true, false, true} {
		f.await("connection with all that was missed", func() bool { return f.ready > i })
		before := -1
		f.await("readings", func() bool {
			if before < 0 {
				before = len(f.came["indoor"])
			}
			return len(f.came["indoor"]) > before+10
		})
		if kill {
			_ = p.cmd.Process.Kill()
			<-p.exited
		} else if err := p.Stop(t); err != nil {
			t.Errorf("SIGTERM: %v", err)
		}
		p = begin()
		connected()
	}
	f.await("replay of all that was missed", func() bool { return f.ready > 3 })
	var theirs struct {
		Gone    map[string][][2]uint32
		Numbers map[string][]uint32
	}
	if err := json.NewDecoder(said).Decode(&theirs); err != nil {
		t.Fatalf("the Python client: %v", err)
	}
	if err := stranger.Wait(); err != nil {
		t.Fatalf("the Python client: %v", err)
	}

	exportIsTheAnswerOfHTTP(t, p.URL, binary, state)
	stored := exported(t, binary, state)
	for name, numbers := range stored {
		newest := slices.Max(numbers)
		f.await("newest reading of "+name, func() bool { return f.came[name][newest] })
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if f.twice > 0 {
		t.Errorf("%d came twice", f.twice)
	}
	if names := slices.Sorted(maps.Keys(stored)); strings.Join(names, " ") != "greenhouse indoor outdoor" {
		t.Errorf("the log has %v", names)
	}
	for name, numbers := range stored {
		ours := slices.Sorted(maps.Keys(f.came[name]))
		first, last := ours[0], ours[len(ours)-1]
		stranger := map[uint32]bool{}
		for _, n := range theirs.Numbers[name] {
			stranger[n] = true
		}
		newest := slices.Max(theirs.Numbers[name])
		for _, n := range numbers {
			if n >= first && !f.came[name][n] {
				t.Errorf("%s %d is in the log, and did not come", name, n)
			}
			if n >= slices.Min(theirs.Numbers[name]) && n <= newest && !stranger[n] {
				t.Errorf("%s %d is in the log, and did not come to the stranger", name, n)
			}
		}
		if missing := last - first + 1 - uint32(len(ours)); missing != f.lost[name] {
			t.Errorf("%s: %d are missing, %d were reported lost", name, missing, f.lost[name])
		}
		if len(numbers) < 40 {
			t.Errorf("%s: only %d readings were stored", name, len(numbers))
		}
	}
}

// exported returns the numbers in the log, by sensor, as gateway export has them.
func exported(t *testing.T, binary, state string) map[string][]uint32 {
	t.Helper()
	stored := map[string][]uint32{}
	for _, line := range parsedCSV(t, gatewayExport(t, binary, state)) {
		n, err := strconv.ParseUint(line[3], 10, 32)
		if err != nil {
			t.Fatal(err)
		}
		stored[line[2]] = append(stored[line[2]], uint32(n))
	}
	return stored
}

func gatewayExport(t *testing.T, binary, state string, args ...string) []byte {
	t.Helper()
	var stderr bytes.Buffer
	cmd := exec.Command(binary, append([]string{"export", "--state", state}, args...)...)
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("export %v: %v\n%s", args, err, &stderr)
	}
	return out
}

func parsedCSV(t *testing.T, text []byte) (lines [][]string) {
	t.Helper()
	lines, err := csv.NewReader(bytes.NewReader(text)).ReadAll()
	if err != nil || len(lines) < 2 {
		t.Fatalf("%d lines, %v", len(lines), err)
	}
	return lines[1:]
}

// exportIsTheAnswerOfHTTP gets the same readings by export and by HTTP, and compares them.
func exportIsTheAnswerOfHTTP(t *testing.T, url, binary, state string) {
	t.Helper()
	all := parsedCSV(t, gatewayExport(t, binary, state, "--sensor", "indoor"))
	from, to := all[3][1], all[len(all)-1][1]
	for _, tt := range []struct{ format, accept, step string }{
		{"csv", "text/csv", ""}, {"json", "application/json", ""}, {"csv", "text/csv", "1000"}, {"json", "application/json", "1000"},
	} {
		args := []string{"--sensor", "indoor", "--from", from, "--to", to, "--format", tt.format}
		query := "?sensor=indoor&from=" + from + "&to=" + to
		if tt.step != "" {
			args, query = append(args, "--step", tt.step+"ms"), query+"&step="+tt.step
		}
		r, err := http.NewRequest(http.MethodGet, strings.Replace(url, "ws", "http", 1)+"api/v1/readings"+query, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Accept", tt.accept)
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(answer.Body)
		answer.Body.Close()
		if err != nil || answer.StatusCode != http.StatusOK {
			t.Fatalf("%s: %s, %v", query, answer.Status, err)
		}
		if diff := cmp.Diff(string(body), string(gatewayExport(t, binary, state, args...))); diff != "" || len(body) < 500 {
			t.Errorf("%s as %s, in %d bytes: %s", query, tt.format, len(body), diff)
		}
	}
}
