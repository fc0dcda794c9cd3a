package e2e

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"testing"

	"sensorgateway/gateway/access/tokens"
	"sensorgateway/gateway/dashboard/browsertest"
)

// alarmEntry is an alarm in the page's list.
func alarmEntry(name string) string {
	return fmt.Sprintf(`[...document.querySelectorAll("#alarms .entry")].find((e) => e.querySelector("h3").textContent === %q)`, name)
}

// An alarm is in sight on every page, wherever it is scrolled to, also on pages that are
// opened later. Users who may command acknowledge it, and everybody sees who did. When it is
// cleared, every page shows that. Nothing below the header moves because of it.
func TestPageAlarms(t *testing.T) {
	t.Parallel()
	long(t, "it opens three pages and waits for alarms")
	celsius, state := emulatedCelsius(t), t.TempDir()
	config := writeFile(t, "gateway.yaml", fmt.Sprintf(`
sensors:
  - {name: indoor, chip: sht3x}
motors:
  - {name: fan, kind: dir_pwm, dir: GPIO23, pwm: GPIO18, on_operator_loss: keep}
alarms:
  - {name: cold, condition: "indoor.temperature < %.2f for 1s until indoor.temperature > %.2f", severity: critical}
`, celsius-2, celsius-0.8))
	p := startGateway(t, buildGateway(t), "--simulate", "--config", config, "--listen", "127.0.0.1:0", "--state", state)
	operator := addToken(t, state, p, tokens.Token{Name: "otto", Role: tokens.Operator})
	viewer := addToken(t, state, p, tokens.Token{Name: "vera", Role: tokens.Viewer})
	otto := logInPage(t, browsertest.Start(t), pageOf(p), operator, browsertest.Options{})
	vera := logInPage(t, browsertest.Start(t), pageOf(p), viewer, sights["phone-light"])
	both := []*browsertest.Page{otto, vera}
	for _, page := range both {
		page.Wait(`document.querySelector("#alarms-none").textContent === "No alarm." && document.querySelector("#alarm-chip").hidden`)
	}
	before := browsertest.Eval[float64](vera, stopAt)
	const focused = `document.activeElement.getBoundingClientRect().top`
	vera.Focus("#export") // which is below the alarms
	held := browsertest.Eval[float64](vera, focused)
	fan := dialWith(t, p.URL, operator) // without a page's lease, which may end on a busy machine
	if got := fan.command(`{"action":"start","target":"fan","speed":1}`); got != "ack" {
		t.Fatalf("start: %s", got)
	}
	fan.Close()
	vera.Wait(alarmEntry("cold") + `?.checkVisibility()`)
	if now := browsertest.Eval[float64](vera, focused); math.Abs(now-held) > 1 {
		t.Errorf("what has the focus moved by %g pixels when the alarm came", now-held)
	}
	for _, page := range both {
		browsertest.Eval[bool](page, `(scrollTo(0, document.documentElement.scrollHeight), true)`)
		page.Wait(inSight + `("#alarm-chip") && document.querySelector("#alarm-chip").textContent === "1 alarm" && document.querySelector("#alarm-chip").dataset.severity === "critical"`)
		page.Wait(`document.querySelector("#alarm-said").textContent === "Alarm: cold" && document.querySelector("#log").textContent.includes("alarm cold raised")`)
	}
	if after := browsertest.Eval[float64](vera, stopAt); after != before {
		t.Errorf("Stop moved by %g pixels when the alarm came", after-before)
	}
	vera.Click("#alarm-chip")
	vera.Wait(`document.activeElement.id === "alarms-section" && ` + alarmEntry("cold") + `?.querySelector("button:disabled")`)
	checkAccess(t, vera, "an alarm")
	if dir := os.Getenv("GATEWAY_TEST_SIGHTS"); dir != "" {
		saveSight(t, filepath.Join(dir, "alarm-phone-light.png"), vera.Screenshot(true))
		saveSight(t, filepath.Join(dir, "alarm-desktop.png"), otto.Screenshot(true))
	}
	otto.Wait(alarmEntry("cold") + `?.textContent.includes("indoor.temperature < ")`)
	otto.Click("#alarms .entry button")
	late := logInPage(t, browsertest.Start(t), pageOf(p), viewer, sights["desktop-dark"])
	for _, page := range append(both, late) {
		page.Wait(alarmEntry("cold") + `?.textContent.includes("acknowledged by otto, ") && ` + alarmEntry("cold") + `.querySelector("button").hidden`)
		page.Wait(`document.querySelector("#alarm-chip").dataset.severity === "known"`)
	}
	vera.Click(".motor .stop")
	for _, page := range append(both, late) {
		page.Wait(`document.querySelector("#alarm-chip").hidden && document.querySelectorAll("#alarms .entry").length === 0 && document.querySelector("#alarms-recent").textContent.includes("cold: indoor.temperature < ")`)
	}
}
