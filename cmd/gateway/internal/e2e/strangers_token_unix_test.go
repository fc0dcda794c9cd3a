//go:build unix

package e2e

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sensorgateway/gateway/access/tokens"
)

// Unchanged programs of other authors send a token, each in its own way; without one they
// get nothing.
func TestStrangersShowATokenInTheirWay(t *testing.T) {
	t.Parallel()
	state := t.TempDir()
	p := startGateway(t, buildGateway(t), "--simulate", "--config", withoutInterlocks(t), "--listen", "127.0.0.1:0", "--state", state)
	r := routeTo(p)
	var token string
	if err := tokens.Edit(state, func(f *tokens.File) (err error) {
		token, err = f.Add(tokens.Token{Name: "strangers", Role: tokens.Operator})
		return err
	}); err != nil {
		t.Fatal(err)
	}
	awaitToken(t, r, token)
	address := strings.TrimPrefix(r.base, "http://")

	run := func(t *testing.T, want string, argv ...string) {
		t.Helper()
		for i := range argv {
			argv[i] = strings.NewReplacer("TOKEN", token, "ADDRESS", address).Replace(argv[i])
		}
		out, err := exec.CommandContext(t.Context(), argv[0], argv[1:]...).CombinedOutput()
		if !strings.Contains(string(out), want) {
			t.Errorf("%v: no %q in\n%s", err, want, out)
		}
	}
	t.Run("curl", func(t *testing.T) {
		t.Parallel()
		curl := findTool(t, "curl", "curl")
		run(t, `"name":"indoor"`, curl, "-sS", "-H", "Authorization: Bearer TOKEN", "http://ADDRESS/api/v1/sensors")
		run(t, `"name":"indoor"`, curl, "-sS", "-u", "curl:TOKEN", "http://ADDRESS/api/v1/sensors")
		run(t, "this gateway asks for a token", curl, "-sS", "http://ADDRESS/api/v1/sensors")
	})
	t.Run("python3-websockets", func(t *testing.T) {
		t.Parallel()
		python := debianPython(t)
		const program = `
import asyncio, sys, websockets
async def main(url, **more):
    async with websockets.connect(url, **more) as ws:
        print(len(await ws.recv()), "bytes")
`
		run(t, "16 bytes", python, "-c", program+`asyncio.run(main("ws://:TOKEN@ADDRESS/"))`)
		// The name of this parameter depends on the version.
		run(t, "16 bytes", python, "-c", program+`
header = {"Authorization": "Bearer TOKEN"}
try: asyncio.run(main("ws://ADDRESS/", extra_headers=header))
except TypeError: asyncio.run(main("ws://ADDRESS/", additional_headers=header))`)
		run(t, "16 bytes", python, "-c", program+`asyncio.run(main("ws://ADDRESS/", subprotocols=["readings.v1", "gateway.token.TOKEN"]))`)
		run(t, "401", python, "-c", program+`asyncio.run(main("ws://ADDRESS/"))`)
	})
	t.Run("Node's ws and Node-RED", func(t *testing.T) {
		t.Parallel()
		_, lines := startNodeRED(t, ":"+token+"@"+address)
		for late := time.After(patience); ; {
			select {
			case line, ok := <-lines:
				if !ok {
					t.Fatal("Node-RED has ended")
				}
				if !strings.Contains(line, "sensor: 'indoor'") {
					continue
				}
			case <-late:
				t.Fatalf("Node-RED has no reading after %v", patience)
			}
			break
		}
		ws := filepath.Join(nodeREDDir(t), "node_modules", "ws")
		const program = `const ws = new (require("` + "WS" + `"))(...ARGS); ws.on("message", m => { console.log(m.length, "bytes"); process.exit(); }); ws.on("error", e => { console.log(e.message); process.exit(); });`
		for args, want := range map[string]string{
			`"ws://:TOKEN@ADDRESS/"`: "16 bytes",
			`"ws://ADDRESS/", {headers: {authorization: "Bearer TOKEN"}}`: "16 bytes",
			`"ws://ADDRESS/", ["readings.v1", "gateway.token.TOKEN"]`:     "16 bytes",
			`"ws://ADDRESS/"`: "401",
		} {
			run(t, want, findTool(t, "node", "nodejs"), "-e", strings.NewReplacer("WS", ws, "ARGS", "["+args+"]").Replace(program))
		}
	})
	t.Run("Prometheus", func(t *testing.T) {
		t.Parallel()
		startPrometheus(t, address, token).await(`up{job="gateway"} == 1`)
	})
}
