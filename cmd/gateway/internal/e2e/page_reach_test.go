package e2e

import (
	"fmt"
	"testing"

	"sensorgateway/gateway/dashboard/browsertest"
)

// On a telephone with many sensors and motors each part is one tap away, wherever the page
// is scrolled to, and the charts begin within three screens.
func TestPagePartsInReach(t *testing.T) {
	t.Parallel()
	long(t, againInABrowser)
	p := startGateway(t, buildGateway(t), "--simulate", "--config", manyConfig(t, 16, 5), "--listen", "127.0.0.1:0")
	b := browsertest.Start(t)
	page := openPage(t, b, p, sights["phone-light"])
	page.Wait(`document.querySelectorAll(".motor").length === 5 && ` + coloured + `("temperature") > 100`)
	page.Wait(`document.querySelector("#temperature canvas").getBoundingClientRect().top + scrollY < 2200`)
	for _, part := range []string{"motors-section", "now", "alarms-section", "history"} {
		page.Click(fmt.Sprintf("#parts [data-to=%s]", part))
		page.Wait(inSight + fmt.Sprintf(`("#%s h2") && document.activeElement.id === %[1]q`, part))
	}
	checkAccess(t, page, "a part")
	wide := openPage(t, b, p, sights["desktop-light"])
	wide.Wait(`!document.querySelector("#parts").checkVisibility()`) // there they are beside each other
}

// In kiosk mode nobody scrolls: all that the page shows of many sensors, motors and alarms is
// in sight.
func TestPageKioskInSight(t *testing.T) {
	t.Parallel()
	long(t, againInABrowser)
	config := mustRead(t, manyConfig(t, 16, 5)) + "alarms:\n  - {name: always, condition: garage.temperature > -40, severity: warning}\n"
	p := startGateway(t, buildGateway(t), "--simulate", "--config", writeFile(t, "gateway.yaml", config), "--listen", "127.0.0.1:0")
	page := openAddress(t, browsertest.Start(t), pageOf(p)+"?kiosk", browsertest.Options{Width: 1920, Height: 1080})
	page.Wait(`document.querySelectorAll("#alarms .entry").length > 0 && ` + coloured + `("humidity") > 100`)
	page.Wait(`["#alarms .entry", ".motor:last-child", ".charts", ".sensor:last-child"].every((s) => document.querySelector(s).getBoundingClientRect().bottom <= innerHeight)`)
}
