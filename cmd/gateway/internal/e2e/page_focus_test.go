package e2e

import (
	"testing"

	"sensorgateway/gateway/dashboard/browsertest"
)

// hiddenFocus describes the element that has the focus, if it is wholly covered.
const hiddenFocus = `(() => {
	const e = document.activeElement, { left, right, top, bottom } = e.getBoundingClientRect();
	if (e === document.body) return "";
	const x = (Math.max(left, 0) + Math.min(right, innerWidth)) / 2, first = Math.max(top, 0) + 2, last = Math.min(bottom, innerHeight) - 2;
	const seen = [first, (first + last) / 2, last].some((y) => e.contains(document.elementFromPoint(x, y)));
	return seen ? "" : (e.ariaLabel ?? e.id) + " " + e.textContent.trim().slice(0, 30);
})()`

// The element with the focus can be seen, however far down it is and whatever stays on top.
func TestPageFocusInSight(t *testing.T) {
	t.Parallel()
	long(t, "it moves the focus through two long pages")
	b := browsertest.Start(t)
	p := startGateway(t, buildGateway(t), "--simulate", "--config", manyConfig(t, 16, 5), "--listen", "127.0.0.1:0")
	for _, name := range []string{"desktop-light", "phone-light"} {
		page := openPage(t, b, p, sights[name])
		page.Wait(`document.querySelectorAll(".motor .start:enabled").length === 5`)
		for range browsertest.Eval[int](page, `document.querySelectorAll("a, button, input, summary, [tabindex='0']").length`) {
			page.Keys("\t")
			if covered := browsertest.Eval[string](page, hiddenFocus); covered != "" {
				t.Errorf("%s: %s has the focus and is covered", name, covered)
			}
		}
		// Going upwards, the header could cover it.
		wrong := browsertest.Eval[[]string](page, `[...document.querySelectorAll("a, button, input, summary, [tabindex='0']")].reverse().flatMap((element) => {
			element.focus();
			return [`+hiddenFocus+`].filter(Boolean);
		})`)
		for _, covered := range wrong {
			t.Errorf("%s: backwards, %s has the focus and is covered", name, covered)
		}
	}
}
