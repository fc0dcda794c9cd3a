package e2e

import (
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/chromedp/chromedp/kb"

	"sensorgateway/gateway/dashboard/browsertest"
)

// The functions on which operators depend, in each of the browsers.

// The page comes alive; a motor is started and stopped by a click; Escape twice is the
// emergency stop, which another page shows and resets.
func TestPageMotorInBrowsers(t *testing.T) {
	t.Parallel()
	browsertest.Each(t, func(t *testing.T, b *browsertest.Browser) {
		p := startGateway(t, buildGateway(t), "--simulate", "--config", withoutInterlocks(t), "--listen", "127.0.0.1:0")
		page, other := openPage(t, b, p, browsertest.Options{}), openPage(t, b, p, browsertest.Options{})
		page.Wait(`document.querySelectorAll(".sensor[data-state=live]").length === 3`)
		page.Wait(coloured + `("temperature") > 100 && ` + coloured + `("humidity") > 100`)

		const running, stopped = card + `.dataset.running === "true"`, card + `.dataset.running === "false"`
		page.Wait(card + `.querySelector(".start:enabled")`)
		page.Click(".motor .start")
		page.Wait(running + ` && ` + card + `.textContent.includes("held by this page")`)
		other.Wait(running)
		page.Click(".motor .stop")
		page.Wait(stopped + ` && ` + card + `.querySelector(".why").textContent.startsWith("stopped by ")`)

		page.Wait(card + `.querySelector(".start:enabled")`)
		page.Click(".motor .start")
		page.Wait(running)
		page.Focus("#export")
		page.Keys(kb.Escape + kb.Escape)
		page.Wait(`document.querySelector("#stop-alert").dataset.state === "done" && ` + stopped)
		other.Wait(`/^Emergency stop by \S+, /.test(document.querySelector("#latched p").textContent)`)
		other.Wait(inSight + `("#latched p") && !document.querySelector(".motor .start:enabled")`)
		resetEStop(other)
		page.Wait(`document.querySelector("#latched").hidden`)
	})
}

// widestGap returns the largest distance, in pixels, between two neighbouring columns of a
// chart's canvas that have any colour of their own.
const widestGap = `((id) => {
	const canvas = document.querySelector("#" + id + " canvas"), { width, height } = canvas;
	const copy = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
	copy.drawImage(canvas, 0, 0);
	const { data } = copy.getImageData(0, 0, width, height);
	let last, widest = 0;
	for (let x = 0; x < width; x++) {
		for (let y = 0; y < height; y++) {
			const [r, g, b, a] = data.subarray(4 * (y * width + x), 4 * (y * width + x) + 4);
			if (a > 100 && Math.max(r, g, b) - Math.min(r, g, b) > 60) {
				widest = Math.max(widest, x - (last ?? x));
				last = x;
				break;
			}
		}
	}
	return widest;
})`

// An outage while the page is open is a gap of its length in the charts, not a line. It
// lasts 15 s with GATEWAY_TEST_LONG, otherwise less.
func TestPageOutageIsAGap(t *testing.T) {
	t.Parallel()
	long(t, againInABrowser)
	browsertest.Each(t, func(t *testing.T, b *browsertest.Browser) {
		args := []string{buildGateway(t), "--simulate", "--config", withoutInterlocks(t), "--listen", freeAddress(t), "--state", t.TempDir()}
		p := startGateway(t, args...)
		page := openPage(t, b, p, browsertest.Options{}, "ERR_CONNECTION_REFUSED", "establish a connection", "was interrupted", "NetworkError")
		page.Wait(received + ` > 60 && ` + coloured + `("temperature") > 100`)
		p.Kill(t)
		page.Wait(`document.querySelector("#status").dataset.phase === "waiting"`)
		outage := 5 // seconds, enough pixels in the chart
		if os.Getenv("GATEWAY_TEST_LONG") != "" {
			outage = 15
		}
		page.Wait(fmt.Sprintf(`performance.now() - (globalThis.cut ??= performance.now()) > %d`, 1000*outage))
		startGateway(t, args...)
		before := browsertest.Eval[int](page, received)
		page.Wait(tryNow + ` && ` + live)
		page.Wait(fmt.Sprintf(`%s > %d`, received, before+60))
		gap := fmt.Sprintf(`("%%s") > %d * document.querySelector("#temperature .u-over").clientWidth / 60`, outage)
		for _, chart := range []string{"temperature", "humidity"} {
			page.Wait(widestGap + fmt.Sprintf(gap, chart))
		}
	})
}

// span returns how many ms the charts show, from the page's address.
const span = `(Date.parse(new URLSearchParams(location.hash.slice(1)).get("to")) - Date.parse(new URLSearchParams(location.hash.slice(1)).get("from")))`

// A drag across a chart zooms into it, and so does the wheel; the address that results
// opens the same view, also where the browser's clock is behind.
func TestPageZoomAndLink(t *testing.T) {
	t.Parallel()
	long(t, againInABrowser)
	browsertest.Each(t, func(t *testing.T, b *browsertest.Browser) {
		p := startGateway(t, buildGateway(t), "--simulate", "--listen", "127.0.0.1:0")
		var page *browsertest.Page
		for _, end := range []float64{1.3, 0.5} { // the mouse is released below the chart, and in it
			page = openPage(t, b, p, browsertest.Options{})
			page.Wait(coloured + `("temperature") > 100`)
			page.Drag("#temperature .u-over", 0.25, 0.75, end)
			page.Wait(`!document.querySelector("#live").hidden && Math.abs(` + span + ` - 30_000) < 500`)
		}
		page.Focus("#charts")
		page.Wheel("#temperature .u-over", -200)
		page.Wait(span + ` < 25_000`)
		const begin = `Date.parse(new URLSearchParams(location.hash.slice(1)).get("from"))`
		zoomed := browsertest.Eval[[2]float64](page, `[`+begin+`, `+span+`]`)
		page.ShiftWheel("#temperature .u-over", -100) // moves, and does not zoom
		page.Wait(fmt.Sprintf(`%s < %.0f && Math.abs(%s - %.0f) <= 1`, begin, zoomed[0]-500, span, zoomed[1]))
		page.Click("#legend .trace:nth-child(2)")
		page.Wait(`location.hash.includes("&sensors=indoor,greenhouse")`)
		shared := browsertest.Eval[string](page, `location.href`)
		other := openAddress(t, b, shared, browsertest.Options{Script: clockAhead(-time.Hour)})
		const view = `[document.querySelector("#cursor-time").textContent, ...[...document.querySelectorAll("#legend .trace")].map((e) => e.ariaPressed)].join()`
		other.Wait(`document.querySelectorAll("#legend .trace").length === 3 && / to /.test(document.querySelector("#cursor-time").textContent)`)
		page.Wait(`/ to /.test(document.querySelector("#cursor-time").textContent)`)
		if first, second := browsertest.Eval[string](page, view), browsertest.Eval[string](other, view); first != second {
			t.Errorf("the link opens %s, not %s", second, first)
		}
		other.Wait(fmt.Sprintf("location.href === %q", shared)) // and stays what it is
		other.Click("#all")
		other.Wait(`document.querySelector("#all").ariaPressed === "true" && document.querySelector("#live").hidden && !location.hash.includes("from=")`)
	})
}

// On a telephone, two fingers zoom the time and one finger moves it.
func TestPageTouch(t *testing.T) {
	t.Parallel()
	long(t, againInABrowser)
	p := startGateway(t, buildGateway(t), "--simulate", "--listen", "127.0.0.1:0")
	page := openPage(t, browsertest.Start(t), p, sights["phone-light"])
	page.Wait(coloured + `("temperature") > 100`)
	const over = "#temperature .u-over"
	page.Touch(over, [2]float64{0.4, 0.2}, [2]float64{0.6, 0.8}) // three times as far apart
	page.Wait(`!document.querySelector("#live").hidden && Math.abs(` + span + ` - 20_000) < 2000`)
	before := browsertest.Eval[string](page, `location.hash`)
	page.Touch(over, [2]float64{0.3, 0.8})
	page.Wait(fmt.Sprintf(`location.hash !== %q && Math.abs(%s - 20_000) < 2000 && new URLSearchParams(location.hash.slice(1)).get("from") < new URLSearchParams(%q).get("from")`, before, span, before[1:]))
	page.Click("#live")
	page.Wait(`document.querySelector("#live").hidden`)
}
