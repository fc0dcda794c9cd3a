package main

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// allowed is the house's arrows: who may import whom inside the module. The
// README's "Inside" draws them.
var allowed = map[string][]string{
	"wire":    {},
	"sensors": {"wire", "sensors"},
	"cmd":     {"wire", "sensors", "gateway", "cmd"},
	"scripts": {"wire", "scripts"}, // measurements from outside
}

// forbidden is what a room must not know of the world outside.
var forbidden = map[string][]string{
	"wire":              {"time", "net", "os", "periph.io", "github.com", "golang.org", "gopkg.in"},
	"sensors":           {"net", "net/http", "gopkg.in/yaml.v3", "github.com/gorilla/websocket", "github.com/coreos/go-systemd"},
	"gateway":           {"periph.io", "gopkg.in/yaml.v3", "github.com/coreos/go-systemd"},
	"gateway/api":       {"github.com/gorilla/websocket", "periph.io", "gopkg.in/yaml.v3", "github.com/coreos/go-systemd"},
	"gateway/conn":      {"periph.io", "gopkg.in/yaml.v3", "github.com/coreos/go-systemd"},
	"gateway/pins":      {"net", "net/http", "gopkg.in/yaml.v3", "github.com/gorilla/websocket", "github.com/coreos/go-systemd"},
	"gateway/motor":     {"net", "net/http", "gopkg.in/yaml.v3", "github.com/gorilla/websocket"},
	"gateway/history":   {"net", "net/http", "gopkg.in/yaml.v3", "github.com/gorilla/websocket"},
	"gateway/client":    {"periph.io", "gopkg.in/yaml.v3"},
	"gateway/dashboard": {"github.com/gorilla/websocket", "periph.io"},
}

func TestTheHouse(t *testing.T) {
	out, err := exec.Command("go", "list", "-f", "{{.ImportPath}} {{join .Imports \" \"}}", "sensorgateway/...").Output()
	if err != nil {
		t.Fatal(err)
	}
	rooms := 0
	for line := range strings.Lines(string(out)) {
		words := strings.Fields(line)
		room, imports := strings.TrimPrefix(words[0], "sensorgateway/"), words[1:]
		rooms++
		top, _, _ := strings.Cut(room, "/")
		for _, path := range imports {
			inside, ours := strings.CutPrefix(path, "sensorgateway/")
			if ours && !mayImport(top, room, inside) {
				t.Errorf("%s imports %s: the house has no such arrow", room, inside)
			}
			for of, paths := range forbidden {
				for _, p := range paths {
					exactly := of == room || of == top && top != "gateway"
					if exactly && (path == p || strings.Contains(p, ".") && strings.HasPrefix(path, p)) {
						t.Errorf("%s imports %s, which it must not know", room, path)
					}
				}
			}
		}
	}
	if rooms < 8 {
		t.Errorf("only %d packages were looked at", rooms)
	}
}

// inGateway is the arrows between the gateway's folders.
var inGateway = map[string][]string{
	// A session has a transport below it, and a server answers plain HTTP too.
	"gateway":       {"gateway/conn", "gateway/api"},
	"gateway/conn":  {},               // what its frames carry is not its business, so not even wire
	"gateway/motor": {"gateway/pins"}, // an output is made of lines and PWM
	"gateway/pins":  {},               // nothing travels from here, so not even wire
	// A log is made of its files, these of blocks, and they are replaced as a whole.
	"gateway/history":        {"gateway/atomicfile", "gateway/history/codec", "gateway/history/format", "gateway/history/index", "gateway/history/disk"},
	"gateway/history/format": {"gateway/history/codec"},
	"gateway/history/index":  {"gateway/history/codec", "gateway/history/format"},
	"gateway/history/disk":   {"gateway/atomicfile"},
}

func mayImport(top, room, inside string) bool {
	target, _, _ := strings.Cut(inside, "/")
	if top == "gateway" {
		// Its folders not each other, and not the Server.
		return inside == "wire" && room != "gateway/pins" && room != "gateway/conn" || slices.Contains(inGateway[room], inside)
	}
	for _, a := range allowed[top] {
		if target == a {
			return true
		}
	}
	return false
}
