package e2e

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/chromedp/chromedp/kb"

	"sensorgateway/gateway/dashboard/browsertest"
)

// On a wall, the page shows all that it knows, and nothing of it can be operated; pages
// of origins that may connect may embed that, and no others.
func TestPageKiosk(t *testing.T) {
	t.Parallel()
	embeds := http.NewServeMux()
	theirs := httptest.NewServer(embeds)
	defer theirs.Close()
	p := startGateway(t, buildGateway(t), "--simulate", "--listen", "127.0.0.1:0",
		"--config", writeFile(t, "gateway.yaml", string(simulatedWithoutInterlocks(t))+fmt.Sprintf("origins: [%q]\n", theirs.URL)))
	embeds.HandleFunc("/{$}", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprintf(w, `<!doctype html><iframe src="%s?%s" width="900" height="700"></iframe>`, pageOf(p), r.URL.RawQuery)
	})
	b := browsertest.Start(t)
	page := openAddress(t, b, pageOf(p)+"?kiosk#range=15m", browsertest.Options{Width: 1920, Height: 1080})
	page.Wait(`document.querySelectorAll(".sensor[data-state=live]").length > 1 && document.querySelector(".motor .state").textContent === "off" && ` + coloured + `("temperature") > 100`)
	if controls := browsertest.Eval[[]string](page, `[...document.querySelectorAll("a, button, input, select, summary, [tabindex]")].filter((e) => e.tabIndex >= 0 && e.checkVisibility() && !e.closest("[inert]")).map((e) => e.outerHTML)`); len(controls) > 0 {
		t.Errorf("can be operated: %q", controls)
	}
	page.Keys(kb.Escape + kb.Escape)
	other := openPage(t, b, p, browsertest.Options{})
	other.Click("#stop-all")
	page.Wait(`document.querySelector("#latched p").textContent.startsWith("Emergency stop by ")`)
	if pressed := browsertest.Eval[bool](page, `"state" in document.querySelector("#stop-alert").dataset`); pressed {
		t.Error("two Escapes stopped all motors")
	}
	resetEStop(other)
	page.Wait(`document.querySelector("#latched").hidden`)

	strangers := httptest.NewServer(embeds)
	defer strangers.Close()
	for address, allowed := range map[string]bool{theirs.URL + "/?kiosk": true, theirs.URL + "/?": false, strangers.URL + "/?kiosk": false} {
		frame := b.Open(t, address, browsertest.Options{})
		seen := ""
		await(t, address+" has the gateway's page in its frame, or is refused it", func() bool {
			seen += strings.Join(frame.Failures(), "\n")
			return strings.Contains(seen, p.URL) || strings.Contains(seen, "frame-ancestors")
		})
		if strings.Contains(seen, "frame-ancestors") == allowed {
			t.Errorf("%s, embedded %t, want %t:\n%s", address, !allowed, allowed, seen)
		}
	}
}
