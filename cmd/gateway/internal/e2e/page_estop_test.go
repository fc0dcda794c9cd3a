package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"sensorgateway/gateway/dashboard/browsertest"
)

// manyConfig is a configuration of many sensors and motors, one of which has many
// interlocks.
func manyConfig(t testing.TB, sensors, motors int) (path string) {
	t.Helper()
	chips := []struct {
		name      string
		addresses []int
	}{{"sht3x", []int{0x44, 0x45}}, {"bme280", []int{0x76, 0x77}}, {"aht20", []int{0x38}}}
	places := []string{"indoor", "outdoor", "greenhouse", "cellar", "attic_north", "attic_south", "cold_storage", "drying_room",
		"server_rack", "greenhouse_bench", "incubator", "kitchen", "garage", "stable", "hay_loft", "well"}
	text := []byte("sensors:\n")
	n := 0
	for bus := 1; n < sensors; bus++ {
		for _, chip := range chips {
			for _, address := range chip.addresses {
				if n < sensors {
					name := places[n%len(places)]
					if again := n / len(places); again > 0 {
						name += fmt.Sprintf("_%d", again+1)
					}
					text = fmt.Appendf(text, "  - {name: %s, chip: %s, bus: %d, address: %#x}\n", name, chip.name, bus, address)
				}
				n++
			}
		}
	}
	text = append(text, "motors:\n"...)
	for i := range motors {
		text = fmt.Appendf(text, "  - {name: motor_%d, kind: dir_pwm, dir: gpiochip0/%d, pwm: gpiochip0/%d", i+1, 5+2*i, 6+2*i)
		if i == 0 {
			text = fmt.Appendf(text, ", needs: [indoor.age < 1m, indoor.temperature < 60, indoor.temperature > -10, indoor.humidity < 101, outdoor.age < 1m]")
		}
		text = append(text, "}\n"...)
	}
	path = filepath.Join(t.TempDir(), "gateway.yaml")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// resetEStop resets the emergency stop from a page, which asks once more.
func resetEStop(page *browsertest.Page) {
	page.Wait(`document.querySelector("#reset").checkVisibility()`)
	page.Click("#reset")
	page.Wait(`document.querySelector("#latched .yes").checkVisibility()`)
	page.Click("#latched .yes")
	page.Wait(`document.querySelector("#latched").hidden`)
}

// inSight reports whether an element is wholly on the screen, and not covered, so that a
// finger would hit it.
const inSight = `((selector) => {
	const element = document.querySelector(selector), { left, right, top, bottom } = element.getBoundingClientRect();
	return element.checkVisibility() && left >= 0 && top >= 0 && right <= innerWidth && bottom <= innerHeight &&
		element.contains(document.elementFromPoint((left + right) / 2, (top + bottom) / 2));
})`

// An emergency stop is shown to everybody: who pressed it and when stays in sight on every
// page, also after a reload, wherever it is scrolled to, until somebody resets it.
func TestPageEStopForEverybody(t *testing.T) {
	t.Parallel()
	long(t, againInABrowser)
	b := browsertest.Start(t)
	p := startGateway(t, buildGateway(t), "--simulate", "--config", manyConfig(t, 16, 5), "--listen", "127.0.0.1:0")
	one, other := openPage(t, b, p, browsertest.Options{}), openPage(t, b, p, sights["phone-light"])
	for _, page := range []*browsertest.Page{one, other} {
		page.Wait(`document.querySelectorAll(".motor .start:enabled").length === 5`)
		browsertest.Eval[bool](page, `(scrollTo(0, document.documentElement.scrollHeight), true)`)
	}
	one.Click("#stop-all")
	const stopped = `/^Emergency stop by \S+, (.*, )?\d\d:\d\d:\d\d\. /.test(document.querySelector("#latched p").textContent)`
	for range 2 {
		for _, page := range []*browsertest.Page{one, other} {
			page.Wait(stopped)
			for _, selector := range []string{"#latched p", "#reset", "#stop-all"} {
				page.Wait(inSight + `("` + selector + `")`)
			}
			page.Wait(`document.querySelectorAll(".motor").length === 5 && !document.querySelector(".motor .start:enabled")`)
		}
		other.Navigate(pageOf(p))
		other.Wait(live)
	}
	other.Click("#reset")
	other.Wait(inSight + `("#latched .no")`)
	other.Click("#latched .no")
	other.Wait(inSight + `("#reset")`)
	resetEStop(other)
	one.Wait(`document.querySelector("#latched").hidden && document.querySelectorAll(".motor .start:enabled").length === 5`)
}

// Many interlocks are folded, behind a line that says which ones do not hold.
func TestPageFoldsManyInterlocks(t *testing.T) {
	t.Parallel()
	long(t, againInABrowser)
	b := browsertest.Start(t)
	p := startGateway(t, buildGateway(t), "--simulate", "--config", manyConfig(t, 2, 2), "--listen", "127.0.0.1:0")
	page := openPage(t, b, p, browsertest.Options{})
	page.Wait(`document.querySelector(".fold summary").textContent === "5 interlocks: all hold"`)
	page.Wait(`!document.querySelector(".interlocks").checkVisibility()`)
	page.Click(".fold summary")
	page.Wait(`document.querySelector(".interlocks").checkVisibility() && document.querySelectorAll(".interlocks li").length === 5`)
}

// STOP ALL that is pressed while the gateway is down for its upgrade is sent to the new
// version; only then the page is replaced by that version's.
func TestPageStopsBeforeAnUpgrade(t *testing.T) {
	t.Parallel()
	long(t, againInABrowser)
	b := browsertest.Start(t)
	args := []string{buildGateway(t), "--simulate", "--config", withoutInterlocks(t), "--listen", freeAddress(t), "--state", t.TempDir()}
	p := startGateway(t, args...)
	page := openPage(t, b, p, browsertest.Options{Script: `
		globalThis.WebSocket = class extends WebSocket {
			set onmessage(f) { super.onmessage = f && (({ data }) => f({ data: globalThis.upgraded && typeof data === "string" ? data.replace(/"version":"[^"]*"/, '"version":"later"') : data })); }
			send(data) {
				if (data.includes('"estop"')) sessionStorage.order = "sent";
				super.send(data);
			}
		};
		addEventListener("beforeunload", () => (sessionStorage.order += ", left"));`}, refused)
	p.Kill(t)
	page.Wait(`document.querySelector("#status").dataset.phase === "waiting"`)
	page.Click("#stop-all")
	page.Wait(`document.querySelector("#stop-alert").textContent.startsWith("No connection") && (globalThis.upgraded = true)`)
	startGateway(t, args...)
	page.Wait(`!globalThis.upgraded && ` + live + ` && !document.querySelector("#latched").hidden`) // another document
	if got := browsertest.Eval[string](page, `sessionStorage.order`); got != "sent, left" {
		t.Errorf("the e-stop and the page: %s", got)
	}
}
