package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"sensorgateway/gateway/dashboard/browsertest"
	"sensorgateway/wire"
)

// countSent counts the messages that the page sends, by type and by action or topic.
const countSent = `
	globalThis.sent = {};
	const { send } = WebSocket.prototype;
	WebSocket.prototype.send = function (text) {
		const { type, payload } = JSON.parse(text), what = [type, payload?.action ?? payload?.topic].filter(Boolean).join(" ");
		sent[what] = (sent[what] ?? 0) + 1;
		return send.call(this, text);
	};`

// polls is how often the page asked for the motors' states.
const polls = `(sent["subscribe motors"] ?? 0)`

// indoorTemperature is what the first sensor measures, in °C.
func indoorTemperature(t *testing.T, p *gatewayProcess) float32 {
	t.Helper()
	for c := newMotorClient(t, p.URL); ; {
		_, message, err := c.ReadMessage()
		if err != nil {
			t.Fatal(err)
		}
		records, _ := wire.ParseRecords(message) // hello is none
		for _, r := range records {
			if r.Sensor == 0 && r.Fault == wire.Good {
				return r.Values[0]
			}
		}
	}
}

// An operator gets controls for what the motor can do, and sees what prevents a start before
// one is refused: while the page is visible, without a command, and without a line in the
// log.
func TestPageInterlocks(t *testing.T) {
	t.Parallel()
	long(t, againInABrowser)
	access, err := os.ReadFile("testdata/page/access.js")
	if err != nil {
		t.Fatal(err)
	}
	const simulate = "--simulate=steady:7" // the same room, before and after
	b := browsertest.Start(t)
	p := startGateway(t, buildGateway(t), simulate, "--listen", "127.0.0.1:0")
	cool := fmt.Sprintf("indoor.temperature < %.1f", indoorTemperature(t, p)-2) // only while the fan runs
	p.Kill(t)

	config := filepath.Join(t.TempDir(), "gateway.yaml")
	if err := os.WriteFile(config, fmt.Appendf(nil, `
sensors: [{name: indoor, chip: sht3x}]
motors:
  - {name: fan, kind: dir_pwm, dir: GPIO23, pwm: GPIO18}
  - {name: relay, kind: on_off, pin: GPIO17, needs: [%q, indoor.age < 1m]}
  - {name: bridge, kind: h_bridge, in1: GPIO5, in2: GPIO6}
`, cool), 0o600); err != nil {
		t.Fatal(err)
	}
	p = startGateway(t, buildGateway(t), simulate, "--config", config, "--listen", "127.0.0.1:0")
	page := openPage(t, b, p, browsertest.Options{Script: countSent}, refused)
	offered := browsertest.Eval[[]string](page, `[...document.querySelectorAll(".motor")].map((motor) => [motor.querySelector("h3").textContent,
		...[...motor.querySelectorAll("button, input, ul")].filter((e) => e.checkVisibility()).map((e) => e.ariaLabel ?? e.textContent)].join(", "))`)
	if want := []string{
		"fan, Speed of fan in percent, Forward, Reverse, Start fan, Stop fan, Request control of fan",
		"relay, Start relay, Stop relay, Interlocks of relay, Request control of relay",
		"bridge, Forward, Reverse, Start bridge, Stop bridge, Request control of bridge",
	}; !slices.Equal(offered, want) {
		t.Errorf("offered %q\n   want %q", offered, want)
	}

	relay := func(words string) string {
		return fmt.Sprintf(`[...document.querySelectorAll(".interlocks")[1].children].map((li) => li.textContent.trim()).join() === %q`, words)
	}
	page.Wait(relay(cool + " does not hold: blocks start,indoor.age < 1m holds"))
	for _, wrong := range append(browsertest.Eval[[]string](page, string(access)), page.Nameless()...) {
		t.Error(wrong)
	}
	page.Click(".motor:nth-child(2) .start")
	page.Wait(`document.querySelector(".motor:nth-child(2) .error").textContent.startsWith("interlock: ` + cool + `")`)
	const lastStop = `document.querySelector(".motor:nth-child(3) .stop").getBoundingClientRect().top + scrollY`
	top := browsertest.Eval[float64](page, lastStop)
	page.Click(".motor .start")
	page.Wait(relay(cool + " holds,indoor.age < 1m holds"))
	if then := browsertest.Eval[float64](page, lastStop); then != top {
		t.Errorf("Stop moved by %g pixels when an interlock began to hold", then-top)
	}
	page.Click(".motor .stop")
	page.Wait(relay(cool + " does not hold: blocks start,indoor.age < 1m holds"))
	lines := browsertest.Eval[[]string](page, `[...document.querySelectorAll("#log p")].map((li) => li.className + " " + li.querySelector("b").textContent)`)
	if want := []string{"motor fan", "motor fan"}; !slices.Equal(lines, want) {
		t.Errorf("the log of the page has %q, want %q", lines, want)
	}
	if asked := browsertest.Eval[int](page, `sent["command status"] ?? 0`); asked != 0 {
		t.Errorf("%d commands that nobody gave", asked)
	}

	page.Hide()
	page.Wait(`document.hidden`)
	before := browsertest.Eval[int](page, polls)
	other := openPage(t, b, p, browsertest.Options{Script: countSent}, refused)
	other.Wait(polls + ` >= 3`) // the first is its subscription, so it has been here for longer than one interval
	if n := browsertest.Eval[int](page, polls) - before; n > 0 {
		t.Errorf("a hidden page polled %d times", n)
	}
	page.Show()
	page.Wait(fmt.Sprintf("%s > %d", polls, before))
	p.Kill(t)
	page.Wait(relay(cool + " unknown while disconnected,indoor.age < 1m unknown while disconnected"))
}

// One page keeps 32 motors running, with less than half of the messages that a client may send.
func TestPageHoldsManyMotors(t *testing.T) {
	t.Parallel()
	long(t, "it starts 32 motors, one after the other")
	b := browsertest.Start(t)
	config := filepath.Join(t.TempDir(), "gateway.yaml")
	text := []byte("sensors: [{name: indoor, chip: sht3x}]\nmotors:\n")
	for i := range 32 {
		text = fmt.Appendf(text, "  - {name: m%d, kind: on_off, pin: gpiochip0/%d}\n", i, 5+i)
	}
	if err := os.WriteFile(config, text, 0o600); err != nil {
		t.Fatal(err)
	}
	p := startGateway(t, buildGateway(t), "--simulate", "--config", config, "--listen", "127.0.0.1:0")
	page := openPage(t, b, p, browsertest.Options{Script: countSent})
	page.Wait(`document.querySelectorAll(".motor .start:enabled").length === 32`)
	browsertest.Eval[bool](page, `(async () => {
		for (const start of document.querySelectorAll(".motor .start")) {
			start.click();
			await new Promise((then) => setTimeout(then, 100)); // faster than any hand
		}
		return true;
	})()`)
	page.Wait(`document.querySelectorAll(".motor[data-running=true]").length === 32`)
	const all = `Object.values(sent).reduce((a, b) => a + b)`
	begin := browsertest.Eval[struct{ At, Sent, Keepalives float64 }](page, `({At: performance.now(), Sent: `+all+`, Keepalives: sent["command keepalive"]})`)
	page.Wait(fmt.Sprintf(`sent["command keepalive"] >= %g`, begin.Keepalives+8)) // more than two leases
	if rate := browsertest.Eval[float64](page, fmt.Sprintf(`(%s - %g) / (performance.now() - %g) * 1000`, all, begin.Sent, begin.At)); rate > 10 {
		t.Errorf("the page sends %.1f messages a second", rate)
	}
	if running := browsertest.Eval[int](page, `document.querySelectorAll(".motor[data-running=true]").length`); running != 32 {
		t.Errorf("%d of 32 motors run", running)
	}
}

// The limit of an interlock is a line in the chart of its sensor, if it is near; one that
// is far away is not.
func TestPageLimits(t *testing.T) {
	t.Parallel()
	long(t, againInABrowser)
	celsius := emulatedCelsius(t)
	config := writeFile(t, "gateway.yaml", fmt.Sprintf(`
sensors:
  - {name: indoor, chip: sht3x}
motors:
  - {name: fan, kind: dir_pwm, dir: GPIO23, pwm: GPIO18, needs: [indoor.temperature < %.2f, indoor.temperature > -30, indoor.age < 1m]}
alarms:
  - {name: cold, condition: "indoor.temperature < %.2f for 10m until indoor.temperature > %.2f"}
`, celsius+0.1, celsius-0.1, celsius))
	p := startGateway(t, buildGateway(t), "--simulate", "--config", config, "--listen", "127.0.0.1:0")
	page := openPage(t, browsertest.Start(t), p, browsertest.Options{Script: `
		globalThis.written = new Set();
		const { fillText } = CanvasRenderingContext2D.prototype;
		CanvasRenderingContext2D.prototype.fillText = function (text, ...at) {
			if (this.getLineDash().length) written.add(text);
			return fillText.call(this, text, ...at);
		};`})
	page.Wait(fmt.Sprintf(`[...written].sort().join() === ["limit " + %.2f, "limit " + %.2f].sort().join()`, celsius+0.1, celsius-0.1))
}
