package e2e

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"sensorgateway/gateway/access/tokens"
	"sensorgateway/gateway/dashboard/browsertest"
)

// addToken makes a token in a state directory, and waits until its gateway knows it.
func addToken(t *testing.T, state string, p *gatewayProcess, token tokens.Token) (text string) {
	t.Helper()
	if err := tokens.Edit(state, func(f *tokens.File) (err error) { text, err = f.Add(token); return err }); err != nil {
		t.Fatal(err)
	}
	awaitToken(t, routeTo(p), text)
	return text
}

// logInPage opens the page of a gateway that asks for a token, and logs in with one.
func logInPage(t *testing.T, b *browsertest.Browser, address, token string, o browsertest.Options) *browsertest.Page {
	t.Helper()
	page := b.Open(t, address, o)
	page.Wait(`document.querySelector("#token")`)
	page.Type("#token", token+"\n")
	page.Wait(`document.querySelector("#status")`)
	page.Wait(live)
	return page
}

// checkCookie checks the cookie of a login: scripts cannot read it, requests of other sites
// do not have it, and with TLS no other host can have set it.
func checkCookie(t *testing.T, page *browsertest.Page, secure bool) {
	t.Helper()
	cookies := page.Cookies()
	if len(cookies) != 1 {
		t.Fatalf("%d cookies", len(cookies))
	}
	c := cookies[0]
	if !c.HTTPOnly || c.SameSite != "Strict" || c.Path != "/" || c.Session || c.Secure != secure || strings.HasPrefix(c.Name, "__Host-gw-") != secure {
		t.Errorf("the cookie is %+v", c)
	}
	if got := browsertest.Eval[string](page, `document.cookie`); got != "" {
		t.Errorf("scripts read %q", got)
	}
}

const (
	who   = `document.querySelector("#who").textContent`
	ended = `document.querySelector("#trouble").textContent.startsWith("Your session has ended: ") && document.querySelector("#enter a").checkVisibility()`
)

// A user logs in with a token or a link, sees the name and the rights, and logs out. When
// the token is revoked or expires the page says so at once, and the user may log in again.
func TestPageAccount(t *testing.T) {
	t.Parallel()
	long(t, againInABrowser)
	state := t.TempDir()
	p := startGateway(t, buildGateway(t), "--simulate", "--config", withoutInterlocks(t), "--listen", "127.0.0.1:0", "--state", state)
	operator := addToken(t, state, p, tokens.Token{Name: "ahmet", Role: tokens.Operator})
	addToken(t, state, p, tokens.Token{Name: "display", Role: tokens.Viewer})

	b := browsertest.Start(t)
	page := logInPage(t, b, pageOf(p), operator, browsertest.Options{})
	page.Wait(who + ` === "ahmet · operator"`)
	checkCookie(t, page, false)
	page.Wait(`document.querySelector("#plain").hidden`) // nobody reads this machine's own connections
	page.Wait(`document.querySelector(".motor .start:enabled") && document.querySelector("#denied").textContent === ""`)

	var code string
	if err := tokens.Edit(state, func(f *tokens.File) (err error) { code, err = f.AddCode("display"); return err }); err != nil {
		t.Fatal(err)
	}
	viewer := browsertest.Start(t).Open(t, pageOf(p)+"login#"+code, sights["phone-light"])
	viewer.Wait(`document.querySelector("button").textContent === "Log in as display"`)
	if address := browsertest.Eval[string](viewer, `location.href`); strings.Contains(address, code) {
		t.Errorf("the code stays in the address: %s", address)
	}
	viewer.Click("button")
	viewer.Wait(`document.querySelector("#status")`)
	viewer.Wait(live + ` && ` + who + ` === "display · viewer"`)
	page.Click(".motor .start")
	mayNot(t, viewer)
	if err := tokens.Edit(state, func(f *tokens.File) error { return f.Revoke("display") }); err != nil {
		t.Fatal(err)
	}
	viewer.Wait(ended)
	viewer.Wait(`document.querySelector("#status-text").textContent === "not connected"`)
	viewer.Wait(`document.querySelectorAll("main button:enabled.start, main .motor input:enabled").length === 0`)
	viewer.Click("#retry") // "connecting" must not replace the message
	viewer.Wait(`document.querySelector("#trouble").textContent.includes("401 Unauthorized: ") && document.querySelector("#enter a").checkVisibility()`)

	second := openPage(t, b, p, browsertest.Options{}, "401 (Unauthorized)") // in the same browser: its next request is refused
	page.Click("#log-out")
	page.Wait(`document.querySelector("#token")`)
	second.Wait(ended)
	if cookies := page.Cookies(); len(cookies) > 0 {
		t.Errorf("after logging out, cookies are left: %d", len(cookies))
	}
	second.Click("#enter a")
	second.Wait(`document.querySelector("#token")`)
}

// mayNot checks that controls that a viewer may not use are disabled and say why, and that
// a viewer can stop motors.
func mayNot(t *testing.T, page *browsertest.Page) {
	t.Helper()
	page.Wait(`document.querySelector("#denied").textContent.includes("display is a viewer")`)
	page.Wait(`document.querySelectorAll(".motor .start:enabled, .motor input:enabled").length === 0 && document.querySelectorAll(".motor .stop:enabled").length === 1`)
	typeNick(page, "display")
	page.Wait(`!document.querySelector("#say").hidden`)
	page.Wait(`document.querySelector("#text").disabled && document.querySelector("#say button").disabled && document.querySelector("#room-silent").checkVisibility()`)
	page.Wait(card + `.dataset.running === "true"`)
	page.Click(".motor .stop")
	page.Wait(`document.querySelector(".motor .why").textContent === "stopped by display"`)
	stops(page)
	page.Wait(`document.querySelector("#latched p").textContent.startsWith("Emergency stop by display, ")`)
	checkAccess(t, page, "a viewer")
	page.Wait(`document.querySelector("#reset:disabled").checkVisibility() && document.querySelector("#latched .denied").checkVisibility()`)
}

// Over a connection that is not encrypted, from elsewhere, a bar says so for as long as
// the page is open; with TLS there is none, and the cookie is bound to the host.
func TestPageSaysWhoCanRead(t *testing.T) {
	t.Parallel()
	long(t, againInABrowser)
	dir := t.TempDir()
	makeCert(t, dir)
	for name, tt := range map[string]struct {
		config string
		secure bool
	}{
		"plain": {"hosts: [greenhouse.example]\n", false},
		"TLS":   {fmt.Sprintf("hosts: [greenhouse.example]\ntls: {cert: %q, key: %q}\n", filepath.Join(dir, "gateway.crt"), filepath.Join(dir, "gateway.key")), true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			state := t.TempDir()
			// Every network of a machine that has none but loopback is loopback.
			p := startGateway(t, buildGateway(t), "--simulate", "--config", writeFile(t, "gateway.yaml", string(simulatedWithoutInterlocks(t))+tt.config), "--listen", "127.0.0.1:0", "--state", state)
			var token string
			if err := tokens.Edit(state, func(f *tokens.File) (err error) {
				token, err = f.Add(tokens.Token{Name: "ahmet", Role: tokens.Operator})
				return err
			}); err != nil {
				t.Fatal(err)
			}
			address := strings.Replace(pageOf(p), "127.0.0.1", "greenhouse.example", 1)
			page := browsertest.Start(t).Open(t, address, sights["phone-light"])
			page.Wait(`document.querySelector("#token, #status")`)
			page.Navigate(address + "login") // also while the gateway does not know the token yet
			page.Wait(`document.querySelector("#plain").hidden === ` + fmt.Sprint(tt.secure))
			await(t, "the token is good", func() bool {
				browsertest.Eval[bool](page, `(document.querySelector("#token").value = "", true)`)
				page.Type("#token", token+"\n")
				page.Wait(`document.querySelector("#status") || document.querySelector("#error").textContent`)
				return browsertest.Eval[bool](page, `!!document.querySelector("#status")`)
			})
			page.Wait(live)
			checkCookie(t, page, tt.secure)
			page.Wait(`document.querySelector("#plain").checkVisibility() === ` + fmt.Sprint(!tt.secure))
			browsertest.Eval[bool](page, `(scrollTo(0, document.documentElement.scrollHeight), true)`)
			if !tt.secure {
				page.Wait(inSight + `("#plain")`)
			}
		})
	}
}

// The page offers to log in where a token would give more rights, and says so when the
// gateway begins to ask for one.
func TestPageAnonymous(t *testing.T) {
	t.Parallel()
	long(t, againInABrowser)
	state := t.TempDir()
	args := []string{buildGateway(t), "--simulate", "--listen", freeAddress(t), "--state", state, "--config"}
	p := startGateway(t, append(args, withoutInterlocks(t))...)
	b := browsertest.Start(t)
	page := openPage(t, b, p, browsertest.Options{}, refused, "401 (Unauthorized)")
	page.Wait(`document.querySelector(".motor .start:enabled")`)
	page.Wait(`document.querySelector("#account").hidden`) // a token would give nothing more
	operator := addToken(t, state, p, tokens.Token{Name: "ahmet", Role: tokens.Operator})
	page.Wait(`document.querySelector("#trouble").textContent.startsWith("This gateway asks for a token now.") && document.querySelector("#enter a").checkVisibility()`)
	p.Kill(t)

	startGateway(t, append(args, writeFile(t, "gateway.yaml", string(simulatedWithoutInterlocks(t))+"access: open\n"))...)
	page.Do(chromedp.Reload())
	page.Wait(live + ` && ` + who + ` === "not logged in" && document.querySelector("#log-in").checkVisibility() && document.querySelector("#log-out").hidden`)
	page.Wait(`document.querySelector("#denied").textContent.includes("commands need the token of an operator") && !document.querySelector(".motor .start:enabled")`)
	page.Click("#log-in")
	page.Wait(`document.querySelector("#token")`)
	page.Type("#token", operator+"\n")
	page.Wait(`document.querySelector("#status")`)
	page.Wait(live + ` && ` + who + ` === "ahmet · operator" && document.querySelector(".motor .start:enabled")`)
	page.Click("#log-out")
	page.Wait(live + ` && ` + who + ` === "not logged in"`)
}

// A link to a view that is opened before the login leads to that view after it.
func TestPageLogInKeepsTheView(t *testing.T) {
	t.Parallel()
	long(t, againInABrowser)
	browsertest.Each(t, func(t *testing.T, b *browsertest.Browser) {
		state := t.TempDir()
		p := startGateway(t, buildGateway(t), "--simulate", "--listen", "127.0.0.1:0", "--state", state)
		token := addToken(t, state, p, tokens.Token{Name: "ahmet", Role: tokens.Viewer})
		const view = "?x=1#range=24h&sensors=outdoor"
		// Messages come late: the page must not change the address while it knows no sensors yet.
		page := logInPage(t, b, pageOf(p)+view, token, browsertest.Options{Script: `
		globalThis.WebSocket = class extends WebSocket {
			set onmessage(receive) { super.onmessage = receive && ((event) => setTimeout(receive, 1000, event)); }
		};`})
		page.Wait(`document.querySelector("#ranges [aria-pressed=true]").dataset.range === "86400000" && document.querySelectorAll("#legend [aria-pressed=true]").length === 1`)
		if address := browsertest.Eval[string](page, `location.href`); address != pageOf(p)+view {
			t.Errorf("it leads to %s", address)
		}
		if strings.Contains(p.Output(), "the link is not good") {
			t.Error("what the address says was taken for a code")
		}
	})
}
