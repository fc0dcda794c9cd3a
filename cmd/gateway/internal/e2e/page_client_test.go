package e2e

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"sensorgateway/gateway/access/tokens"
	"sensorgateway/gateway/dashboard/browsertest"
)

// A page of somebody else, configs/clients/page.html, imports the client from the
// gateway, once the configuration names its origin, and not before.
func TestPageOfOthers(t *testing.T) {
	t.Parallel()
	long(t, againInABrowser)
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

// A page of somebody else sends a token. If its origin is allowed, it imports the client from
// the gateway; otherwise it has a copy. If a token is refused, or no longer valid, the client
// says so in words.
func TestPageOfOthersWithAToken(t *testing.T) {
	t.Parallel()
	long(t, againInABrowser)
	var p *gatewayProcess
	token := ""
	theirs := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasSuffix(r.URL.Path, ".js"):
			file, err := http.Get(strings.TrimSuffix(pageOf(p), "/") + r.URL.Path)
			if err != nil {
				t.Error(err)
				return
			}
			defer file.Body.Close()
			w.Header().Set("Content-Type", "text/javascript")
			_, _ = io.Copy(w, file.Body)
		case r.URL.Path != "/":
			w.WriteHeader(http.StatusNoContent) // no icon
		default:
			from, known := pageOf(p), fmt.Sprintf("token: %q", token)
			switch r.URL.RawQuery {
			case "own":
				from = "/"
			case "ticket":
				known = fmt.Sprintf(`ticket: async () => {
					const answer = await fetch("%sapi/v1/tickets", { method: "POST", headers: { Authorization: "Bearer %s" } });
					window.tickets = (window.tickets ?? 0) + 1;
					return (await answer.json()).ticket;
				}`, pageOf(p), token)
			}
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			fmt.Fprintf(w, `<!doctype html><p id="value"></p><p id="refused"></p><script type="module">
				import { Gateway } from "%sgateway.js";
				const gateway = new Gateway(%q, { %s }), show = (id, text) => document.querySelector(id).textContent = text;
				gateway.addEventListener("readings", ({ detail }) => show("#value", detail[0].name));
				gateway.addEventListener("refused", ({ detail }) => show("#refused", detail));
				gateway.open();
				window.gateway = gateway;
			</script>`, from, pageOf(p), known)
		}
	}))
	defer theirs.Close()
	state := t.TempDir()
	config := writeFile(t, "gateway.yaml", string(simulatedWithoutInterlocks(t))+fmt.Sprintf("origins: [%q]\n", theirs.URL))
	p = startGateway(t, buildGateway(t), "--simulate", "--config", config, "--listen", "127.0.0.1:0", "--state", state)
	token = addToken(t, state, p, tokens.Token{Name: "panel", Role: tokens.Viewer, Sensors: []string{"outdoor"}})
	b := browsertest.Start(t)
	allowed := b.Open(t, theirs.URL, browsertest.Options{})
	other := b.Open(t, strings.Replace(theirs.URL, "127.0.0.1", "greenhouse.example", 1)+"/?own", browsertest.Options{})
	for _, page := range []*browsertest.Page{allowed, other} {
		page.Wait(`document.querySelector("#value").textContent === "outdoor"`)
	}
	// Each connection has a ticket of its own.
	ticket := b.Open(t, theirs.URL+"/?ticket", browsertest.Options{})
	ticket.Wait(`document.querySelector("#value").textContent === "outdoor" && window.tickets === 1`)
	browsertest.Eval[bool](ticket, `(document.querySelector("#value").textContent = "", window.gateway.abandon(), true)`)
	ticket.Wait(`document.querySelector("#value").textContent === "outdoor" && window.tickets > 1`)

	if err := tokens.Edit(state, func(f *tokens.File) error { return f.Revoke("panel") }); err != nil {
		t.Fatal(err)
	}
	ticket.Wait(`document.querySelector("#refused").textContent === "Token revoked"`)
	for _, page := range []*browsertest.Page{allowed, other} {
		page.Wait(`document.querySelector("#refused").textContent === "Token revoked"`)
		page.Do(chromedp.Reload())
		page.Wait(`document.querySelector("#refused").textContent === "401: the token is not one of this gateway: it was revoked, or it is another gateway's"`)
	}
}
