package e2e

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"
	"time"

	"sensorgateway/gateway/access/tokens"
	"sensorgateway/gateway/dashboard/browsertest"
)

// clockAhead is a script for a browser whose clock is wrong: it is ahead by so much.
func clockAhead(by time.Duration) string {
	return fmt.Sprintf(`
	globalThis.Date = class extends Date {
		constructor(...given) { given.length ? super(...given) : super(Date.now()); }
		static now() { return super.now() + %d; }
	};`, by.Milliseconds())
}

// Behind a proxy that removes a prefix, which the gateway does not know, the page and the
// page to log in request nothing outside the prefix: everything on the page works, also when
// the browser's clock is wrong.
func TestPageUnderAPrefix(t *testing.T) {
	t.Parallel()
	long(t, againInABrowser)
	const prefix = "/gateways/greenhouse%203/"
	state := t.TempDir()
	p := startGateway(t, buildGateway(t), "--simulate", "--config", withoutInterlocks(t), "--listen", "127.0.0.1:0", "--state", state)
	root := addToken(t, state, p, tokens.Token{Name: "root", Role: tokens.Admin, By: "pi"})
	target, err := url.Parse(pageOf(p))
	if err != nil {
		t.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target); r.Out.Host = r.In.Host }}
	within := http.StripPrefix("/gateways/greenhouse 3", proxy)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasPrefix(r.URL.EscapedPath(), prefix) {
			t.Errorf("%s %s is beside the prefix", r.Method, r.URL)
			http.NotFound(w, r)
			return
		}
		within.ServeHTTP(w, r)
	}))
	defer server.Close()
	address := server.URL + prefix
	page := logInPage(t, browsertest.Start(t), address, root, browsertest.Options{Script: clockAhead(time.Hour)})
	page.Wait(coloured + `("temperature") > 100 && document.querySelectorAll(".sensor[data-state=live]").length === 3`)
	page.Wait(`/^\d+ ms$|^[0-9.]+ s$/.test(document.querySelector(".sensor .age").textContent)`)
	page.Wait(card + `.querySelector(".start:enabled")`)
	page.Click(".motor .start")
	page.Wait(card + `.dataset.running === "true"`)
	stops(page)
	page.Wait(card + `.dataset.running === "false"`)
	resetEStop(page)
	page.Click("#machine-fold summary")
	page.Wait(`/ used$/.test(document.querySelector("#machine-fold [data-of=memory]").textContent)`)
	typeNick(page, "ann")
	page.Wait(`!document.querySelector("#say").hidden`)
	page.Type("#text", "hello\n")
	page.Wait(`document.querySelector("#log").textContent.includes("hello")`)
	administer(page)
	links := browsertest.Eval[[]string](page, `Promise.all([...document.querySelectorAll("main a[href], footer a[href]")].map(async ({ href }) => ((await fetch(href)).ok ? "" : href))).then((all) => [String(all.length), ...all.filter(Boolean)])`)
	if len(links) != 1 || links[0] == "0" {
		t.Errorf("links that lead nowhere, after how many there are: %q", links)
	}
	page.Navigate(address + "?kiosk#range=15m")
	page.Wait(live + ` && document.documentElement.hasAttribute("data-kiosk") && document.querySelector("#temperature canvas")`)
	page.Navigate(address)
	page.Wait(live)
	page.Click("#log-out")
	page.Wait(`document.querySelector("#token")`)
	if here := browsertest.Eval[string](page, `location.href`); here != address {
		t.Errorf("after logging out the page is %s", here)
	}
}
