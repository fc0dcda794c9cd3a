package e2e

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"sensorgateway/gateway/access/tokens"
	"sensorgateway/gateway/dashboard/browsertest"
)

// In kiosk mode the page shows everything and has no controls. Only pages of origins that
// may connect may embed it.
func TestPageKiosk(t *testing.T) {
	t.Parallel()
	long(t, "it opens five pages, three of them with frames")
	embeds := http.NewServeMux()
	theirs := httptest.NewServer(embeds)
	defer theirs.Close()
	p := startGateway(t, buildGateway(t), "--simulate", "--listen", "127.0.0.1:0",
		"--config", writeFile(t, "gateway.yaml", string(simulatedWithoutInterlocks(t))+fmt.Sprintf("origins: [%q]\n", theirs.URL)))
	embeds.HandleFunc("/{$}", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprintf(w, `<!doctype html><iframe src="%s?%s" width="900" height="700"></iframe>`, pageOf(p), r.URL.RawQuery)
	})
	b := browsertest.Start(t)
	page := openAddress(t, b, pageOf(p)+"?kiosk#range=15m", browsertest.Options{Width: 1920, Height: 1080})
	page.Wait(`document.querySelectorAll(".sensor[data-state=live]").length > 1 && document.querySelector(".motor .state").textContent === "off" && ` + coloured + `("temperature") > 100`)
	if controls := browsertest.Eval[[]string](page, `[...document.querySelectorAll("a, button, input, select, summary, [tabindex]")].filter((e) => e.tabIndex >= 0 && e.checkVisibility() && !e.closest("[inert]")).map((e) => e.outerHTML)`); len(controls) > 0 {
		t.Errorf("can be operated: %q", controls)
	}
	page.Keys(kb.Escape + kb.Escape)
	other := openPage(t, b, p, browsertest.Options{})
	other.Click("#stop-all")
	page.Wait(`document.querySelector("#latched p").textContent.startsWith("Emergency stop by ")`)
	if pressed := browsertest.Eval[bool](page, `"state" in document.querySelector("#stop-alert").dataset`); pressed {
		t.Error("two Escapes stopped all motors")
	}
	resetEStop(other)
	page.Wait(`document.querySelector("#latched").hidden`)

	strangers := httptest.NewServer(embeds)
	defer strangers.Close()
	for address, allowed := range map[string]bool{theirs.URL + "/?kiosk": true, theirs.URL + "/?": false, strangers.URL + "/?kiosk": false} {
		frame := b.Open(t, address, browsertest.Options{})
		seen := ""
		await(t, address+" has the gateway's page in its frame, or is refused it", func() bool {
			seen += strings.Join(frame.Failures(), "\n")
			return strings.Contains(seen, p.URL) || strings.Contains(seen, "frame-ancestors")
		})
		if strings.Contains(seen, "frame-ancestors") == allowed {
			t.Errorf("%s, embedded %t, want %t:\n%s", address, !allowed, allowed, seen)
		}
	}
}

// A page of another site embeds the view of a gateway that asks for a token, with a ticket in
// the address: the frame sees what a viewer may see, also after a lost connection and a reload.
func TestPageKioskInAForeignFrame(t *testing.T) {
	t.Parallel()
	long(t, againInABrowser)
	token, base := "", ""
	theirs := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprintf(w, `<!doctype html><iframe width="900" height="700"></iframe><script>
			fetch("%[1]s/api/v1/tickets", { method: "POST", headers: { Authorization: "Bearer %[2]s" } })
				.then((answer) => answer.json()).then(({ ticket }) => document.querySelector("iframe").src = "%[1]s/?kiosk&ticket=" + ticket);
			</script>`, base, token)
	}))
	defer theirs.Close()
	dir, state, address := t.TempDir(), t.TempDir(), freeAddress(t)
	trusted := makeCert(t, dir)
	config := writeFile(t, "gateway.yaml", fmt.Sprintf("%s\nhosts: [greenhouse.example]\ntls: {cert: %s/gateway.crt, key: %[2]s/gateway.key}\norigins: [%[3]q]\n", simulatedWithoutInterlocks(t), dir, theirs.URL))
	run := func() *gatewayProcess {
		return startGateway(t, buildGateway(t), "--simulate", "--config", config, "--listen", address, "--state", state)
	}
	p := run()
	_, port, _ := net.SplitHostPort(address)
	base = "https://greenhouse.example:" + port
	var boss string
	if err := tokens.Edit(state, func(f *tokens.File) (err error) {
		if token, err = f.Add(tokens.Token{Name: "scada", Role: tokens.Operator}); err == nil {
			boss, err = f.Add(tokens.Token{Name: "boss", Role: tokens.Admin})
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	l := route{base: base, transport: dialing(t, address, trusted)}
	awaitToken(t, l, boss)
	client := http.Client{Transport: l.transport}
	// sessions returns those of the frame that the gateway has now.
	sessions := func(kind string) (all []listedSession) {
		t.Helper()
		r, _ := http.NewRequest(http.MethodGet, base+"/api/v1/sessions", nil)
		r.Header.Set("Authorization", "Bearer "+boss)
		answer, err := client.Do(r)
		if err != nil {
			return nil // it starts again
		}
		defer answer.Body.Close()
		var list asked
		if err := json.NewDecoder(answer.Body).Decode(&list); err != nil {
			t.Fatal(err)
		}
		for _, s := range list.Sessions {
			if s.Name == "scada" && s.Kind == kind {
				all = append(all, s)
			}
		}
		return all
	}
	connected := func(what string) {
		t.Helper()
		await(t, what, func() bool {
			clients := sessions("client")
			return slices.ContainsFunc(clients, func(s listedSession) bool { return s.Path == "/" && s.Role == "viewer" && s.How == "cookie" })
		})
	}
	b := browsertest.Start(t)
	page := b.Open(t, theirs.URL+"/", browsertest.Options{Width: 1000, Height: 800})
	connected("the frame's connection")
	p.Kill(t)
	run()
	connected("the frame's connection, after a restart")
	page.Do(chromedp.Reload())
	connected("the frame's connection, after a reload")
	if logins := sessions("login"); len(logins) != 1 {
		t.Errorf("the frame has %d logins: %+v", len(logins), logins)
	}
	if err := tokens.Edit(state, func(f *tokens.File) error { return f.Revoke("scada") }); err != nil {
		t.Fatal(err)
	}
	await(t, "the frame's end", func() bool { return len(sessions("client")) == 0 })
}
