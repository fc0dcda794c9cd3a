package e2e

import (
	"fmt"
	"testing"

	"sensorgateway/gateway/dashboard/browsertest"
)

// watchAges records, after each display frame, the greatest age of a temperature that the
// first card showed as live; and how long after it was woken the page showed a new one. Ages
// are relative to the shortest time that readings took to come.
const watchAges = `
	globalThis.oldest = 0;
	const times = new Map(); // of the newest reading that is shown so
	let least = Infinity, woken;
	globalThis.WebSocket = class extends WebSocket {
		constructor(...args) {
			super(...args);
			this.addEventListener("message", ({ data }) => {
				if (typeof data === "string") return;
				const view = new DataView(data);
				for (let at = 0; at < data.byteLength; at += 24) {
					if (view.getUint16(at) !== 0) continue;
					const time = Number(view.getBigInt64(at + 16));
					const value = view.getFloat32(at + 8).toFixed(2);
					times.set(value, Math.max(times.get(value) ?? 0, time)); // what is replayed comes after newer ones
					least = Math.min(least, performance.now() - time);
				}
			});
		}
	};
	let frozen = false;
	document.addEventListener("freeze", () => (frozen = true));
	document.addEventListener("visibilitychange", () => (woken = frozen && !document.hidden ? performance.now() : undefined));
	requestAnimationFrame(function frame() {
		requestAnimationFrame(frame);
		setTimeout(() => {
			const card = document.querySelector(".sensor"), now = performance.now();
			const age = now - (times.get(card?.querySelector(".value").textContent.replace("−", "-")) + least);
			if (document.hidden || card?.dataset.state !== "live" || !(age >= 0)) return;
			oldest = Math.max(oldest, age);
			if (woken && age < 1000) globalThis.fresh ??= now - woken;
		});
	});`

// After the browser has frozen a page for a while, the page never shows readings of that
// time as live, and is live again within 3 s, with all of them.
func TestPageFrozen(t *testing.T) {
	t.Parallel()
	long(t, againInABrowser)
	b := browsertest.Start(t)
	p := startGateway(t, buildGateway(t), "--simulate", "--listen", "127.0.0.1:0")
	other := openPage(t, b, p, browsertest.Options{}) // counts what comes meanwhile
	page := openPage(t, b, p, browsertest.Options{Script: watchAges, Smooth: true}, "Back-Forward Cache")
	page.Wait(`document.querySelectorAll(".sensor[data-state=live]").length === 3 && oldest > 0`)
	before := browsertest.Eval[int](page, received)
	page.Freeze()
	const seconds = 6
	from := browsertest.Eval[int](other, received)
	other.Wait(fmt.Sprintf("%s > %d", received, from+seconds*3*10))
	page.Thaw()
	page.Wait(live + ` && globalThis.fresh`)
	page.Wait(fmt.Sprintf("%s > %d", received, before+seconds*3*10))
	if took := browsertest.Eval[float64](page, `fresh`); took > 3000 {
		t.Errorf("it shows new values %.0f ms after it was woken", took)
	}
	if oldest := browsertest.Eval[float64](page, `oldest`); oldest > 2000 {
		t.Errorf("a value that was %.0f ms old was shown as live", oldest)
	}
	page.Wait(`/ 0 lost/.test(document.querySelector("#totals").textContent)`)
}

// Readings that come late, after a line has stalled, are not shown as live, however evenly
// they come: the page knows how quickly readings came before.
func TestPageHeldUp(t *testing.T) {
	t.Parallel()
	long(t, againInABrowser)
	b := browsertest.Start(t)
	p := startGateway(t, buildGateway(t), "--simulate", "--listen", "127.0.0.1:0")
	page := openPage(t, b, p, browsertest.Options{Script: `
		globalThis.held = 0; // ms
		globalThis.WebSocket = class extends WebSocket {
			set onmessage(f) { super.onmessage = f && ((event) => setTimeout(() => f(event), held)); }
		};`})
	page.Wait(received + ` > 60`)
	browsertest.Eval[int](page, `held = 4000`)
	const stale = `document.querySelector("#status").dataset.phase === "stale" && document.querySelectorAll(".sensor[data-state=stale]").length === 3`
	page.Wait(stale) // nothing comes
	before := browsertest.Eval[int](page, received)
	page.Wait(fmt.Sprintf("%s > %d && %s", received, before+60, stale))
	browsertest.Eval[int](page, `held = 0`)
	page.Wait(`document.querySelectorAll(".sensor[data-state=live]").length === 3 && ` + live)
}

// While a telephone sleeps, performance.now stands still. A page that wakes and hears nothing
// shows at once how old its values are.
func TestPageAfterSleep(t *testing.T) {
	t.Parallel()
	long(t, againInABrowser)
	p := startGateway(t, buildGateway(t), "--simulate", "--listen", "127.0.0.1:0")
	page := openPage(t, browsertest.Start(t), p, browsertest.Options{Script: `
		globalThis.slept = 0; // ms
		globalThis.deaf = false;
		globalThis.Date = class extends Date { static now() { return super.now() + slept; } };
		globalThis.WebSocket = class extends WebSocket {
			set onmessage(f) { super.onmessage = f && ((event) => { if (!deaf) f(event); }); }
		};`})
	const live3 = `document.querySelectorAll(".sensor[data-state=live]").length === 3`
	page.Wait(live3)
	browsertest.Eval[int](page, `(deaf = true, slept = 3_600_000)`)
	page.Wait(`[...document.querySelectorAll(".sensor[data-state=stale] .note")].filter((note) => note.textContent.includes("nothing heard for 1 h")).length === 3`)
	page.Wait(`document.querySelector(".sensor .age").textContent.startsWith("last good 1 h")`)
	browsertest.Eval[bool](page, `deaf = false`)
	page.Wait(live3 + ` && ` + live)
}
