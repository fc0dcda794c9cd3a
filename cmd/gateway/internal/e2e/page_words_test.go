package e2e

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"sensorgateway/gateway/dashboard/browsertest"
)

// A browser that prefers Turkish gets the page in Turkish: its texts, those for screen
// readers, and the rules for capitals.
func TestPageInTurkish(t *testing.T) {
	t.Parallel()
	long(t, againInABrowser)
	browsertest.Each(t, checkTurkish)
}

func checkTurkish(t *testing.T, b *browsertest.Browser) {
	p := startGateway(t, buildGateway(t), "--simulate", "--listen", "127.0.0.1:0")
	page := b.Open(t, pageOf(p), browsertest.Options{Language: "tr-TR,tr,en"})
	page.Wait(`document.querySelector("#status").dataset.phase === "live"`)
	for selector, want := range map[string]string{"#motors-title": "Motorlar", "#stop-text": "Tümünü durdur", ".motor .start": "Başlat", ".motor .state": "kapalı", "#charts-title": "Geçmiş"} {
		if got := page.Text(selector); got != want {
			t.Errorf("%s is %q, want %q", selector, got, want)
		}
	}
	if got := page.Text("#status-text"); !strings.HasPrefix(got, "canlı · ") {
		t.Errorf("the state of the connection is %q", got)
	}
	if got := browsertest.Eval[string](page, `document.documentElement.lang + document.querySelector(".motor .start").ariaLabel`); got != "trBaşlat: "+page.Text(".motor h3") {
		t.Errorf("language and name of a button: %q", got)
	}
	typeNick(page, "zeynep")
	page.Wait(`document.querySelector("#log").textContent.includes("Adınız zeynep, burada yalnızsınız")`)
	page.Click("#stop-all")
	page.Wait(`document.querySelector("#latched p").textContent.startsWith("Acil durdurma (")`)
	page.Wait(`document.querySelector(".motor .why").textContent.startsWith("durdu: acil durdurma")`)
	for languages, want := range map[string]string{"de,en": "en", "de-DE,tr": "tr", "en-GB,tr": "en"} {
		other := b.Open(t, pageOf(p), browsertest.Options{Language: languages})
		other.Wait(`document.querySelector("#status").dataset.phase === "live"`)
		if got := browsertest.Eval[string](other, `document.documentElement.lang`); got != want {
			t.Errorf("%s: the page is in %q, want %q", languages, got, want)
		}
		if fetched := browsertest.Eval[bool](other, `performance.getEntriesByType("resource").some(({ name }) => name.endsWith("/tr.js"))`); fetched != (want == "tr") {
			t.Errorf("%s: Turkish was fetched: %t", languages, fetched)
		}
	}
	if failures := page.Failures(); failures != nil {
		t.Errorf("%q", failures)
	}
}

// The page to log in, which has its own texts, is in Turkish too: each text is translated, and used.
func TestPageLogInInTurkish(t *testing.T) {
	t.Parallel()
	long(t, againInABrowser)
	b := browsertest.Start(t)
	p := startGateway(t, buildGateway(t), "--simulate", "--listen", "127.0.0.1:0")
	page := b.Open(t, pageOf(p)+"login", browsertest.Options{Language: "tr"})
	page.Wait(`document.documentElement.lang === "tr"`)
	shown := browsertest.Eval[[]string](page, `[document.title, ...[...document.body.querySelectorAll("*")].filter((e) => !e.closest("script, noscript") && !e.children.length).map((e) => e.textContent.trim())].filter(Boolean)`)
	known := browsertest.Eval[map[string]string](page, `turkish`)
	for english, words := range known {
		if !slices.Contains(shown, words) && !strings.Contains(english, "{") {
			t.Errorf("%q is nowhere: %q", words, shown)
		}
	}
	for _, text := range shown {
		if !slices.Contains(slices.Collect(maps.Values(known)), text) {
			t.Errorf("%q is not Turkish", text)
		}
	}
	english := b.Open(t, pageOf(p)+"login", browsertest.Options{Language: "en-US,tr"})
	english.Wait(`document.querySelector("button").textContent === "Log in"`)
	if failures := append(page.Failures(), english.Failures()...); failures != nil {
		t.Errorf("%q", failures)
	}
}

// When °F is chosen, cards, charts and table have it, on the next visit too. Dew point and absolute humidity are shown if they are switched on.
func TestPageUnits(t *testing.T) {
	t.Parallel()
	long(t, againInABrowser)
	b := browsertest.Start(t)
	p := startGateway(t, buildGateway(t), "--simulate", "--listen", "127.0.0.1:0")
	units := func(page *browsertest.Page, unit string) {
		t.Helper()
		page.Wait(fmt.Sprintf(`document.querySelectorAll(".sensor[data-state=live]").length > 1 && [".sensor .unit", ".chart p span"].every((s) => document.querySelector(s)?.textContent === %q)`, unit))
		if failures := page.Failures(); failures != nil {
			t.Errorf("%q", failures)
		}
	}
	page := b.Open(t, pageOf(p), browsertest.Options{Language: "en-US"})
	units(page, "°C")
	page.Click("#fahrenheit")
	units(page, "°F")
	page.Wait(`(([, f, c]) => Math.abs(f - c) > 20)([0, document.querySelector(".sensor .value").textContent, ` + fmt.Sprint(indoorTemperature(t, p)) + `])`)
	page.Click("#as-table")
	page.Wait(`document.querySelector("#table td")?.textContent === "Temperature, °F"`)
	page.Click("#derived")
	page.Wait(`document.querySelectorAll(".chart").length === 4 && /^Dew point -?\d+\.\d °F · Absolute humidity \d+\.\d g\/m³$/.test(document.querySelector(".derived").textContent)`)
	page.Wait(`[...document.querySelectorAll("#table tr")].some((row) => /^\S+Absolute humidity, g\/m³\d+\.\d/.test(row.textContent))`)
	page.Do(chromedp.Reload())
	units(page, "°F")
	page.Wait(`document.querySelectorAll(".chart").length === 4`)
	forbidden := b.Open(t, pageOf(p), browsertest.Options{Language: "en-US", Script: `Object.defineProperty(window, "localStorage", { get() { throw new DOMException("denied", "SecurityError"); } });`})
	units(forbidden, "°C")
	forbidden.Click("#fahrenheit")
	units(forbidden, "°F")
}

// The machine's numbers are sent while the panel is open, and nothing for it while it is folded.
func TestPageMachine(t *testing.T) {
	t.Parallel()
	long(t, againInABrowser)
	p := startGateway(t, buildGateway(t), "--simulate", "--listen", "127.0.0.1:0")
	page := browsertest.Start(t).Open(t, pageOf(p), browsertest.Options{Script: `
		globalThis.machines = [];
		globalThis.WebSocket = class extends WebSocket { constructor(url, protocols) { super(url, protocols); if (new URL(url).pathname === "/metrics") machines.push(this); } };`})
	page.Wait(live)
	if n := browsertest.Eval[int](page, `machines.length`); n != 0 {
		t.Errorf("%d connections for what is folded", n)
	}
	page.Click("#machine-fold summary")
	row := func(of string) string {
		return `document.querySelector("#machine-fold [data-of=` + of + `]").textContent`
	}
	page.Wait(`/^\d[\d.]* [kMG]B of \d[\d.]* [MGT]B used$/.test(` + row("memory") + `) && /^\d+ %$/.test(` + row("cpu") + `) && / received, /.test(` + row("network") + `)`)
	page.Wait(`/^(-?\d+\.\d\d °C|this machine has no thermometer)$/.test(` + row("temperature") + `)`)
	page.Click("#machine-fold summary")
	page.Wait(`machines.length === 1 && machines[0].readyState === WebSocket.CLOSED`)
	if failures := page.Failures(); failures != nil {
		t.Errorf("%q", failures)
	}
}
