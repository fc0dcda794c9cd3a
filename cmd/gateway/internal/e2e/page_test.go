package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/chromedp/kb"

	"sensorgateway/gateway/dashboard/browsertest"
)

// pageOf is the address of a gateway's page.
func pageOf(p *gatewayProcess) string { return strings.Replace(p.URL, "ws", "http", 1) }

const (
	live     = `document.querySelector("#status").dataset.phase === "live"`
	received = `Number(/([\d,]+) received/.exec(document.querySelector("#totals").textContent)[1].replaceAll(",", ""))`
	card     = `document.querySelector(".motor")`
)

// againInABrowser is the reason why most tests of the page run only with the long ones.
const againInABrowser = "it opens the page in a browser, as TestPage and TestPageMotorInBrowsers do in any case"

// openPage opens the page of a gateway and waits until it is live. The test fails at its
// end if anything forbidden happened: a message on the console, an exception, a
// violation of the policy, a request to another host.
//
// Browsers always write refused connections to the console: a test in which they are
// refused names that in expected.
func openPage(t *testing.T, b *browsertest.Browser, p *gatewayProcess, o browsertest.Options, expected ...string) *browsertest.Page {
	t.Helper()
	return openAddress(t, b, pageOf(p), o, expected...)
}

// openAddress opens the page of a gateway that is reached by another address than its
// own, as openPage does.
func openAddress(t *testing.T, b *browsertest.Browser, address string, o browsertest.Options, expected ...string) *browsertest.Page {
	t.Helper()
	page := b.Open(t, address, o)
	if slices.Contains(expected, refused) { // requests were under way when the gateway ended
		expected = append(slices.Clone(expected), "ERR_CONNECTION_RESET", "ERR_EMPTY_RESPONSE", "ERR_CONTENT_LENGTH_MISMATCH", "ERR_INCOMPLETE_CHUNKED_ENCODING")
	}
	t.Cleanup(func() {
		for _, failure := range page.Failures() {
			if strings.Contains(failure, probed) {
				continue
			}
			if !slices.ContainsFunc(expected, func(s string) bool { return strings.Contains(failure, s) }) {
				t.Errorf("must not happen: %s", failure)
			}
		}
	})
	page.Wait(live)
	return page
}

// countDrawings counts how often a canvas is drawn anew, and animation frames.
const countDrawings = `
	globalThis.drawn = globalThis.frames_ = globalThis.most = 0;
	let inFrame = new Map();
	const { clearRect } = CanvasRenderingContext2D.prototype;
	CanvasRenderingContext2D.prototype.clearRect = function (...args) {
		drawn++;
		inFrame.set(this, (inFrame.get(this) ?? 0) + 1);
		most = Math.max(most, inFrame.get(this));
		return clearRect.apply(this, args);
	};
	requestAnimationFrame(function frame() { frames_++; inFrame.clear(); requestAnimationFrame(frame); });`

// coloured counts the pixels of a chart's canvas that have any colour of their own.
const coloured = `((id) => {
	const canvas = document.querySelector("#" + id + " canvas");
	const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext("2d", { willReadFrequently: true });
	copy.drawImage(canvas, 0, 0);
	const { data } = copy.getImageData(0, 0, canvas.width, canvas.height);
	let n = 0;
	for (let i = 0; i < data.length; i += 4) {
		if (data[i + 3] > 100 && Math.max(data[i], data[i + 1], data[i + 2]) - Math.min(data[i], data[i + 1], data[i + 2]) > 60) n++;
	}
	return n;
})`

// The page shows what the program measures: values that change, charts that are
// drawn, at most once a frame, and not at all while nobody can see them.
func TestPage(t *testing.T) {
	t.Parallel()
	b := browsertest.Start(t)
	p := startGateway(t, buildGateway(t), "--simulate", "--listen", "127.0.0.1:0")
	page := openPage(t, b, p, browsertest.Options{Script: countDrawings, Smooth: true})

	page.Wait(`document.querySelectorAll(".sensor[data-state=live]").length === 3`)
	value := page.Text(".sensor .value")
	page.Wait(`document.querySelector(".sensor .value").textContent !== "` + value + `"`)
	if !browsertest.Eval[bool](page, `!document.querySelector("#simulated").hidden && document.querySelector("#simulated").offsetHeight > 20`) {
		t.Error("that it is simulated is not clearly visible")
	}
	page.Wait(`/^live · \d+ ms$/.test(document.querySelector("#status-text").textContent)`)
	page.Wait(`/round trip [\d.]+ ms · [\d,]+ received · 0 recovered · 0 lost/.test(document.querySelector("#totals").textContent)`)
	page.Wait(coloured + `("temperature") > 100 && ` + coloured + `("humidity") > 100`)
	page.Wait(`frames_ > 100`)
	if most := browsertest.Eval[int](page, "most"); most > 1 {
		t.Errorf("a chart was drawn %d times in one frame", most)
	}

	page.Hide()
	page.Wait(`document.hidden`)
	before := browsertest.Eval[int](page, "drawn")
	other := openPage(t, b, p, browsertest.Options{}) // sees how much came meanwhile
	other.Wait(received + ` > 60`)
	if n := browsertest.Eval[int](page, "drawn") - before; n > 0 {
		t.Errorf("a hidden page was drawn %d times", n)
	}
	page.Show()
	page.Wait(fmt.Sprintf("drawn > %d && %s", before, live))
}

// The charts can be zoomed and read out, by mouse and by keyboard, and exported.
func TestPageCharts(t *testing.T) {
	t.Parallel()
	long(t, againInABrowser)
	b := browsertest.Start(t)
	p := startGateway(t, buildGateway(t), "--simulate", "--listen", "127.0.0.1:0")
	page := openPage(t, b, p, browsertest.Options{Script: `
		const { createObjectURL } = URL;
		URL.createObjectURL = (blob) => { blob.text().then((text) => globalThis.exported = text); return createObjectURL(blob); };`})
	page.Wait(coloured + `("temperature") > 100`)

	// So fast that no frame is drawn in between, and back to before the page was opened.
	browsertest.Eval[bool](page, `(() => {
		const over = document.querySelector("#temperature .u-over"), { left, top, width } = over.getBoundingClientRect();
		const mouse = (type, part, at = over) => at.dispatchEvent(new MouseEvent(type, { clientX: left + part * width, clientY: top + 9, movementX: 1, bubbles: true }));
		return mouse("mousedown", 0.2) && mouse("mousemove", 0.95) && mouse("mouseup", 0.95, document);
	})()`)
	page.Wait(`!document.querySelector("#live").hidden`)
	page.Focus("#charts")
	page.Keys(kb.ArrowLeft)
	page.Wait(`/^\d\d:\d\d:\d\d, indoor/.test(document.querySelector("#charts").ariaValueText)`) // of a day, not of years
	page.Keys(kb.End)
	page.Wait(`document.querySelector("#live").hidden`)

	page.Drag("#temperature .u-over", 0.2, 0.95, 0.5)
	page.Wait(`!document.querySelector("#live").hidden && document.querySelector("#ranges [aria-pressed=true]") === null`)
	page.Click("#live")
	page.Wait(`document.querySelector("#live").hidden && document.querySelector("#ranges [aria-pressed=true]").dataset.range === "60000"`)

	page.Focus("#charts")
	page.Keys(kb.ArrowLeft + kb.ArrowLeft)
	page.Wait(`/^\d\d:\d\d:\d\d, indoor (\d|–|failed|no record)/.test(document.querySelector("#charts").ariaValueText)`) // it may have failed just then
	page.Keys("+")
	page.Wait(`!document.querySelector("#live").hidden`)
	page.Keys(kb.End)
	page.Wait(`document.querySelector("#live").hidden`)

	page.Click("#legend .trace:nth-child(2)")
	page.Wait(`document.querySelector("#legend .trace:nth-child(2)").ariaPressed === "false"`)
	page.Click("#as-table")
	page.Wait(`/^From \d\d:\d\d:\d\d to \d\d:\d\d:\d\d$/.test(document.querySelector("#table caption").textContent)`)
	page.Wait(`document.querySelectorAll("#table tbody tr").length === 4 && /^indoor,Temperature, °C,-?\d+\.\d\d,/.test([...document.querySelector("#table tbody tr").cells].map((c) => c.textContent).join())`)
	checkAccess(t, page, "with the table")
	page.Click("#export")
	page.Wait(`globalThis.exported`)
	csv := browsertest.Eval[string](page, "exported")
	if !strings.HasPrefix(csv, "time,unix_ms,sensor,seq,temperature,humidity,fault\n") {
		t.Errorf("exported %.200q", csv)
	}
	for sensor, want := range map[string]bool{",indoor,": true, ",outdoor,": false, ",greenhouse,": true} {
		if strings.Contains(csv, sensor) != want {
			t.Errorf("%s in what was exported: %t, want %t", sensor, !want, want)
		}
	}
	for _, r := range []string{"900000", "86400000", "604800000"} {
		page.Click("[data-range='" + r + "']")
		page.Wait(coloured + `("temperature") > 0`)
	}
}

// An operator uses a motor: it runs when the page shows that it runs, the room gets cooler,
// and it stops in every way in which it can be stopped.
func TestPageMotor(t *testing.T) {
	t.Parallel()
	long(t, againInABrowser)
	b := browsertest.Start(t)
	p := startGateway(t, buildGateway(t), "--simulate", "--config", withoutInterlocks(t), "--listen", "127.0.0.1:0")
	page := openPage(t, b, p, browsertest.Options{})
	watcher := newMotorClient(t, p.URL)
	if a := watcher.ask("subscribe", `{"topic":"motors"}`); a.Type != "subscribed" {
		t.Fatalf("%+v", a)
	}
	const indoor = `Number(document.querySelector(".sensor .value").textContent)`
	page.Wait(indoor + ` > 0`)
	before := browsertest.Eval[float64](page, indoor)

	page.Click(".motor .start")
	if a := watcher.state("command"); !a.Payload.Running {
		t.Errorf("started: %+v", a)
	}
	page.Wait(card + `.dataset.running === "true" && ` + card + `.textContent.includes("running, 100 % forward")`)
	page.Wait(card + `.textContent.includes("held by this page")`)
	page.Wait(fmt.Sprintf("%s < %f", indoor, before-2)) // for which it needs its lease more than once
	page.Click(".motor [data-direction=reverse]")
	page.Wait(card + `.textContent.includes("reverse")`)
	page.Click(".motor .stop")
	page.Wait(card + `.dataset.running === "false" && ` + card + `.querySelector(".why").textContent.startsWith("stopped by ")`)
	page.Wait(`document.querySelector("#log").textContent.includes("stopped by")`)

	// STOP ALL: latched until reset.
	page.Click(".motor .start")
	page.Wait(card + `.dataset.running === "true"`)
	page.Click("#stop-all")
	page.Wait(`document.querySelector("#stop-alert").dataset.state === "done" && ` + card + `.dataset.running === "false"`)
	page.Wait(card + `.querySelector(".start").disabled`)
	resetEStop(page)
	page.Wait(`document.querySelector("#stop-alert").textContent === ""`)

	// Escape twice, wherever the focus is.
	page.Wait(card + `.querySelector(".start:enabled")`)
	page.Click(".motor .start")
	page.Wait(card + `.dataset.running === "true"`)
	page.Focus("#export")
	page.Keys(kb.Escape + kb.Escape)
	page.Wait(`document.querySelector("#stop-alert").dataset.state === "done" && ` + card + `.dataset.running === "false"`)
	resetEStop(page)

	// An operator who hides the page loses the lease.
	page.Wait(card + `.querySelector(".start:enabled")`)
	page.Click(".motor .start")
	page.Wait(card + `.dataset.running === "true"`)
	page.Hide()
	watcher.state("lease")
	page.Show()
	page.Wait(card + `.querySelector(".why").textContent.includes("lease ended")`)
}

// tryNow presses a button that may disappear by itself at that moment.
const tryNow = `(document.querySelector("#retry").click(), true)`

// A stop that cannot be sent is reported loudly, and is not sent later.
func TestPageStopWithoutAGateway(t *testing.T) {
	t.Parallel()
	long(t, againInABrowser)
	b := browsertest.Start(t)
	args := []string{buildGateway(t), "--simulate", "--config", withoutInterlocks(t), "--listen", freeAddress(t)}
	p := startGateway(t, args...)
	page := openPage(t, b, p, browsertest.Options{}, refused)
	p.Kill(t)
	page.Wait(`document.querySelector("#status").dataset.phase === "waiting"`)
	page.Click("#stop-all")
	page.Wait(`/^No connection. Trying to stop for \d+ s more/.test(document.querySelector("#stop-alert").textContent)`)
	page.Wait(`document.querySelector("#stop-alert").textContent.startsWith("STOP DID NOT GET THROUGH")`)

	p = startGateway(t, args...)
	watcher := newMotorClient(t, p.URL)
	page.Wait(tryNow)
	page.Wait(live)
	page.Wait(`/round trip/.test(document.querySelector("#totals").textContent)`) // all that was to be sent is sent
	if a := watcher.ask("command", `{"action":"start","target":"motor_1","lease_ms":5000}`); a.Type != "ack" {
		t.Errorf("a stop came later: %+v", a)
	}
	// If it is pressed shortly before the gateway is back, it is sent as soon as that answers.
	p.Kill(t)
	page.Wait(`document.querySelector("#status").dataset.phase === "waiting"`)
	page.Click("#stop-all")
	page.Wait(`document.querySelector("#stop-alert").textContent.startsWith("No connection")`)
	startGateway(t, args...)
	page.Wait(`document.querySelector("#stop-alert").dataset.state === "done" && !document.querySelector("#latched").hidden`)
}

// When a gateway is killed the page says so, and after the restart it has all readings.
func TestPageRestart(t *testing.T) {
	t.Parallel()
	long(t, againInABrowser)
	b := browsertest.Start(t)
	args := []string{buildGateway(t), "--simulate", "--listen", freeAddress(t), "--state", t.TempDir()}
	p := startGateway(t, args...)
	page := openPage(t, b, p, browsertest.Options{}, refused)
	page.Wait(received + ` > 60`)
	p.Kill(t)
	page.Wait(`/^reconnecting in \d/.test(document.querySelector("#status-text").textContent)`)
	page.Wait(`document.querySelectorAll(".sensor[data-state=stale]").length === 3`)
	page.Wait(card + `.dataset.running === "unknown"`)
	startGateway(t, args...)
	page.Wait(live)
	came := browsertest.Eval[int](page, received)
	page.Wait(fmt.Sprintf("%s > %d", received, came+60))
	if totals := page.Text("#totals"); !strings.Contains(totals, " 0 lost") {
		t.Errorf("after a restart: %s", totals)
	}
}

// A sensor that fails says why, on its card and in the chart.
func TestPageFlaky(t *testing.T) {
	t.Parallel()
	long(t, "it waits until a sensor fails by itself")
	b := browsertest.Start(t)
	p := startGateway(t, buildGateway(t), "--simulate=flaky", "--listen", "127.0.0.1:0")
	page := openPage(t, b, p, browsertest.Options{})
	const causes = `/no acknowledge|wrong checksum|timeout|stuck value|implausible|warming up|bus down|sensor absent/`
	page.Wait(`[...document.querySelectorAll(".sensor[data-state=failed] .note strong")].some((s) => ` + causes + `.test(s.textContent))`)
	page.Wait(`[...document.querySelectorAll(".note")].some((s) => /% good, \d+ failed in the last minute; last: /.test(s.textContent))`)
}

// typeNick joins the room, which is folded until it is used.
func typeNick(page *browsertest.Page, nick string) {
	browsertest.Eval[bool](page, `document.querySelector("#room-fold").open = true`)
	page.Type("#nick", nick+"\n")
}

// Two operators talk, from two pages.
func TestPageRoom(t *testing.T) {
	t.Parallel()
	long(t, againInABrowser)
	b := browsertest.Start(t)
	p := startGateway(t, buildGateway(t), "--simulate", "--config", withoutInterlocks(t), "--listen", "127.0.0.1:0")
	ann, bob := openPage(t, b, p, browsertest.Options{}), openPage(t, b, p, browsertest.Options{})
	join := func(page *browsertest.Page, nick string) {
		typeNick(page, nick)
	}
	join(ann, "ann")
	ann.Wait(`!document.querySelector("#say").hidden && document.activeElement.id === "text"`)
	join(bob, "ann")
	bob.Wait(`document.querySelector("#join-error").textContent.includes("is here already")`)
	join(bob, "2") // "ann2"
	bob.Wait(`!document.querySelector("#say").hidden`)
	ann.Wait(`document.querySelector("#log").textContent.includes("ann2 (127.0.0.1) came in")`)
	bob.Type("#text", "<b>hello</b>\n")
	for _, page := range []*browsertest.Page{ann, bob} {
		page.Wait(`[...document.querySelectorAll("#log .chat")].some((li) => / ann2 \(127\.0\.0\.1\) <b>hello<\/b>$/.test(li.textContent))`)
	}
	ann.Navigate(pageOf(p)) // after a reload the user is in the room again, with the last lines
	ann.Wait(`!document.querySelector("#say").hidden && / ann2 \(127\.0\.0\.1\) <b>hello<\/b>$/.test(document.querySelector("#log .chat").textContent)`)
	ann.Wait(live)
	bob.Click(".motor .start")
	ann.Wait(`/motor_1 running, \d+ % forward, started by/.test(document.querySelector("#log").textContent)`)
	bob.Navigate("about:blank")
	ann.Wait(`document.querySelector("#log").textContent.includes("ann2 (127.0.0.1) left")`)
	ann.Wait(`/motor_1 stopped: its operator/.test(document.querySelector("#log").textContent)`)
}

const (
	// refused is a browser's message when the gateway does not run.
	refused = "ERR_CONNECTION_REFUSED"
	// probed is its message about the answer when the page asks why it has no
	// connection, as on a busy machine.
	probed = "responded with a status of 405"
)
