//go:build unix

package e2e

import (
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// configDir has the files for neighbours.
const configDir = projectRoot + "/configs"

// neighbourPackages are Debian's packages of the programs in the table of neighbours that
// the tests run.
var neighbourPackages = map[string]string{
	"Home Assistant's broker, Mosquitto": "mosquitto",
	"Mosquitto's own clients":            "mosquitto-clients",
	"Prometheus":                         "prometheus",
	"Python's websockets":                "python3-websockets",
	"Node.js's ws":                       "node-ws",
	"JDK's HttpClient":                   "openjdk-17-jdk-headless",
	"libwebsockets":                      "libwebsockets-dev",
	"aiohttp":                            "python3-aiohttp",
	"websocket-client":                   "python3-websocket",
	"Qt's QWebSocket":                    "python3-pyqt5.qtwebsockets",
	"Mojolicious":                        "libmojolicious-perl",
	"curl":                               "curl",
	"Chromium":                           "chromium",
	"Firefox":                            "firefox-esr",
	"nginx":                              "nginx",
	"Caddy":                              "caddy",
	"HAProxy":                            "haproxy",
	"apt":                                "apt",
	"dpkg":                               "dpkg",
	"cage, with Chromium on a screen":    "cage",
}

// Each row of the table of neighbours names the tests that tried it. Where Debian's package
// is installed, it is the version of the row, or a later one.
func TestNeighboursTable(t *testing.T) {
	t.Parallel()
	var tests []string
	for file, text := range sources(t, "_test.go") {
		if strings.HasPrefix(file, "cmd/gateway/internal/e2e/") {
			for _, m := range testForm.FindAllStringSubmatch(text, -1) {
				tests = append(tests, m[1])
			}
		}
	}
	_, table, found := strings.Cut(mustRead(t, configDir+"/README.md"), "| program | version | works | how | test |\n|---|---|---|---|---|\n")
	table, _, _ = strings.Cut(table, "\n\n")
	rows := strings.Split(table, "\n")
	if !found || len(rows) < 20 {
		t.Fatalf("%d rows", len(rows))
	}
	works := regexp.MustCompile("^(unchanged|with (this file|`home_assistant:`))$")
	for _, row := range rows {
		cells := strings.Split(strings.Trim(row, "| "), " | ")
		if len(cells) != 5 || !works.MatchString(cells[2]) {
			t.Errorf("no row: %s", row)
			continue
		}
		program, version := cells[0], cells[1]
		for name := range strings.SplitSeq(strings.Trim(cells[4], "`"), "`, `") {
			if !slices.Contains(tests, name) {
				t.Errorf("%s: no test is called %q", program, name)
			}
		}
		switch pkg := neighbourPackages[program]; {
		case version == "not run":
		case program == "Node-RED":
			if !strings.HasPrefix(nodeRED, version+".") {
				t.Errorf("%s: %s is tried, not %s", program, nodeRED, version)
			}
		case pkg == "":
			t.Errorf("%s: which package has it?", program)
		default:
			wantTried(t, pkg, version)
		}
	}
}

// wantTried checks that the installed version of a package, which the tests run, is the one
// in the table, or a later one.
func wantTried(t *testing.T, pkg, version string) {
	t.Helper()
	out, err := exec.Command("dpkg-query", "--show", "--showformat=${source:Upstream-Version}", pkg).Output()
	installed := string(out)
	if err != nil || installed == "" { // its tests report that it is missing
		t.Logf("%s is not installed: %v", pkg, err)
		return
	}
	if exec.Command("dpkg", "--compare-versions", installed, "ge", version).Run() != nil {
		t.Errorf("%s: %s is tried, not %s", pkg, installed, version)
	}
}
