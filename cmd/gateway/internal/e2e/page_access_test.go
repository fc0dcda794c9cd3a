package e2e

import (
	"testing"

	"sensorgateway/gateway/dashboard/browsertest"
)

// sights are the ways in which people see the page.
var sights = map[string]browsertest.Options{
	"desktop-light": {Width: 1440, Height: 900},
	"desktop-dark":  {Width: 1440, Height: 900, Dark: true},
	"phone-light":   {Width: 390, Height: 844, Phone: true},
	"phone-dark":    {Width: 390, Height: 844, Phone: true, Dark: true},
}

// stopAt is how far down the page the first motor's Stop is.
const stopAt = `document.querySelector(".motor .stop").getBoundingClientRect().top + scrollY`

// checkAccess computes whether the page, in its present state, is accessible to everybody.
func checkAccess(t *testing.T, page *browsertest.Page, when string) {
	t.Helper()
	for _, wrong := range browsertest.Eval[[]string](page, mustRead(t, "testdata/page/access.js")) {
		t.Errorf("%s: %s", when, wrong)
	}
	for _, wrong := range page.Nameless() {
		t.Errorf("%s: %s", when, wrong)
	}
}

// The page is usable with a keyboard, a screen reader, a phone, and in bright light,
// as far as that can be computed.
func TestPageForEverybody(t *testing.T) {
	t.Parallel()
	long(t, againInABrowser)
	b := browsertest.Start(t)
	p := startGateway(t, buildGateway(t), "--simulate=flaky", "--listen", "127.0.0.1:0")
	for name, options := range sights {
		t.Run(name, func(t *testing.T) {
			page := openPage(t, b, p, options)
			check := func(when string) { t.Helper(); checkAccess(t, page, when) }
			page.Wait(`document.querySelector(".sensor[data-state=live]")`)
			check("live")
			page.Wait(`document.querySelector(".sensor[data-state=failed]")`)
			check("with a failure")
			// A button that moves when a sensor fails would be missed by a finger.
			first := browsertest.Eval[float64](page, stopAt)
			page.Wait(`document.querySelectorAll(".sensor[data-state=failed]").length === 0`)
			if then := browsertest.Eval[float64](page, stopAt); then != first {
				t.Errorf("Stop moved by %g pixels when the sensors came back", then-first)
			}
			page.Click("#stop-all")
			page.Wait(`document.querySelector("#stop-alert").dataset.state === "done" && !document.querySelector("#latched").hidden`)
			typeNick(page, name)
			page.Wait(`!document.querySelector("#say").hidden`)
			check("stopped, in the room")
			resetEStop(page)
		})
	}
}

// Every control can be reached by the Tab key, and shows that it has the focus.
func TestPageByKeyboard(t *testing.T) {
	t.Parallel()
	long(t, againInABrowser)
	b := browsertest.Start(t)
	p := startGateway(t, buildGateway(t), "--simulate", "--listen", "127.0.0.1:0")
	page := openPage(t, b, p, browsertest.Options{})
	page.Wait(`document.querySelector(".motor .start:enabled")`)
	controls := browsertest.Eval[int](page, `(globalThis.reached = new Set(),
		[...document.querySelectorAll("a, button:enabled, input, [tabindex='0']")].filter((e) => e.checkVisibility()).length)`)
	for range controls + 2 {
		page.Keys("\t")
		page.Wait(`(() => {
			const e = document.activeElement, { outlineStyle, outlineWidth } = getComputedStyle(e);
			if (e === document.body) return true;
			reached.add(e);
			return outlineStyle !== "none" && parseFloat(outlineWidth) >= 2;
		})()`)
	}
	if reached := browsertest.Eval[int](page, "reached.size"); reached < controls {
		t.Errorf("%d of %d controls were reached", reached, controls)
	}
}
