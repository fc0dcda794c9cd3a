//go:build unix

package e2e

import (
	"path"
	"strings"
	"testing"

	"sensorgateway/gateway/dashboard/browsertest"
)

// startShown starts a hub, and a gateway of its fleet, pi-1, which it shows to the holder
// of a token.
func startShown(t *testing.T) (h *hubProcess, token string) {
	t.Helper()
	m := startMosquitto(t, "allow_anonymous true")
	h = startHub(t, "--broker", "mqtt://"+m.Address, "--site", "lab")
	h.await(t, "connected to the broker")
	device := t.TempDir()
	h.want("pi-1", h.enroll(device, "pi-1", h.code("--site", "lab"))...)
	h.want("pi-2", h.enroll(t.TempDir(), "pi-2", h.code("--site", "lab"))...)
	token = h.want("gwt_", "token", "add", "anna", "--gateways", "site:lab", "--role", "operator", "--state", h.state)
	config := writeFile(t, "gateway.yaml", string(simulatedWithoutInterlocks(t))+"uplink: {}\n")
	startGateway(t, h.program, "--simulate", "--config", config, "--listen", "127.0.0.1:0", "--state", device)
	h.awaitAnswer("/gateways/pi-1/api/v1/motors", token, `"motor_1"`)
	return h, token
}

// logIn logs in with the page that is shown.
func logIn(page *browsertest.Page, token string) {
	page.Wait(`document.querySelector("#token")`)
	page.Type("#token", token+"\n")
	page.Wait(`document.querySelector("#status")`)
}

// TestPagesOfAHub: users can log in on every page of a hub, and return to that page; they go
// from the overview to a gateway and back; and the page of a gateway on a hub shows the
// numbers of the gateway's machine, with their age.
func TestPagesOfAHub(t *testing.T) {
	t.Parallel()
	long(t, "it logs in and out of a hub in two browsers")
	h, anna := startShown(t)
	browsertest.Each(t, func(t *testing.T, b *browsertest.Browser) {
		name := path.Base(t.Name())
		own := h.want("gwt_", "token", "add", name, "--gateways", "pi-1", "--state", h.state)
		h.awaitAnswer("/api/v1/gateways", own, "pi-1")
		address := h.url + "/gateways/pi-1/"
		page := b.Open(t, address+"#range=15m", browsertest.Options{})
		at := func(want string) {
			t.Helper()
			if got := browsertest.Eval[string](page, `location.href`); got != want {
				t.Errorf("the page is %s, want %s", got, want)
			}
		}
		logIn(page, anna)
		page.Wait(live + ` && ` + who + ` === "anna · operator"`)
		at(address + "#range=15m")
		page.Wait(`document.querySelector("#fleet").checkVisibility()`)
		page.Click("#machine-fold summary")
		page.Wait(`/ used$/.test(document.querySelector("#machine-fold [data-of=memory]").textContent) && / ago$/.test(document.querySelector("#machine-state").textContent)`)
		links := browsertest.Eval[[]string](page, `Promise.all([...document.querySelectorAll("header a[href]:not(.notice a), footer a[href]")].map(async ({ href }) => ((await fetch(href)).ok ? "" : href))).then((all) => [String(all.length), ...all.filter(Boolean)])`)
		if len(links) != 1 || links[0] == "0" {
			t.Errorf("links that lead nowhere, after how many there are: %q", links)
		}
		page.Click("#fleet")
		page.Wait(`document.querySelector(".gateway") && ` + who + ` === "anna · operator"`)
		at(h.url + "/")
		page.Click(`.gateway a[href="gateways/pi-1/"]`)
		page.Wait(live)
		at(address)
		page.Click("#log-out")
		logIn(page, own) // the page to log in is shown in place of the gateway's
		page.Wait(live + ` && ` + who + ` === ` + "`" + name + " · viewer`")
		at(address)
		h.want("", "token", "revoke", name, "--state", h.state)
		page.Wait(ended)
		page.Click("#enter a")
		logIn(page, anna)
		page.Wait(live)
		at(address)
		page.Navigate(h.url + "/")
		page.Wait(`document.querySelector("#log-out").checkVisibility()`)
		page.Click("#log-out")
		page.Wait(`document.querySelector("#token")`)
		at(h.url + "/")
		for _, failure := range page.Failures() {
			// Firefox requests an icon for the page to log in, which has none, and is refused.
			if !strings.Contains(failure, "401") && !strings.Contains(failure, "/favicon.ico") {
				t.Errorf("must not happen: %s", failure)
			}
		}
	})
}

// TestPagesOfAHubKeepAxesRules checks the overview, and the page of a gateway on a hub.
func TestPagesOfAHubKeepAxesRules(t *testing.T) {
	t.Parallel()
	long(t, "it checks all rules of axe-core on two pages, four times")
	b, axe := browsertest.Start(t), browsertest.FindAxe(t)
	h, anna := startShown(t)
	page := b.Open(t, h.url+"/", browsertest.Options{})
	logIn(page, anna)
	for name, options := range sights {
		t.Run(name, func(t *testing.T) {
			page := b.Open(t, h.url+"/", options)
			page.Wait(`document.querySelectorAll(".gateway").length === 2 && document.querySelector("#log-out").checkVisibility()`)
			axe.Check(page, "the overview")
			page.Click(`.gateway a[href="gateways/pi-1/"]`)
			page.Wait(live + ` && document.querySelector("#temperature canvas") && document.querySelector("#fleet").checkVisibility()`)
			axe.Check(page, "a gateway")
		})
	}
}
