package e2e

import (
	"os"
	"strings"
	"testing"

	"sensorgateway/gateway/access/tokens"
	"sensorgateway/gateway/dashboard/browsertest"
	"sensorgateway/wire"
)

// Two operators at their pages pass on control of a motor. Everybody sees who has it; the one
// who is asked has a limited time to answer; only the one in control may start; all may stop.
func TestPageControl(t *testing.T) {
	t.Parallel()
	long(t, "it opens the pages of three people")
	access, err := os.ReadFile("testdata/page/access.js")
	if err != nil {
		t.Fatal(err)
	}
	state := t.TempDir()
	p := startGateway(t, buildGateway(t), "--simulate", "--config", withoutInterlocks(t), "--listen", "127.0.0.1:0", "--state", state)
	texts := map[string]string{}
	for name, role := range map[string]tokens.Role{"ahmet": tokens.Operator, "mehmet": tokens.Operator, "display": tokens.Viewer} {
		texts[name] = addToken(t, state, p, tokens.Token{Name: name, Role: role})
	}
	const (
		whoHas  = `document.querySelector(".control .who").textContent`
		ask     = `document.querySelector(".control .ask")`
		asking  = `document.querySelector(".control .asking").textContent`
		left    = `document.querySelector(".control .left").textContent`
		started = `document.querySelector(".motor").dataset.running === "true"`
		room    = `[...document.querySelectorAll("#log .motor span")].map((e) => e.textContent).join("; ")`
	)
	ahmet := logInPage(t, browsertest.Start(t), pageOf(p), texts["ahmet"], browsertest.Options{})
	mehmet := logInPage(t, browsertest.Start(t), pageOf(p), texts["mehmet"], sights["phone-light"])
	ahmet.Wait(whoHas + ` === "" && ` + ask + `.textContent === "Request control" && !` + ask + `.disabled`)
	ahmet.Click(".control .ask")
	ahmet.Wait(whoHas + `.startsWith("You have control since ") && ` + ask + `.textContent === "Release control"`)
	mehmet.Wait(whoHas + `.startsWith("ahmet has control since ") && document.querySelector(".motor .start").disabled && document.querySelector(".motor fieldset").disabled`)
	ahmet.Click(".motor .start")
	mehmet.Wait(started)
	mehmet.Click(".motor .stop")
	ahmet.Wait(`!(` + started + `)`)

	mehmet.Click(".control .ask")
	mehmet.Wait(whoHas + `.endsWith("You wait for control.") && ` + ask + `.textContent === "Withdraw request"`)
	ahmet.Wait(asking + ` === "mehmet requests control of motor_1." && /^\d+ s left$/.test(` + left + `)`)
	for _, wrong := range append(browsertest.Eval[[]string](ahmet, string(access)), ahmet.Nameless()...) {
		t.Error(wrong)
	}
	ahmet.Click(".control .deny")
	mehmet.Wait(whoHas + `.startsWith("ahmet has control since ") && ` + ask + `.textContent === "Request control"`)
	ahmet.Wait(asking + ` === "" && ` + left + ` === "" && !document.querySelector(".control .answer").checkVisibility()`)
	mehmet.Click(".control .ask")
	ahmet.Wait(`document.querySelector(".control .grant").checkVisibility()`)
	ahmet.Click(".control .grant")
	mehmet.Wait(whoHas + `.startsWith("You have control since ") && !document.querySelector(".motor .start").disabled`)
	ahmet.Wait(whoHas + `.startsWith("mehmet has control since ") && document.querySelector(".motor .start").disabled`)
	mehmet.Wait(room + `.endsWith("ahmet denied mehmet control; mehmet requests control from ahmet; mehmet has control now")`)

	// A viewer sees who has control, and may not request it; a program passes it on all the same.
	display := logInPage(t, browsertest.Start(t), pageOf(p), texts["display"], browsertest.Options{})
	display.Wait(whoHas + `.startsWith("mehmet has control since ") && ` + ask + `.disabled`)
	program := joinParty(t, p.URL, texts["ahmet"], wire.ReadingsV2)
	if a := program.control("request"); a.Type != "ack" {
		t.Fatalf("%+v", a)
	}
	mehmet.Wait(asking + ` === "ahmet requests control of motor_1."`)
	mehmet.Click(".control .ask") // release: the client that waits gets it
	mehmet.Wait(whoHas + `.startsWith("ahmet has control since ")`)
	program.Close()
	mehmet.Wait(whoHas + ` === "" && !document.querySelector(".motor .start").disabled`)
	if got := browsertest.Eval[string](display, room); !strings.HasSuffix(got, "nobody has control any more (ahmet is gone)") {
		display.Wait(room + `.endsWith("nobody has control any more (ahmet is gone)")`)
	}
	p.Kill(t)
	ahmet.Wait(whoHas + ` === "" && ` + ask + `.disabled`)
}

// A client without a name is known by its address, which its page learns from the acknowledgement.
func TestPageControlWithoutName(t *testing.T) {
	t.Parallel()
	long(t, againInABrowser)
	p := startGateway(t, buildGateway(t), "--simulate", "--config", withoutInterlocks(t), "--listen", "127.0.0.1:0")
	page := openPage(t, browsertest.Start(t), p, browsertest.Options{})
	page.Click(".control .ask")
	page.Wait(`document.querySelector(".control .who").textContent.startsWith("You have control since ") && !document.querySelector(".motor .start").disabled`)
	other := joinParty(t, p.URL, "", wire.ReadingsV2)
	if a := other.control("request"); a.Type != "ack" {
		t.Fatalf("%+v", a)
	}
	page.Wait(`document.querySelector(".control .asking").textContent.endsWith(" requests control of motor_1.")`)
	page.Click(".control .grant")
	page.Wait(`document.querySelector(".motor .start").disabled && document.querySelector(".control .ask").textContent === "Request control"`)
	if a := other.control("release"); a.Type != "ack" {
		t.Errorf("%+v", a)
	}
	page.Wait(`!document.querySelector(".motor .start").disabled && document.querySelector(".control .who").textContent === ""`)
}
