package e2e

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/gorilla/websocket"

	"sensorgateway/wire"
)

// A codeBlock is one of a README's blocks: fenced, with the language behind the
// fence, or indented, which is for a shell.
type codeBlock struct {
	file     string
	line     int
	language string
	text     string
}

func (b codeBlock) String() string { return fmt.Sprintf("%s:%d", b.file, b.line) }

// sources returns the project's files whose names end with suffix, by their paths
// from its top.
func sources(t *testing.T, suffix string) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := filepath.WalkDir(projectRoot, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && (d.Name() == "dist" || d.Name() == ".git") {
			return fs.SkipDir
		}
		if err == nil && strings.HasSuffix(path, suffix) {
			name, _ := filepath.Rel(projectRoot, path)
			found[filepath.ToSlash(name)] = mustRead(t, path)
		}
		return err
	})
	if err != nil || len(found) < 9 {
		t.Fatalf("%d files: %v", len(found), err)
	}
	return found
}

// readmes returns the project's Markdown files.
func readmes(t *testing.T) map[string]string {
	t.Helper()
	return sources(t, ".md")
}

// codeBlocks returns the blocks of a README and what remains without them.
func codeBlocks(file, text string) (blocks []codeBlock, prose string) {
	var block *codeBlock
	end := func() {
		if block != nil {
			blocks = append(blocks, *block)
			block = nil
		}
	}
	fenced, blank, number := false, true, 0
	for line := range strings.Lines(text) {
		number++
		language, fence := strings.CutPrefix(strings.TrimSpace(line), "```")
		switch {
		case fence && fenced:
			end()
			fenced = false
		case fence:
			end()
			block, fenced = &codeBlock{file, number, language, ""}, true
		case fenced:
			block.text += line
		case strings.HasPrefix(line, "    ") && (block != nil || blank):
			if block == nil {
				block = &codeBlock{file, number, "sh", ""}
			}
			block.text += strings.TrimPrefix(line, "    ")
		default:
			end()
			prose += line
		}
		blank = strings.TrimSpace(line) == ""
	}
	end()
	return blocks, prose
}

// eachBlock runs check for each block of a language, and fails if there is none.
func eachBlock(t *testing.T, language string, check func(t *testing.T, b codeBlock)) {
	t.Helper()
	n := 0
	for file, text := range readmes(t) {
		blocks, _ := codeBlocks(file, text)
		for _, b := range blocks {
			if b.language == language {
				n++
				t.Run(b.String(), func(t *testing.T) { check(t, b) })
			}
		}
	}
	if n == 0 {
		t.Errorf("no block of %q", language)
	}
}

var (
	linkForm    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	headingForm = regexp.MustCompile(`(?m)^#+ +(.*)$`)
)

// anchors returns the anchors that GitHub gives the headings of a file.
func anchors(text string) (all []string) {
	_, prose := codeBlocks("", text)
	for _, m := range headingForm.FindAllStringSubmatch(prose, -1) {
		anchor := strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case unicode.IsLetter(r), unicode.IsDigit(r), r == '-', r == '_':
				return unicode.ToLower(r)
			}
			return -1
		}, strings.TrimSpace(m[1]))
		all = append(all, anchor)
	}
	return all
}

func TestReadmeLinks(t *testing.T) {
	files := readmes(t)
	linked := map[string]bool{"README.md": true, ".github/CONTRIBUTING.md": true}
	for file, text := range files {
		_, prose := codeBlocks(file, text)
		for _, m := range linkForm.FindAllStringSubmatch(prose, -1) {
			if strings.HasPrefix(m[1], "https://") {
				continue
			}
			path, anchor, _ := strings.Cut(m[1], "#")
			target := file
			if path != "" {
				target = filepath.ToSlash(filepath.Join(filepath.Dir(file), path))
			}
			linked[target] = true
			if _, err := os.Stat(filepath.Join(projectRoot, target)); err != nil {
				t.Errorf("%s: link to %s: %v", file, m[1], err)
			} else if anchor != "" && !slices.Contains(anchors(files[target]), anchor) {
				t.Errorf("%s: link to %s: no such heading there", file, m[1])
			}
		}
	}
	for file := range files {
		if !linked[file] {
			t.Errorf("no README links to %s", file)
		}
	}
	if lines := strings.Count(files["README.md"], "\n"); lines >= 130 {
		t.Errorf("the top README has %d lines, want fewer than 130", lines)
	}
}

// The program accepts each configuration in a README.
func TestReadmeConfigurations(t *testing.T) {
	t.Parallel()
	program, dir := buildGateway(t), t.TempDir()
	if out, err := exec.Command(program, "cert", "--out", dir).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	eachBlock(t, "yaml", func(t *testing.T, b codeBlock) {
		file := writeFile(t, "gateway.yaml", strings.ReplaceAll(b.text, "/etc/gateway/", dir+"/"))
		startGateway(t, program, "--simulate", "--config", file, "--listen", "127.0.0.1:0")
	})
}

var (
	faultsForm = regexp.MustCompile(`(?m)^\| the (?:log|page) says \|.*\n(?:\|.*\n)+`)
	faultForm  = regexp.MustCompile(`(?m)^\| (` + "`[^|]+`" + `) \|`)
)

// Each text of a fault that a README explains is in the program.
func TestReadmeFaults(t *testing.T) {
	var program strings.Builder
	for _, suffix := range []string{".go", ".js"} {
		for file, text := range sources(t, suffix) {
			if !strings.HasSuffix(file, "_test.go") {
				program.WriteString(text)
			}
		}
	}
	n := 0
	for file, text := range readmes(t) {
		for _, table := range faultsForm.FindAllString(text, -1) {
			for _, m := range faultForm.FindAllStringSubmatch(table, -1) {
				for said := range strings.SplitSeq(strings.Trim(m[1], "`"), "`, `") {
					n++
					if !strings.Contains(program.String(), said) {
						t.Errorf("%s explains %q, which the program never says", file, said)
					}
				}
			}
		}
	}
	if n < 20 {
		t.Errorf("%d texts", n)
	}
}

// Each message in a README is JSON, and one from a client is understood.
func TestReadmeMessages(t *testing.T) {
	config := writeFile(t, "gateway.yaml", `
sensors:
  - {name: indoor, chip: sht3x}
  - {name: outdoor, chip: bme280}
motors: # no interlock: on a busy machine it may not hold
  - {name: motor_1, kind: dir_pwm, dir: GPIO23, pwm: GPIO18}
alarms: # raised by the first reading
  - {name: hot, condition: indoor.temperature > -40}
`)
	p := startGateway(t, buildGateway(t), "--simulate", "--config", config, "--listen", "127.0.0.1:0")
	await(t, "the alarm is raised", func() bool { return len(alarmsOf(t, p, "").Alarms) == 1 })
	dialer := websocket.Dialer{Subprotocols: []string{wire.ReadingsJSON}}
	c, _, err := dialer.Dial(p.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	answers := map[string]string{"subscribe": "subscribed", "unsubscribe": "unsubscribed", "command": "ack", "ping": "pong"}
	eachBlock(t, "json", func(t *testing.T, b codeBlock) {
		for messages := json.NewDecoder(strings.NewReader(b.text)); messages.More(); {
			var message json.RawMessage
			if err := messages.Decode(&message); err != nil {
				t.Fatal(err)
			}
			var e struct{ Type string }
			if err := json.Unmarshal(message, &e); err != nil {
				t.Fatal(err)
			}
			want, asks := answers[e.Type]
			if !asks {
				continue
			}
			if err := c.WriteMessage(websocket.TextMessage, message); err != nil {
				t.Fatal(err)
			}
			for answered := false; !answered; {
				_ = c.SetReadDeadline(time.Now().Add(patience))
				_, got, err := c.ReadMessage()
				if err != nil {
					t.Fatal(err)
				}
				if err := json.Unmarshal(got, &e); err != nil {
					t.Fatal(err)
				}
				if e.Type == "error" {
					t.Errorf("%s is answered with %s", message, got)
				}
				answered = e.Type == want || e.Type == "error"
			}
		}
	})
}

// The Python in a README prints readings.
func TestReadmePython(t *testing.T) {
	t.Parallel()
	python := debianPython(t)
	p := startGateway(t, buildGateway(t), "--simulate", "--listen", "127.0.0.1:0")
	eachBlock(t, "python", func(t *testing.T, b codeBlock) {
		text := strings.ReplaceAll(b.text, "ws://localhost:8765/", p.URL)
		cmd := exec.CommandContext(t.Context(), python, "-u", "-c", text)
		out, err := cmd.StdoutPipe()
		if err == nil {
			err = cmd.Start()
		}
		if err != nil {
			t.Fatal(err)
		}
		form := regexp.MustCompile(`^\d{13} +-?\d+\.\d\d °C +\d+\.\d %$`)
		good := 0
		for lines := bufio.NewScanner(out); good < 10 && lines.Scan(); {
			if form.MatchString(lines.Text()) {
				good++
			}
		}
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if good < 10 {
			t.Errorf("%d lines are readings", good)
		}
	})
}
