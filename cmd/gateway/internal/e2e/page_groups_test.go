package e2e

import (
	"fmt"
	"regexp"
	"testing"

	"sensorgateway/gateway/dashboard/browsertest"
)

// groupedConfig writes a configuration with many sensors in so many groups, and a name for
// the gateway.
func groupedConfig(t *testing.T, sensors, groups int) (path string) {
	t.Helper()
	names := []string{"Alpha", "Bravo", "Charlie", "Delta", "Echo", "Foxtrot", "Golf", "Hotel"}
	n := -1
	text := regexp.MustCompile(`, chip:`).ReplaceAllStringFunc(mustRead(t, manyConfig(t, sensors, 2)), func(chip string) string {
		n++
		return fmt.Sprintf(`, group: "%s & yard"%s`, names[n*groups/sensors], chip)
	})
	return writeFile(t, "gateway.yaml", "name: North farm\n"+text)
}

// Sensors stand under their groups' names. When a group is chosen, only its sensors are shown,
// in the charts too, and the address opens the same view; in both sizes. The gateway's name is
// in the page's title and heading.
func TestPageGroups(t *testing.T) {
	t.Parallel()
	long(t, againInABrowser)
	b := browsertest.Start(t)
	p := startGateway(t, buildGateway(t), "--simulate", "--config", groupedConfig(t, 64, 8), "--listen", "127.0.0.1:0")
	const (
		cards  = `[...document.querySelectorAll(".sensor")].filter((e) => e.checkVisibility()).length`
		groups = `[...document.querySelectorAll("#sensors section")].filter((e) => e.checkVisibility()).map((e) => e.querySelector("h3").firstChild.textContent.trim()).join()`
		shown  = `[...document.querySelectorAll("#legend [aria-pressed=true]")].map((e) => e.textContent).join()`
	)
	choose := func(page *browsertest.Page, id, value string) {
		t.Helper()
		browsertest.Eval[bool](page, fmt.Sprintf(`((e) => { e.value = %q; return e.dispatchEvent(new Event("change")); })(document.getElementById(%q))`, value, id))
	}
	for name, options := range map[string]browsertest.Options{"desktop": sights["desktop-light"], "phone": sights["phone-dark"]} {
		t.Run(name, func(t *testing.T) {
			page := openPage(t, b, p, options)
			page.Wait(cards + ` === 64 && document.querySelectorAll("#sensors section").length === 8 && document.querySelectorAll("#legend .trace").length === 64`)
			page.Wait(`document.querySelector("#sensors section h3").textContent.startsWith("Alpha & yard 8 sensors")`)
			page.Wait(`document.querySelectorAll("#group option").length === 9`)
			page.Wait(`document.querySelector("#chosen").textContent === "4 of 64 sensors are shown: choose."`)
			page.Wait(`document.title === "North farm – Sensor gateway" && document.querySelector("h1").textContent === "North farm"`)
			checkAccess(t, page, "in groups")
			for _, wrong := range browsertest.Eval[[]string](page, misplaced) {
				t.Error(wrong)
			}

			page.Type("#filter", "bravo bench")
			page.Wait(groups + ` === "Bravo & yard" && ` + cards + ` === 1 && document.querySelector("#overview-text").textContent.endsWith("; 1 shown")`)
			browsertest.Eval[bool](page, `((e) => { e.value = ""; e.blur(); return e.dispatchEvent(new Event("input")); })(document.querySelector("#filter"))`)

			choose(page, "group", "Charlie & yard")
			page.Wait(cards + ` === 8 && location.hash === "#group=Charlie%20%26%20yard" && ` + shown + ` === "indoor_2,outdoor_2,greenhouse_2,cellar_2"`)
			page.Wait(`[...document.querySelectorAll("#legend .trace")].filter((e) => e.checkVisibility()).length === 8 && document.querySelector("#chosen").textContent === "4 of 8 sensors are shown: choose."`)
			page.Click("#legend .trace:nth-child(18)")
			page.Wait(`location.hash.includes("sensors=indoor_2,greenhouse_2,cellar_2&group=Charlie")`)
			other := openAddress(t, b, browsertest.Eval[string](page, `location.href`), options)
			other.Wait(cards + ` === 8 && document.querySelector("#group").value === "Charlie & yard" && ` + shown + ` === "indoor_2,greenhouse_2,cellar_2"`)

			browsertest.Eval[bool](page, `(location.hash = "", true)`)
			page.Wait(cards + ` === 64`)
			choose(page, "order", "name")
			page.Wait(`location.hash.includes("order=name") && document.querySelectorAll("#sensors section").length === 1 && document.querySelector(".sensor h3").textContent === "attic_north"`)
			browsertest.Eval[bool](page, `(location.hash = "#group=nowhere", true)`) // like a link from before a change of the configuration
			page.Wait(cards + ` === 64 && document.querySelector("#group").value === ""`)
			page.Close()
		})
	}
}

// cutNotes shows cards of sensors with the longest names, in every kind of failure, with the
// texts of the language. It returns texts that are cut off, except those that small cards
// leave out.
const cutNotes = `(async () => {
	const [{ Card }, { Sensor }] = await Promise.all([import("./cards.js"), import("./sensor.js")]);
	const list = document.querySelector("#sensors ul"), cut = [], now = performance.now();
	const show = (what, alarms, fault, missed, over = {}) => {
		const sensor = new Sensor({ id: 0, name: "greenhouse_bench_north_east_no_1", model: "SHT3x", interval_ms: 100, next_seq: 0, ...over.info });
		for (let i = 0; i < 700; i++) sensor.add({ seq: i, time: i * 100, temperature: -21.25, humidity: 100, fault: i % 5 < missed ? 3 : 0 }, now - 70_000 + i * 100);
		if (fault) sensor.add({ seq: 700, time: 70_000, temperature: NaN, humidity: NaN, fault }, over.at ?? now);
		const card = new Card(sensor);
		card.alarm(alarms);
		list.append(card.element);
		card.draw(over.now ?? now, true, true);
		for (const e of card.element.querySelectorAll("h3, .value, .note")) {
			if (e.scrollHeight > e.clientHeight + 2 && getComputedStyle(e).display !== "inline" || e.scrollWidth > e.clientWidth + 1 && e.clientWidth) cut.push(what + ": " + e.className + " " + e.textContent);
		}
		card.element.remove();
	};
	show("good", [], 0, 0);
	show("some failed", [], 0, 2);
	for (const fault of [1, 2, 3, 4, 5, 6, 7, 8, 255]) show("failed " + fault, [], fault, 0);
	show("stale", [], 0, 1, { now: now + 3_500_000 });
	show("alarm", ["too_warm_in_the_north_house"], 0, 1);
	return cut;
})()`

// No important text is cut off in small cards, in each language and size.
func TestPageCardsFit(t *testing.T) {
	t.Parallel()
	long(t, againInABrowser)
	b := browsertest.Start(t)
	p := startGateway(t, buildGateway(t), "--simulate", "--config", groupedConfig(t, 16, 1), "--listen", "127.0.0.1:0")
	for _, language := range []string{"en-GB", "tr"} {
		for _, size := range []string{"desktop-light", "phone-light"} {
			options := sights[size]
			options.Language = language
			page := b.Open(t, pageOf(p), options)
			page.Wait(`document.querySelectorAll(".sensor[data-state=live]").length > 10`)
			for _, cut := range browsertest.Eval[[]string](page, cutNotes) {
				t.Errorf("%s, %s: %s", language, size, cut)
			}
			page.Close()
		}
	}
}

// A sensor whose alarm is raised is on top of many, and says so.
func TestPageAlarmOnCard(t *testing.T) {
	t.Parallel()
	long(t, againInABrowser)
	config := mustRead(t, manyConfig(t, 16, 1)) + "alarms:\n  - {name: always, condition: garage.temperature > -40, severity: warning}\n"
	p := startGateway(t, buildGateway(t), "--simulate", "--config", writeFile(t, "gateway.yaml", config), "--listen", "127.0.0.1:0")
	page := openPage(t, browsertest.Start(t), p, browsertest.Options{})
	page.Wait(`((card) => card.dataset.alarm === "true" && card.querySelector("h3").textContent === "garage" && card.querySelector(".note strong").textContent === "Alarm: always")(document.querySelector(".sensor"))`)
}
