package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"sensorgateway/gateway/access/tokens"
	"sensorgateway/gateway/dashboard/browsertest"
)

// entryOf is the entry of an administrator's list that begins with a name.
func entryOf(list, name string) string {
	return fmt.Sprintf(`[...document.querySelectorAll("#%s .entry")].find((e) => e.querySelector("h4").textContent.startsWith(%q))`, list, name)
}

// press presses a button of such an entry, if it is there.
func press(list, name, words string) string {
	return fmt.Sprintf(`(() => {
		const button = [...%s?.querySelectorAll("button") ?? []].find((b) => b.textContent.startsWith(%q) && !b.disabled);
		button?.click();
		return !!button;
	})()`, entryOf(list, name), words)
}

// administer opens the administrator's view.
func administer(page *browsertest.Page) {
	page.Wait(`document.querySelector("#administer").checkVisibility()`)
	page.Click("#administer")
	page.Wait(`document.querySelector("#admin-fold").open && document.querySelectorAll("#tokens .entry").length > 0`)
}

// readQR returns what the picture of a QR code is of: its rows, drawn again from the
// page's pixels.
const readQR = `(() => {
	const svg = document.querySelector("#made-qr"), n = svg.viewBox.baseVal.width - 8, rows = Array.from({ length: n }, () => Array(n).fill("0"));
	for (const [, x, y] of svg.querySelector("path").getAttribute("d").matchAll(/M(\d+) (\d+)h1v1h-1z/g)) rows[y][x] = "1";
	return rows.map((row) => row.join(""));
})()`

// An administrator makes a token on the page, passes it on as a text or a link, sees who is
// connected, ends sessions, and revokes tokens; users who are cut off are told so. Nobody
// else is shown any of it. When a token expires is counted by the gateway's clock.
func TestPageAdmin(t *testing.T) {
	t.Parallel()
	long(t, againInABrowser)
	state := t.TempDir()
	p := startGateway(t, buildGateway(t), "--simulate", "--config", withoutInterlocks(t), "--listen", "127.0.0.1:0", "--state", state)
	root := addToken(t, state, p, tokens.Token{Name: "root", Role: tokens.Admin, By: "the test"})
	admin := logInPage(t, browsertest.Start(t), pageOf(p), root, browsertest.Options{Script: clockAhead(-30 * 24 * time.Hour)})
	administer(admin)
	admin.Wait(entryOf("tokens", "root") + `.textContent.includes("made by the test") && ` + entryOf("sessions", "root (this browser)"))

	admin.Click("#add-token")
	admin.Wait(`document.activeElement.id === "token-name"`)
	admin.Type("#token-name", "ayşe")
	admin.Do(chromedp.SetValue(chromedp.CSS("#token-role"), "operator"), chromedp.SetValue(chromedp.CSS("#token-days"), "7"))
	admin.Click(`#token-sensors input[value=indoor]`)
	admin.Click("#new-token > button")
	admin.Wait(`document.querySelector("#made").checkVisibility() && document.querySelector("#made-title").textContent === "The token of ayşe"`)
	text, link := browsertest.Eval[string](admin, `document.querySelector("#made-token").value`), browsertest.Eval[string](admin, `document.querySelector("#made-link").value`)
	if tokens.CheckText(text) != nil || !strings.HasPrefix(link, pageOf(p)+"login#") {
		t.Errorf("made %q and %q", text, link)
	}
	if rows := browsertest.Eval[[]string](admin, readQR); len(rows) < 21 || !strings.HasPrefix(rows[0], "1111111") || !strings.HasSuffix(rows[0], "1111111") || strings.HasPrefix(rows[len(rows)-7], "0") {
		t.Errorf("the QR code is no QR code: %q", rows)
	}
	checkAccess(t, admin, "a token was made")
	admin.Wait(entryOf("tokens", "ayşe") + `?.textContent.match(/operator.*indoor; all motors · expires .* · made by root, /s)`)
	admin.Click("#made-done")
	if left := browsertest.Eval[string](admin, `[...document.querySelectorAll("#made input")].map((input) => input.value).join("")`); left != "" {
		t.Errorf("hidden, and still there: %q", left)
	}

	// The link logs its user in, who is shown neither this view nor other sensors.
	operator := browsertest.Start(t).Open(t, link, browsertest.Options{})
	operator.Wait(`document.querySelector("button").textContent === "Log in as ayşe"`)
	operator.Click("button")
	operator.Wait(`document.querySelector("#status")`)
	operator.Wait(live + ` && ` + who + ` === "ayşe · operator" && document.querySelectorAll(".sensor").length === 1`)
	operator.Wait(`document.querySelector("#admin").hidden && document.querySelector("#administer").hidden`)
	admin.Wait(entryOf("tokens", "ayşe") + `.textContent.includes("1 browser logged in, 1 client connected")`)
	admin.Wait(entryOf("sessions", "ayşe") + `.textContent.includes("127.0.0.1")`)

	// The page asks for confirmation first, and withdraws that when the focus leaves.
	admin.Wait(press("tokens", "ayşe", "Revoke"))
	admin.Wait(entryOf("tokens", "ayşe") + `.querySelector(".sure")?.textContent.startsWith("Revoke now")`)
	admin.Wait(press("tokens", "ayşe", "Revoke now"))
	operator.Wait(ended)
	admin.Wait(`!` + entryOf("tokens", "ayşe"))
	admin.Wait(`document.querySelector("#records").textContent.includes("token of ayşe (operator) revoked")`)

	// A name that is taken is refused in words.
	admin.Click("#add-token")
	admin.Type("#token-name", "root\n")
	admin.Wait(`document.querySelector("#admin-error").textContent.includes("there is a token \"root\" already")`)
}

// An administrator ends the session of one browser, and of one connection; others go on.
func TestPageEndsSessions(t *testing.T) {
	t.Parallel()
	long(t, againInABrowser)
	state := t.TempDir()
	p := startGateway(t, buildGateway(t), "--simulate", "--config", withoutInterlocks(t), "--listen", "127.0.0.1:0", "--state", state)
	root := addToken(t, state, p, tokens.Token{Name: "root", Role: tokens.Admin})
	viewer := addToken(t, state, p, tokens.Token{Name: "display", Role: tokens.Viewer})
	admin := logInPage(t, browsertest.Start(t), pageOf(p), root, sights["phone-dark"])
	display := logInPage(t, browsertest.Start(t), pageOf(p), viewer, browsertest.Options{})
	script := dialWith(t, p.URL, viewer)
	script.read("hello", nil)
	administer(admin)
	admin.Click("#add-token")
	checkAccess(t, admin, "a token is being made")
	end := func(kind, words string) {
		t.Helper()
		name := fmt.Sprintf(`[...document.querySelectorAll("#sessions .entry")].find((e) => e.querySelector("h4").textContent === "display" && e.textContent.includes(%q))`, kind)
		button := name + `?.querySelector("button")`
		admin.Wait(button)
		browsertest.Eval[bool](admin, button+`.click(), true`)
		admin.Wait(button + `.textContent.startsWith("` + words + `")`)
		browsertest.Eval[bool](admin, button+`.click(), true`)
	}
	end("known by basic", "End it now")
	for {
		if _, _, err := script.ReadMessage(); err != nil {
			if !strings.Contains(err.Error(), "Session ended") {
				t.Errorf("the script's connection: %v", err)
			}
			break
		}
	}
	display.Wait(live)
	end("browser that logged in", "Log it out now")
	display.Wait(ended)
	admin.Wait(live)
	if got := tryToken(routeTo(p), viewer); got != 200 {
		t.Errorf("the token itself: %d", got)
	}
}
