package e2e

import (
	"fmt"
	"testing"

	"sensorgateway/gateway/dashboard/browsertest"
)

// callsNoted notes the tones and the notifications of a page, which nobody hears here.
const callsNoted = `
	globalThis.tones = 0;
	globalThis.resumed = 0;
	globalThis.notes = [];
	AudioContext.prototype.resume = async () => void resumed++;
	OscillatorNode.prototype.start = () => void tones++;
	OscillatorNode.prototype.stop = () => {};
	globalThis.Notification = class {
		static requestPermission = async () => "granted";
		constructor(title, { body, tag }) { notes.push(title + "|" + body.replace(/\(.*/, "") + "|" + tag); }
	};`

// When sound and notifications are switched on, they call once for each alarm that is
// raised, also after the page was reloaded; not for those of severity info, nor for alarms
// that were raised before the page was opened.
func TestPageAlarmCalls(t *testing.T) {
	t.Parallel()
	long(t, againInABrowser)
	celsius := emulatedCelsius(t)
	config := writeFile(t, "gateway.yaml", fmt.Sprintf(`
name: farm
sensors:
  - {name: indoor, chip: sht3x}
motors:
  - {name: fan, kind: dir_pwm, dir: GPIO23, pwm: GPIO18, on_operator_loss: keep}
alarms:
  - {name: always, condition: indoor.temperature > -40, severity: critical}
  - {name: cold, condition: indoor.temperature < %.2f, severity: warning}
  - {name: cool, condition: indoor.temperature < %[1]f, severity: info}
`, celsius-2))
	p := startGateway(t, buildGateway(t), "--simulate", "--config", config, "--listen", "127.0.0.1:0")
	b := browsertest.Start(t)
	page := openPage(t, b, p, browsertest.Options{Script: callsNoted})
	page.Wait(alarmEntry("always") + `?.checkVisibility()`)
	page.Click("#alarm-sound")
	page.Wait(`tones === 3`) // as it will sound
	page.Click("#alarm-notify")
	page.Wait(`document.querySelector("#alarm-notify").checked && localStorage.getItem("alarm-notify") === "yes"`)
	page.Navigate(pageOf(p))
	page.Wait(live + ` && ` + alarmEntry("always") + `?.checkVisibility() && document.querySelector("#alarm-sound").checked && document.querySelector("#alarm-notify").checked`)
	page.Click("#name")
	page.Wait(`resumed > 0`) // or no browser would let it sound
	fan := dialWith(t, p.URL, "")
	if got := fan.command(`{"action":"start","target":"fan","speed":1}`); got != "ack" {
		t.Fatalf("start: %s", got)
	}
	fan.Close()
	page.Wait(alarmEntry("cold") + `?.checkVisibility() && ` + alarmEntry("cool") + `?.checkVisibility()`)
	page.Wait(`tones === 3`)
	if got, want := browsertest.Eval[string](page, `notes.join()`), fmt.Sprintf("cold: farm – Sensor gateway|indoor.temperature < %.2f |cold", celsius-2); got != want {
		t.Errorf("notifications: %q, want %q", got, want)
	}
	phone := openPage(t, b, p, browsertest.Options{Script: `Object.defineProperty(Navigator.prototype, "userAgent", { get: () => "Mozilla/5.0 (Android 15; Mobile)" });`})
	phone.Wait(`document.querySelector("#alarm-sound").checkVisibility() && !document.querySelector("#alarm-notify").checkVisibility()`)
	if failures := page.Failures(); failures != nil {
		t.Errorf("%q", failures)
	}
}
