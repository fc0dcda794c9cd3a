//go:build unix

package e2e

import (
	"syscall"
	"testing"

	"sensorgateway/gateway/dashboard/browsertest"
)

// When a gateway sends nothing more, but does not close the connection, its readings are
// shown as stale at first; then the page connects again. Older readings are not shown as
// live.
func TestPageSilence(t *testing.T) {
	t.Parallel()
	long(t, againInABrowser)
	b := browsertest.Start(t)
	p := startGateway(t, buildGateway(t), "--simulate", "--listen", "127.0.0.1:0")
	page := openPage(t, b, p, browsertest.Options{})
	page.Wait(received + ` > 30`)
	if err := p.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	page.Wait(`/^stale \d+ s$/.test(document.querySelector("#status-text").textContent)`)
	page.Wait(`document.querySelectorAll(".sensor[data-state=stale]").length === 3`)
	page.Wait(`/^reconnecting/.test(document.querySelector("#status-text").textContent)`)
	if err := p.cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	page.Wait(live + ` && document.querySelectorAll(".sensor[data-state=stale]").length === 0`)
}
