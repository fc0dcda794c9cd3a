package e2e

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"sensorgateway/gateway/dashboard/browsertest"
)

// behind serves a gateway through a proxy, which may change requests, and does
// not pass on what is blocked.
func behind(t *testing.T, p *gatewayProcess, change func(*httputil.ProxyRequest), blocked ...string) (address string) {
	t.Helper()
	target, err := url.Parse(pageOf(p))
	if err != nil {
		t.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(target)
		r.Out.Host = r.In.Host
		if change != nil {
			change(r)
		}
	}}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for _, path := range blocked {
			if r.URL.Path == path {
				http.Error(w, "blocked", http.StatusForbidden)
				return
			}
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	return server.URL + "/"
}

// stops checks that STOP ALL works.
func stops(page *browsertest.Page) {
	page.Wait(`document.querySelector("#stop-all").checkVisibility()`)
	page.Click("#stop-all")
	page.Wait(`document.querySelector("#stop-alert").dataset.state === "done"`)
}

// timeToTrouble measures how long, in ms, a loaded page takes to say why it is not
// connected.
const timeToTrouble = `
	let alive = 0;
	new MutationObserver(() => {
		const trouble = document.querySelector("#trouble");
		if (!alive && trouble && !document.querySelector("#lifeless")) alive = performance.now();
		if (trouble?.textContent) globalThis.took ??= performance.now() - alive;
	}).observe(document, { subtree: true, childList: true });`

// A page that cannot connect says why, as far as a page can find out.
func TestPageWithoutAConnection(t *testing.T) {
	t.Parallel()
	long(t, againInABrowser)
	b := browsertest.Start(t)
	p := startGateway(t, buildGateway(t), "--simulate", "--listen", "127.0.0.1:0")
	trouble := func(address, script, want string) {
		t.Helper()
		page := b.Open(t, address, browsertest.Options{Script: script})
		// On a machine that is too busy to answer in time it says that first.
		page.Wait(fmt.Sprintf(`document.querySelector("#trouble").textContent.includes(%q)`, want))
		if took := browsertest.Eval[float64](page, `globalThis.took ?? 0`); took > 5000 {
			t.Errorf("it took %.0f ms", took)
		}
		if status := page.Text("#status-text"); strings.HasPrefix(status, "live") {
			t.Errorf("the page is %s", status)
		}
	}
	// Like a proxy that does not pass on the name that the browser used.
	elsewhere := behind(t, p, func(r *httputil.ProxyRequest) { r.Out.Host = r.Out.URL.Host })
	trouble(elsewhere, "", "refuses this page: 403 Forbidden: ")
	noUpgrade := behind(t, p, func(r *httputil.ProxyRequest) { r.Out.Header.Del("Upgrade") })
	trouble(noUpgrade, "", "a WebSocket does not get through")
	trouble(pageOf(p), timeToTrouble+`globalThis.WebSocket = class { close() {} }; globalThis.fetch = async () => { throw new TypeError("Failed to fetch"); };`, "no answer from")
}

// Whichever part of the page fails: the page says which, and STOP ALL works.
func TestPageInParts(t *testing.T) {
	t.Parallel()
	long(t, "it opens ten pages, each without another part")
	b := browsertest.Start(t)
	// Each page has a gateway of its own: another page's e-stop would move this one's
	// button away from under the click.
	gateway := func(t *testing.T) *gatewayProcess {
		return startGateway(t, buildGateway(t), "--simulate", "--listen", "127.0.0.1:0")
	}
	missing := func(words string) string {
		return `document.querySelector("#missing").textContent.includes("` + words + `")`
	}
	for name, tt := range map[string]struct {
		script  string
		blocked []string
		missing string
	}{
		"a locale that no browser knows": {script: `Object.defineProperty(Navigator.prototype, "language", { get: () => "C" });`, missing: "The charts are missing"},
		"as of LANG=C":                   {script: `Object.defineProperty(Navigator.prototype, "language", { get: () => "en-US@posix" });`, missing: "The charts are missing"},
		"the charts' library is blocked": {blocked: []string{"/uPlot.js"}, missing: "The charts are missing"},
		"the readings are blocked":       {blocked: []string{"/cards.js"}, missing: "The readings are missing"},
		"the motors are blocked":         {blocked: []string{"/motors.js"}, missing: "The motors’ controls are missing"},
		"the room is blocked":            {blocked: []string{"/room.js"}, missing: "The operators’ room is missing"},
		"no storage": {script: `for (const name of ["sessionStorage", "localStorage", "indexedDB"])
			Object.defineProperty(window, name, { get() { throw new DOMException("denied", "SecurityError"); } });`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			page := b.Open(t, behind(t, gateway(t), nil, tt.blocked...), browsertest.Options{Script: tt.script})
			if tt.missing != "" {
				page.Wait(missing(tt.missing))
			} else {
				page.Wait(live)
				if text := page.Text("#missing"); text != "" {
					t.Errorf("missing: %q", text)
				}
			}
			stops(page)
		})
	}
	for _, script := range []string{"/start.js", "/core.js", "/gateway.js"} {
		page := b.Open(t, behind(t, gateway(t), nil, script), browsertest.Options{})
		page.Wait(`document.querySelector("#lifeless").checkVisibility({ visibilityProperty: true })`)
	}
}

// Scripts that do not arrive completely, as over a bad line or when a telephone changes its
// network, are loaded again: if it is the core, until it is there.
func TestPageThatArrivesInPart(t *testing.T) {
	t.Parallel()
	long(t, "it loads four pages two or three times each")
	b := browsertest.Start(t)
	for script, loads := range map[string]int32{"/core.js": 3, "/link.js": 3, "/motors.js": 2, "/uPlot.js": 2} {
		t.Run(script, func(t *testing.T) {
			t.Parallel()
			p := startGateway(t, buildGateway(t), "--simulate", "--listen", "127.0.0.1:0")
			target, err := url.Parse(pageOf(p))
			if err != nil {
				t.Fatal(err)
			}
			proxy := httputil.NewSingleHostReverseProxy(target)
			var documents atomic.Int32 // that were asked for by a navigation
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Header.Get("Sec-Fetch-Dest") == "document" {
					documents.Add(1)
				}
				if r.URL.Path == script && r.Method == http.MethodGet && documents.Load() < loads {
					w.Header().Set("Content-Length", "1000")
					_, _ = io.WriteString(w, "// @ts")
					panic(http.ErrAbortHandler) // and the connection ends
				}
				proxy.ServeHTTP(w, r)
			}))
			t.Cleanup(server.Close)
			page := b.Open(t, server.URL+"/", browsertest.Options{})
			page.Wait(live + ` && document.querySelector("#temperature canvas") && document.querySelector(".motor .stop")`)
			stops(page)
			if n := documents.Load(); n != loads {
				t.Errorf("the page was loaded %d times, want %d", n, loads)
			}
		})
	}
}

// All clients that may connect may stop, also where only others may start.
func TestPageThatMayNotStart(t *testing.T) {
	t.Parallel()
	long(t, againInABrowser)
	simulated := simulatedWithoutInterlocks(t)
	config := filepath.Join(t.TempDir(), "gateway.yaml")
	if err := os.WriteFile(config, append(simulated, "commands: local\n"...), 0o600); err != nil {
		t.Fatal(err)
	}
	b := browsertest.Start(t)
	p := startGateway(t, buildGateway(t), "--simulate", "--config", config, "--listen", "127.0.0.1:0")
	page := b.Open(t, behind(t, p, func(r *httputil.ProxyRequest) { r.Out.Header.Set("X-Forwarded-For", "192.0.2.7") }), browsertest.Options{})
	page.Wait(live)
	page.Click(".motor .start")
	page.Wait(`document.querySelector("#denied").textContent.startsWith("This page can stop motors, but not start them: ")`)
	page.Wait(`document.querySelectorAll(".motor .start:enabled, .motor input:enabled").length === 0 && document.querySelector(".motor .stop:enabled")`)
	page.Click(".motor .stop")
	stops(page)
}
