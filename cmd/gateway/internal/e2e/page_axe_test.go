package e2e

import (
	"testing"

	"sensorgateway/gateway/access/tokens"
	"sensorgateway/gateway/dashboard/browsertest"
)

// The page keeps all of axe's rules, in both sizes and colour schemes: with many sensors and
// motors, after an e-stop, in the administrator's view, and in the page to log in.
func TestPageKeepsAxesRules(t *testing.T) {
	t.Parallel()
	long(t, "it checks all rules of axe-core on five views, four times")
	b := browsertest.Start(t)
	axe := browsertest.FindAxe(t)
	state := t.TempDir()
	p := startGateway(t, buildGateway(t), "--simulate", "--config", manyConfig(t, 16, 5), "--listen", "127.0.0.1:0", "--state", state)
	root := addToken(t, state, p, tokens.Token{Name: "root", Role: tokens.Admin})
	for name, options := range sights {
		t.Run(name, func(t *testing.T) {
			page := b.Open(t, pageOf(p)+"login", options)
			page.Wait(`document.querySelector("#token")`)
			axe.Check(page, "login")
			page.Type("#token", root+"\n")
			page.Wait(`document.querySelector("#status")`)
			page.Wait(live + ` && document.querySelectorAll(".sensor[data-state=live]").length > 10`)
			page.Wait(`document.querySelector("#temperature canvas")`) // the charts have come, which are a part of their own
			// It may move under the mouse while the rest of the page loads.
			page.Wait(`document.querySelector("#as-table").ariaPressed === "true" || document.querySelector("#as-table").click()`)
			page.Wait(`document.querySelectorAll("#table tbody tr").length > 3`)
			axe.Check(page, "live, with the table")
			administer(page)
			page.Click("#add-token")
			axe.Check(page, "a token is being made")
			page.Type("#token-name", name+"\n")
			page.Wait(`document.querySelector("#made").checkVisibility()`)
			axe.Check(page, "a token was made")
			typeNick(page, name)
			page.Wait(`!document.querySelector("#say").hidden`)
			page.Click("#stop-all")
			page.Wait(`document.querySelector("#stop-alert").dataset.state === "done" && !document.querySelector("#latched").hidden`)
			page.Click("#reset")
			page.Wait(`document.querySelector("#latched .yes").checkVisibility()`)
			axe.Check(page, "stopped, and asked whether to reset")
			page.Click("#latched .yes")
			page.Wait(`document.querySelector("#latched").hidden`)
		})
	}
}

// The page keeps axe's rules also with groups of sensors, when all groups are shown and when
// one is chosen.
func TestPageOfGroupsKeepsAxesRules(t *testing.T) {
	t.Parallel()
	long(t, "it checks all rules of axe-core on two views, four times")
	b := browsertest.Start(t)
	axe := browsertest.FindAxe(t)
	p := startGateway(t, buildGateway(t), "--simulate", "--config", groupedConfig(t, 16, 4), "--listen", "127.0.0.1:0")
	for name, options := range sights {
		t.Run(name, func(t *testing.T) {
			page := openPage(t, b, p, options)
			page.Wait(`document.querySelectorAll("#sensors section").length === 4 && document.querySelector("#temperature canvas")`)
			axe.Check(page, "all groups")
			browsertest.Eval[bool](page, `(location.hash = "#group=Bravo%20%26%20yard", true)`)
			page.Wait(`document.querySelector("#group").value === "Bravo & yard" && [...document.querySelectorAll(".sensor")].filter((e) => e.checkVisibility()).length === 4`)
			axe.Check(page, "one group")
			page.Close()
		})
	}
}
