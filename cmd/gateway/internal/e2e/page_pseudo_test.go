package e2e

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"testing"

	"sensorgateway/gateway/access/tokens"
	"sensorgateway/gateway/dashboard/browsertest"
)

// pseudoLanguage is a language file made of the English one: each text is longer by two
// fifths, as in a language with long words, and between marks, so that texts that are in no
// language file can be found.
const pseudoLanguage = `
import { words as english } from "./en.js";
const longer = (text) => /\p{L}{2}/u.test(text) ? "⟦" + text + " " + "ı".repeat(Math.ceil(text.length * 0.4)) + "⟧" : text;
const of = (value) => typeof value === "string" ? longer(value) : typeof value === "function" ? (...args) => of(value(...args)) :
	value && typeof value === "object" ? Object.fromEntries(Object.entries(value).map(([key, each]) => [key, of(each)])) : value;
const { units, ...rest } = english; // which are symbols
export const words = { ...of(rest), units };
export const page = new Proxy({}, {
	get: (_, text) => longer(text),
	getOwnPropertyDescriptor: (_, text) => ({ value: longer(text), configurable: true, enumerable: true }),
});`

// unmarked returns the visible words that are not between marks and are no names, units, or
// texts of the gateway or of users.
const unmarked = `(() => {
	const said = "#name, .sensor h3, .motor h3, .model, .unit, .foot a, #who, #log, #room-last, #version, .condition, .names .name, .trace, #tokens, #sessions, #records, #alarms h3, #alarms-recent, #made, td:first-child, th[scope=row], #stop-hint, fieldset div label, .speed output";
	const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT), found = [];
	for (let node; (node = texts.nextNode()); ) {
		const element = node.parentElement;
		if (!element.checkVisibility({ visibilityProperty: true }) || element.closest(said + ", script, noscript, template, .u-legend")) continue;
		let text = node.nodeValue;
		for (let before; before !== text; ) [before, text] = [text, text.replace(/⟦[^⟦⟧]*⟧/g, "")];
		if (element.closest("#alarms .soft")) text = text.replace(/^[^;]*;/, ""); // the gateway's reason
		text = text.replace(/\S+\.(temperature|humidity|age|pressure)[^;,]*/g, "").replace(/indoor|motor_\d+|\d+ \w+|CO₂|CSV/g, "");
		if (/\p{L}{2}/u.test(text)) found.push((element.id || element.className || element.localName) + ": " + node.nodeValue);
	}
	return found;
})()`

// misplaced returns texts that do not fit into their place, controls that overlap or lie
// outside the page, and a page that is wider than the screen.
const misplaced = `(() => {
	const shown = (e) => e.checkVisibility({ visibilityProperty: true }) && !e.closest(".unseen, .uplot");
	const say = (e) => (e.id || e.className || e.localName) + " " + JSON.stringify(e.textContent.trim().slice(0, 60));
	const found = [];
	if (document.documentElement.scrollWidth > innerWidth) found.push("the page is " + document.documentElement.scrollWidth + " wide");
	for (const e of document.querySelectorAll("body *")) {
		const { overflowX, display } = getComputedStyle(e);
		if (!shown(e) || display === "inline" || e.clientWidth <= 1 || e.scrollWidth <= e.clientWidth + 1) continue;
		if (overflowX === "visible" || e.matches("button, a, label, select")) found.push("does not fit: " + say(e));
	}
	const controls = [...document.querySelectorAll("button, a[href], input, select, summary")].filter(shown);
	const boxes = controls.map((e) => e.getBoundingClientRect());
	controls.forEach((e, i) => {
		const a = boxes[i], above = !!e.closest("header");
		if (a.left < -1 || a.right > innerWidth + 1) if (!e.closest("#table")) found.push("beside the page: " + say(e));
		for (let j = 0; j < i; j++) {
			const b = boxes[j];
			if (above !== !!controls[j].closest("header") || e.contains(controls[j]) || controls[j].contains(e)) continue;
			if (e.closest("ul, ol") !== controls[j].closest("ul, ol")) continue; // lists scroll by themselves
			if (Math.min(a.right, b.right) - Math.max(a.left, b.left) > 1 && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 1) found.push(say(e) + " covers " + say(controls[j]));
		}
	});
	return found;
})()`

// The texts of a language with long words fit everywhere, and every text is in the language
// files: in both sizes, with everything unfolded, and after an e-stop.
func TestPageInALongLanguage(t *testing.T) {
	t.Parallel()
	long(t, againInABrowser)
	state, config := t.TempDir(), mustRead(t, manyConfig(t, 16, 5))
	config += "alarms:\n  - {name: always, condition: indoor.temperature > -40, severity: critical}\n"
	p := startGateway(t, buildGateway(t), "--simulate", "--config", writeFile(t, "gateway.yaml", config), "--listen", "127.0.0.1:0", "--state", state)
	root := addToken(t, state, p, tokens.Token{Name: "root", Role: tokens.Admin, By: "pi"})
	target, err := url.Parse(pageOf(p))
	if err != nil {
		t.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target); r.Out.Host = r.In.Host }}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/tr.js" {
			proxy.ServeHTTP(w, r)
			return
		}
		w.Header().Set("Content-Type", "text/javascript")
		fmt.Fprint(w, pseudoLanguage)
	}))
	defer server.Close()
	for name, options := range sights {
		if options.Dark {
			continue // no other places than in light
		}
		options.Language = "tr"
		page := logInPage(t, browsertest.Start(t), server.URL+"/", root, options)
		check := func(when string) {
			t.Helper()
			// A chart that is being redrawn may be between two sizes.
			page.Wait(`new Promise((then) => requestAnimationFrame(() => setTimeout(then, 0, true)))`)
			for _, wrong := range append(browsertest.Eval[[]string](page, unmarked), browsertest.Eval[[]string](page, misplaced)...) {
				t.Errorf("%s, %s: %s", name, when, wrong)
			}
		}
		page.Wait(`document.querySelectorAll(".sensor[data-state=live]").length > 10 && document.querySelector("#temperature canvas")`)
		page.Wait(`!document.querySelector("#alarm-chip").hidden`)
		check("live")
		administer(page)
		typeNick(page, name)
		page.Wait(`!document.querySelector("#say").hidden`)
		browsertest.Eval[bool](page, `(document.querySelectorAll("details").forEach((e) => (e.open = true)), ["#as-table", "#derived", "#fahrenheit", "#add-token"].forEach((s) => document.querySelector(s).click()), true)`)
		page.Wait(`document.querySelectorAll("#table tbody tr").length > 3`)
		check("unfolded")
		page.Click("#stop-all")
		page.Wait(`document.querySelector("#stop-alert").dataset.state === "done" && !document.querySelector("#latched").hidden`)
		page.Click("#reset")
		page.Wait(`document.querySelector("#latched .yes").checkVisibility()`)
		check("stopped")
		page.Click("#latched .yes")
		page.Wait(`document.querySelector("#latched").hidden`)
		page.Close()
	}
}
