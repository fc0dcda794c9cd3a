package e2e

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// outside are commands that are not the project's.
var outside = map[string]bool{
	"apt": true, "git": true, "i2cdetect": true, "journalctl": true, "jq": true, "lego": true, "modprobe": true, "rabbitmqctl": true, "raspi-config": true, "reboot": true, "rm": true, "rsync": true, "systemctl": true,
}

// Each command in a README, in a block or in the text, works: programs, scripts, their
// flags, benchmarks and requested addresses exist.
func TestReadmeCommands(t *testing.T) {
	t.Parallel()
	c := commands{program: buildGateway(t), tests: map[string]string{}}
	for file, text := range sources(t, "_test.go") {
		c.tests[path.Dir(file)] += text
	}
	c.url = strings.Replace(startGateway(t, c.program, "--simulate", "--listen", "127.0.0.1:0").URL, "ws://", "http://", 1)
	eachBlock(t, "sh", func(t *testing.T, b codeBlock) {
		for line := range strings.Lines(b.text) {
			line, _, _ = strings.Cut(line, " #")
			if strings.HasPrefix(line, "{") { // a message
				if !json.Valid([]byte(line)) {
					t.Errorf("no JSON: %s", line)
				}
				continue
			}
			for _, command := range regexp.MustCompile(`&&|[|>] `).Split(line, -1) {
				if err := c.check(command); err != nil {
					t.Errorf("%s: %v", strings.TrimSpace(command), err)
				}
			}
		}
	})
	inText := regexp.MustCompile("`((?:sudo |scripts/|gateway |go |curl )[^`]+)`")
	for file, text := range readmes(t) {
		_, prose := codeBlocks(file, text)
		for _, m := range inText.FindAllStringSubmatch(prose, -1) {
			for command := range strings.SplitSeq(m[1], "&&") {
				if err := c.check(command); err != nil {
					t.Errorf("%s: %s: %v", file, m[1], err)
				}
			}
		}
	}
}

// commands checks commands of a shell.
type commands struct {
	program string
	url     string            // of a gateway that simulates
	tests   map[string]string // the text of each directory's tests
}

var (
	assignmentForm = regexp.MustCompile(`^([A-Z_]+)=`)
	testForm       = regexp.MustCompile(`(?m)^func ((?:Test|Benchmark)\w+)\(`)
)

func (c commands) check(command string) error {
	words := strings.Fields(strings.ReplaceAll(command, "'", ""))
	for len(words) > 0 && assignmentForm.MatchString(words[0]) {
		name := assignmentForm.FindStringSubmatch(words[0])[1]
		if !slices.ContainsFunc(slices.Collect(maps.Values(c.tests)), func(text string) bool { return strings.Contains(text, name) }) {
			return fmt.Errorf("no test looks at %s", name)
		}
		words = words[1:]
	}
	if len(words) > 0 && words[0] == "sudo" {
		words = words[1:]
		if words[0] == "-u" {
			words = words[2:]
		}
	}
	switch {
	case len(words) == 0, outside[words[0]]:
		return nil
	case words[0] == "gateway":
		return c.gateway(words[1:])
	case words[0] == "go":
		return c.golang(words[1:])
	case words[0] == "curl":
		return c.curl(words[1:])
	}
	if at := strings.Index(words[0], "scripts/"); at >= 0 {
		return script(words[0][at:], words[1:])
	}
	return fmt.Errorf("unknown command %s", words[0])
}

// gateway checks that the program's help has the subcommand and the flags.
func (c commands) gateway(words []string) error {
	help := []string{"--help"}
	if len(words) > 0 && regexp.MustCompile(`^[a-z]`).MatchString(words[0]) {
		help = []string{words[0], "--help"}
	}
	// A subcommand may have subcommands: without one of that name, the help is its own.
	for i := 1; i < min(len(words), 3) && regexp.MustCompile(`^[a-z]+$`).MatchString(words[i]); i++ {
		help = append(slices.Clone(words[:i+1]), "--help")
	}
	out, err := exec.Command(c.program, help...).CombinedOutput()
	if err != nil || len(help) > 1 && !strings.Contains(string(out), "\n  gateway "+words[0]) {
		return fmt.Errorf("no subcommand: %v", err)
	}
	for _, w := range words {
		flag, _, _ := strings.Cut(w, "=")
		flag, _, _ = strings.Cut(flag, "[")
		if strings.HasPrefix(flag, "-") && !regexp.MustCompile(regexp.QuoteMeta(flag)+`\b`).Match(out) {
			return fmt.Errorf("no flag %s", flag)
		}
	}
	return nil
}

func (c commands) golang(words []string) error {
	if words[0] == "run" {
		if words[1] != "./cmd/gateway" {
			return fmt.Errorf("%s is no program", words[1])
		}
		return c.gateway(words[2:])
	}
	if words[0] == "build" { // in the root, a folder has the program's name
		if strings.Join(words[1:], " ") != "-o dist/ ./cmd/gateway" {
			return fmt.Errorf("it does not build into dist/")
		}
		return nil
	}
	if words[0] != "test" {
		return fmt.Errorf("unknown subcommand %s", words[0])
	}
	var patterns []string
	var found string
	for i, w := range words {
		dir, isPackage := strings.CutPrefix(w, "./")
		switch {
		case (w == "-run" || w == "-bench") && words[i+1] != "xxx":
			patterns = append(patterns, words[i+1])
		case isPackage:
			tests := c.testsIn(dir)
			if tests == "" {
				return fmt.Errorf("%s has no tests", w)
			}
			found += tests
		}
	}
	for _, pattern := range patterns {
		matches := func(f []string) bool { return regexp.MustCompile(pattern).MatchString(f[1]) }
		if !slices.ContainsFunc(testForm.FindAllStringSubmatch(found, -1), matches) {
			return fmt.Errorf("%s matches no test", pattern)
		}
	}
	return nil
}

// testsIn returns the text of the tests in a directory, or below it: "gateway/...".
func (c commands) testsIn(dir string) (text string) {
	dir, below := strings.CutSuffix(dir, "...")
	for in, t := range c.tests {
		if in == strings.TrimSuffix(dir, "/") || below && strings.HasPrefix(in+"/", dir) {
			text += t
		}
	}
	return text
}

// curl sends the same request to the simulation.
func (c commands) curl(words []string) error {
	var header, at string
	for i, w := range words {
		if w == "-H" {
			header = words[i+1] + " " + words[i+2]
		}
		if rest, ok := strings.CutPrefix(w, "localhost:8765/"); ok {
			at = rest
		}
	}
	r, err := http.NewRequest(http.MethodGet, c.url+at, nil)
	if err != nil {
		return err
	}
	if name, value, ok := strings.Cut(header, ": "); ok {
		r.Header.Set(name, value)
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("answered with %s", response.Status)
	}
	return nil
}

// script checks that the script is executable and has the options and targets in its text.
func script(name string, words []string) error {
	info, err := os.Stat(filepath.Join(projectRoot, name))
	if err != nil {
		return err
	}
	if info.IsDir() { // its own package or module
		return nil
	}
	if info.Mode()&0o111 == 0 {
		return fmt.Errorf("not executable")
	}
	text, err := os.ReadFile(filepath.Join(projectRoot, name))
	if err != nil {
		return err
	}
	for _, w := range words {
		if !strings.Contains(string(text), w) {
			return fmt.Errorf("knows no %s", w)
		}
	}
	return nil
}
