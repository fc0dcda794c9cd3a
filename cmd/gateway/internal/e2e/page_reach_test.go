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
