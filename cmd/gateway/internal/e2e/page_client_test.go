package e2e

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sensorgateway/gateway/dashboard/browsertest"
)

// A page of somebody else, configs/clients/page.html, imports the client from the
// gateway, once the configuration names its origin, and not before.
func TestPageOfOthers(t *testing.T) {
	t.Parallel()
	example, err := os.ReadFile(filepath.Join(projectRoot, "configs/clients/page.html"))
	if err != nil {
		t.Fatal(err)
	}
	simulated := simulatedWithoutInterlocks(t)
	b := browsertest.Start(t)
	address := freeAddress(t)
	theirs := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/" {
			w.WriteHeader(http.StatusNoContent) // no icon
			return
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprint(w, strings.Replace(string(example), "http://localhost:8765/", "http://"+address+"/", 1))
	}))
	defer theirs.Close()
	config := filepath.Join(t.TempDir(), "gateway.yaml")
	run := func(origins string) *gatewayProcess {
		t.Helper()
		if err := os.WriteFile(config, append(simulated, origins...), 0o600); err != nil {
			t.Fatal(err)
		}
		return startGateway(t, buildGateway(t), "--simulate", "--config", config, "--listen", address)
	}

	p := run("")
	stranger := b.Open(t, theirs.URL+"/", browsertest.Options{})
	stranger.Wait(`performance.getEntriesByType("resource").some(({ name }) => name.endsWith("/gateway.js"))`)
	if got := stranger.Text("#value"); got != "–" {
		t.Errorf("a stranger's page shows %q", got)
	}
	p.Kill(t)

	p = run(fmt.Sprintf("origins: [%q]\n", theirs.URL))
	known := b.Open(t, theirs.URL+"/", browsertest.Options{})
	known.Wait(`/^\d\d\.\d °C$/.test(document.querySelector("#value").textContent)`)
	watcher := newMotorClient(t, p.URL)
	if a := watcher.ask("subscribe", `{"topic":"motors"}`); a.Type != "subscribed" {
		t.Fatalf("%+v", a)
	}
	known.Click("#fan")
	if a := watcher.state("command"); !a.Payload.Running {
		t.Errorf("started: %+v", a)
	}
	watcher.state("run_ms")
}
