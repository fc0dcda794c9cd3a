//go:build unix

package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// Files for programs that people run beside the gateway.

// The alerts fire when they have to, by the rules' own tests.
func TestPrometheusRules(t *testing.T) {
	t.Parallel()
	promtool := findTool(t, "promtool", "prometheus")
	for _, args := range [][]string{{"check", "config", "prometheus.yml"}, {"check", "rules", "gateway.rules.yml"}, {"test", "rules", "gateway.rules.test.yml"}} {
		cmd := exec.Command(promtool, args...)
		cmd.Dir = configDir + "/prometheus"
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("promtool %v: %v\n%s", args, err, out)
		}
	}
	rules, tests := mustRead(t, configDir+"/prometheus/gateway.rules.yml"), mustRead(t, configDir+"/prometheus/gateway.rules.test.yml")
	for _, m := range regexp.MustCompile(`alert: (\w+)`).FindAllStringSubmatch(rules, -1) {
		if strings.Count(tests, "alertname: "+m[1]) < 2 {
			t.Errorf("no test that %s fires, and one that it does not", m[1])
		}
	}
}

// prometheus scrapes a gateway, and answers queries.
type prometheus struct {
	t       *testing.T
	address string
}

// startPrometheus starts Debian's Prometheus with the file, in which only the gateway's
// address is changed, and the line of the token if there is one.
func startPrometheus(t *testing.T, gateway, token string) prometheus {
	t.Helper()
	dir := t.TempDir()
	config := strings.NewReplacer("localhost:8765", gateway, "15s", "1s").Replace(mustRead(t, configDir+"/prometheus/prometheus.yml"))
	if token != "" {
		line := "# authorization: {credentials_file: /etc/prometheus/gateway.token}"
		if !strings.Contains(config, line) {
			t.Fatalf("no line of the token in\n%s", config)
		}
		config = strings.ReplaceAll(config, line, strings.ReplaceAll(line[2:], "/etc/prometheus", dir))
	}
	rules := mustRead(t, configDir+"/prometheus/gateway.rules.yml")
	for name, text := range map[string]string{"prometheus.yml": config, "gateway.rules.yml": rules, "gateway.token": token} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	p := prometheus{t, freeAddress(t)}
	cmd := exec.CommandContext(t.Context(), findTool(t, "prometheus", "prometheus"), "--config.file="+dir+"/prometheus.yml",
		"--storage.tsdb.path="+dir+"/data", "--web.listen-address="+p.address)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	return p
}

// query returns how many series a query has, -1 if it cannot be answered.
func (p prometheus) query(query string) (series int, why string) {
	answer, err := http.Get("http://" + p.address + "/api/v1/query?query=" + url.QueryEscape(query))
	if err != nil {
		return -1, err.Error()
	}
	defer answer.Body.Close()
	var got struct {
		Status, Error string
		Data          struct{ Result []any }
	}
	if err := json.NewDecoder(answer.Body).Decode(&got); err != nil || got.Status != "success" {
		return -1, fmt.Sprint(err, got.Error)
	}
	return len(got.Data.Result), ""
}

// await waits until a query has a series, which takes another program's start and scrapes.
func (p prometheus) await(query string) {
	p.t.Helper()
	for late := time.Now().Add(patience); ; <-time.After(100 * time.Millisecond) {
		if n, why := p.query(query); n == 1 {
			return
		} else if time.Now().After(late) {
			p.t.Fatalf("Prometheus has no gateway after %v: %d, %s", patience, n, why)
		}
	}
}

// Prometheus scrapes the gateway with the unchanged file, and has an answer to each query of
// the dashboard for Grafana and to each expression of the alerts.
func TestPrometheusAndDashboard(t *testing.T) {
	t.Parallel()
	gw := startGateway(t, buildGateway(t), "--simulate=flaky", "--state", t.TempDir(), "--listen", "127.0.0.1:0")
	p := startPrometheus(t, strings.TrimSuffix(strings.TrimPrefix(gw.URL, "ws://"), "/"), "")
	p.await(`up{job="gateway"} == 1 and on() count_over_time(gateway_ws_clients[1m]) > 3`)
	var dashboard struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal([]byte(mustRead(t, configDir+"/grafana/gateway.json")), &dashboard); err != nil {
		t.Fatal(err)
	}
	// At one moment all sensors of this simulation may fail, and have no values.
	late := time.Now().Add(patience)
	wantSeries := func(of, query string) {
		t.Helper()
		for {
			n, why := p.query(query)
			if n > 0 {
				return
			}
			if time.Now().After(late) {
				t.Errorf("%s: %s has %d series after %v: %s", of, query, n, patience, why)
				return
			}
			<-time.After(100 * time.Millisecond)
		}
	}
	values := strings.NewReplacer("$__rate_interval", "1m", "$instance", ".*")
	for _, panel := range dashboard.Panels {
		for _, target := range panel.Targets {
			// A comparison with 0 may have an empty result.
			wantSeries(panel.Title, values.Replace(strings.TrimSuffix(target.Expr, " > 0")))
		}
	}
	if len(dashboard.Panels) < 8 {
		t.Errorf("%d panels", len(dashboard.Panels))
	}
	metric := regexp.MustCompile(`gateway_\w+`)
	for _, name := range metric.FindAllString(mustRead(t, configDir+"/prometheus/gateway.rules.yml"), -1) {
		wantSeries("an alert", name)
	}
}

// The file for Telegraf is valid TOML, and its topics are those of the readings.
func TestTelegrafConfig(t *testing.T) {
	t.Parallel()
	out, err := exec.Command(debianPython(t), "-c", "import json, sys, tomllib; print(json.dumps(tomllib.load(open(sys.argv[1], 'rb'))))", configDir+"/telegraf.conf").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var config struct {
		Inputs struct {
			MQTT []struct {
				Topics  []string
				Parsing []struct{ Topic, Tags string } `json:"topic_parsing"`
			} `json:"mqtt_consumer"`
			Prometheus []struct{ URLs []string }
		}
	}
	if err := json.Unmarshal(out, &config); err != nil || len(config.Inputs.MQTT) != 1 || len(config.Inputs.Prometheus) != 1 {
		t.Fatalf("%v\n%s", err, out)
	}
	topic := strings.Split(config.Inputs.MQTT[0].Topics[0], "/")
	tags := strings.Split(config.Inputs.MQTT[0].Parsing[0].Tags, "/")
	m := startMosquitto(t)
	l := m.listen(config.Inputs.MQTT[0].Topics[0])
	startGateway(t, buildGateway(t), "--simulate", "--config", simulatedAtHome(t, m, ""), "--listen", "127.0.0.1:0")
	l.until("/sensors/indoor", has(`"temperature":`))
	words := strings.Split(strings.Fields(l.seen[len(l.seen)-1])[0], "/")
	if len(words) != len(topic) || len(words) != len(tags) || words[slices.Index(tags, "sensor")] != "indoor" {
		t.Errorf("the readings come on %q, the tags are %q", words, tags)
	}
}

// nodeRED is the version that the flow is tested with.
const nodeRED = "4.1.15"

// nodeREDDir is where Node-RED is installed for the tests.
func nodeREDDir(t *testing.T) string {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Skipf("no place to install Node-RED in: %v", err)
	}
	return filepath.Join(cache, "gateway-test", "node-red-"+nodeRED)
}

// startNodeRED starts Node-RED with the flow, in which only the gateway's address is
// changed, and returns Node-RED's address and output.
func startNodeRED(t *testing.T, gateway string) (address string, lines <-chan string) {
	t.Helper()
	dir := nodeREDDir(t)
	program := filepath.Join(dir, "node_modules", "node-red", "red.js")
	if _, err := os.Stat(program); err != nil {
		out, err := exec.CommandContext(t.Context(), findTool(t, "npm", "npm"), "install", "--no-audit", "--no-fund", "--prefix", dir, "node-red@"+nodeRED).CombinedOutput()
		if err != nil {
			t.Skipf("Node-RED cannot be installed by npm: %v\n%s", err, out)
		}
	}
	flow := filepath.Join(t.TempDir(), "flow.json")
	text := strings.ReplaceAll(mustRead(t, configDir+"/node-red.json"), "localhost:8765", gateway)
	if err := os.WriteFile(flow, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	address = freeAddress(t)
	host, port, _ := strings.Cut(address, ":")
	settings := writeFile(t, "settings.js", fmt.Sprintf("module.exports = { uiHost: %q, uiPort: %s, flowFile: %q, telemetry: { enabled: false } };", host, port, flow))
	cmd := exec.CommandContext(t.Context(), findTool(t, "node", "nodejs"), program, "--settings", settings, "--userDir", t.TempDir())
	r, w := io.Pipe()
	cmd.Stdout, cmd.Stderr = w, w
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines = readLines(r)
	t.Cleanup(func() {
		cmd.Process.Kill()
		var rest sync.WaitGroup
		rest.Go(func() {
			for range lines { // Wait waits until all output is read
			}
		})
		cmd.Wait()
		w.Close()
		rest.Wait()
	})
	return address, lines
}

// The flow for Node-RED has each reading once, over a restart of the gateway and over a line
// that dies, and starts and stops a motor.
func TestNodeRED(t *testing.T) {
	t.Parallel()
	long(t, "it installs Node-RED and restarts a gateway under it")
	gateway, state := freeAddress(t), t.TempDir()
	args := []string{buildGateway(t), "--simulate", "--config", withoutInterlocks(t), "--state", state, "--listen", gateway}
	gw := startGateway(t, args...)
	line := startLine(t, gateway)
	address, lines := startNodeRED(t, line.address)
	var numbers []string
	sensor, seq := "", regexp.MustCompile(`\bseq: (\d+)`)
	limit := patience
	until := func(n int) {
		t.Helper()
		late := time.After(limit)
		for n += len(numbers); len(numbers) < n; {
			select {
			case line, ok := <-lines:
				if !ok {
					t.Fatal("Node-RED has ended")
				}
				if m := regexp.MustCompile(`sensor: '(\w+)'`).FindStringSubmatch(line); m != nil {
					sensor = m[1]
				}
				if m := seq.FindStringSubmatch(line); m != nil && sensor == "indoor" {
					numbers = append(numbers, m[1])
				}
			case <-late:
				t.Fatalf("%d of %d readings after %v", len(numbers), n, limit)
			}
		}
	}
	until(10)
	c := newMotorClient(t, gw.URL)
	if a := c.ask("subscribe", `{"topic":"motors"}`); a.Type != "subscribed" {
		t.Fatalf("%+v", a)
	}
	inject := func(node string) {
		t.Helper()
		answer, err := http.Post("http://"+address+"/inject/"+node, "", nil)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if answer.StatusCode != http.StatusOK {
			t.Fatalf("%s: %s", node, answer.Status)
		}
	}
	inject("gw-fan")
	if a := c.state("command"); !a.Payload.Running {
		t.Errorf("the fan is %+v", a)
	}
	inject("gw-stop")
	if a := c.state("command"); a.Payload.Running {
		t.Errorf("the fan is %+v", a)
	}
	if err := gw.Stop(t); err != nil {
		t.Error(err)
	}
	startGateway(t, args...)
	until(50)
	line.die()
	limit += silence
	until(30)
	// A machine that is busy makes fewer ticks.
	wantAllStored(t, gateway, "seq", func() []string { return numbers }, func() { until(1) })
}

// The queries for journald, as the README has them, find what they are for.
func TestJournalQueries(t *testing.T) {
	t.Parallel()
	queries := regexp.MustCompile("`journalctl -u gateway[^`]* -g '([^`]+)'`").FindAllStringSubmatch(mustRead(t, configDir+"/README.md"), -1)
	if len(queries) < 5 {
		t.Fatalf("%d queries", len(queries))
	}
	p := startGateway(t, buildGateway(t), "--simulate=flaky", "--log-format", "journal", "--listen", "127.0.0.1:0")
	request, err := http.NewRequest(http.MethodGet, strings.Replace(p.URL, "ws", "http", 1), nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Host = "evil.example"
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	c := newMotorClient(t, p.URL)
	for _, command := range []string{`{"action":"estop"}`, `{"action":"reset"}`} {
		if a := c.ask("command", command); a.Type != "ack" {
			t.Fatalf("%+v", a)
		}
	}
	p.await(t, "sensor lost")
	if err := p.Stop(t); err != nil {
		t.Error(err)
	}
	for _, q := range queries {
		// journalctl's patterns in lower case take letters of both cases.
		if !regexp.MustCompile(`(?im)` + q[1]).MatchString(p.Output()) {
			t.Errorf("-g '%s' finds nothing", q[1])
		}
	}
}
