package e2e

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sensorgateway/gateway/access/tokens"
	"sensorgateway/gateway/dashboard/browsertest"
)

// readmeShot is the picture in the README; it is not compiled in.
const readmeShot = projectRoot + "/gateway/dashboard/screenshot.png"

// sightsDir returns where pictures of the page are wanted, and skips the test if
// nowhere.
func sightsDir(t *testing.T) string {
	t.Helper()
	dir := os.Getenv("GATEWAY_TEST_SIGHTS")
	if dir == "" {
		t.Skip("pictures of the page: GATEWAY_TEST_SIGHTS=DIRECTORY takes them")
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// saveSight writes a picture.
func saveSight(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path, content, 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestPageSightsAccount takes pictures of a user who is logged in over a connection that
// others can read: a viewer after an e-stop, and when the session has ended.
func TestPageSightsAccount(t *testing.T) {
	t.Parallel()
	dir, state := sightsDir(t), t.TempDir()
	config := string(simulatedWithoutInterlocks(t)) + "hosts: [greenhouse.example]\n"
	p := startGateway(t, buildGateway(t), "--simulate", "--config", writeFile(t, "gateway.yaml", config), "--listen", "127.0.0.1:0", "--state", state)
	token := addToken(t, state, p, tokens.Token{Name: "display at the door", Role: tokens.Viewer})
	b, pages := browsertest.Start(t), map[string]*browsertest.Page{}
	address := strings.Replace(pageOf(p), "127.0.0.1", "greenhouse.example", 1)
	for name, options := range sights {
		if page := b.Open(t, address+"login", options); len(pages) == 0 {
			saveSight(t, filepath.Join(dir, "login-"+name+".png"), page.Screenshot(false))
			page.Type("#token", token+"\n")
			page.Wait(`document.querySelector("#status")`)
			pages[name] = page
		} else {
			pages[name] = b.Open(t, address, options)
		}
		pages[name].Wait(live)
		typeNick(pages[name], name)
	}
	take := func(what, condition string) {
		for name, page := range pages {
			page.Wait(condition)
			browsertest.Eval[bool](page, `(document.activeElement.blur(), scrollTo(0, 0), true)`)
			saveSight(t, filepath.Join(dir, what+"-"+name+".png"), page.Screenshot(false))
		}
	}
	pages["desktop-light"].Click("#stop-all")
	take("viewer", `document.querySelector("#reset:disabled").checkVisibility()`)
	if err := tokens.Edit(state, func(f *tokens.File) error { return f.Revoke("display at the door") }); err != nil {
		t.Fatal(err)
	}
	take("ended", ended)
}

// TestPageSightsAdmin takes pictures of the administrator's view, with a token that was
// just made.
func TestPageSightsAdmin(t *testing.T) {
	t.Parallel()
	dir, state := sightsDir(t), t.TempDir()
	p := startGateway(t, buildGateway(t), "--simulate", "--config", withoutInterlocks(t), "--listen", "127.0.0.1:0", "--state", state)
	root := addToken(t, state, p, tokens.Token{Name: "root", Role: tokens.Admin, By: "pi"})
	addToken(t, state, p, tokens.Token{Name: "display at the door", Role: tokens.Viewer, By: "pi", Sensors: []string{"indoor", "outdoor"}})
	for name, options := range sights {
		page := logInPage(t, browsertest.Start(t), pageOf(p), root, options)
		administer(page)
		page.Click("#add-token")
		saveSight(t, filepath.Join(dir, "admin-add-"+name+".png"), page.Screenshot(false))
		page.Type("#token-name", "ahmet "+name+"\n")
		page.Wait(`document.querySelector("#made").checkVisibility()`)
		saveSight(t, filepath.Join(dir, "admin-made-"+name+".png"), page.Screenshot(false))
		page.Click("#made-done")
		page.Wait(entryOf("tokens", "ahmet "+name))
		browsertest.Eval[bool](page, `(document.querySelector("#administer").click(), true)`)
		saveSight(t, filepath.Join(dir, "admin-"+name+".png"), page.Screenshot(false))
	}
}

// TestPageSights takes the pictures that people check after a change of the page, and the
// README's picture, if GATEWAY_TEST_SIGHTS names a directory:
//
//	GATEWAY_TEST_SIGHTS=/tmp/sights go test -run TestPageSights ./cmd/gateway/internal/e2e
func TestPageSights(t *testing.T) {
	t.Parallel()
	dir := sightsDir(t)
	b := browsertest.Start(t)
	p := startGateway(t, buildGateway(t), "--simulate", "--listen", "127.0.0.1:0")
	ann, bob := openPage(t, b, p, browsertest.Options{}), openPage(t, b, p, browsertest.Options{})
	pages := map[string]*browsertest.Page{}
	for name, options := range sights {
		pages[name] = openPage(t, b, p, options)
		typeNick(pages[name], name)
	}
	say := func(page *browsertest.Page, nick, text string) {
		if nick != "" {
			typeNick(page, nick)
			page.Wait(`!document.querySelector("#say").hidden`)
		}
		page.Type("#text", text+"\n")
		browsertest.Eval[bool](page, `(document.activeElement.blur(), scrollTo(0, 0), true)`) // or the header may cover a motor's buttons
	}
	const seconds = 10 // readings of each of three sensors a second
	ann.Wait(received + fmt.Sprintf(" > %d", 20*3*seconds))
	say(ann, "ann", "Warm in here. Fan on for a bit.")
	ann.Click(".motor .start")
	ann.Wait(received + fmt.Sprintf(" > %d", 36*3*seconds))
	ann.Click(".motor .stop")
	say(bob, "bob", "Thanks. Greenhouse next?")
	say(ann, "", "After lunch.")
	ann.Wait(received + fmt.Sprintf(" > %d", 64*3*seconds))
	for name, page := range pages {
		page.Wait(coloured + `("humidity") > 100`)
		browsertest.Eval[bool](page, `(document.activeElement.blur(), scrollTo(0, 0), true)`)
		saveSight(t, filepath.Join(dir, name+".png"), page.Screenshot(false))
		saveSight(t, filepath.Join(dir, name+"-whole.png"), page.Screenshot(true))
	}
	saveSight(t, readmeShot, palette(t, pages["desktop-light"].Screenshot(false)))

	wall := openAddress(t, b, pageOf(p)+"?kiosk", browsertest.Options{Width: 1920, Height: 1080, Dark: true})
	wall.Wait(coloured + `("humidity") > 100`)
	saveSight(t, filepath.Join(dir, "kiosk.png"), wall.Screenshot(false))

	many := startGateway(t, buildGateway(t), "--simulate", "--config", manyConfig(t, 16, 5), "--listen", "127.0.0.1:0")
	for name, options := range sights {
		page := openPage(t, b, many, options)
		page.Wait(received + fmt.Sprintf(" > %d", 10*16*seconds))
		saveSight(t, filepath.Join(dir, "many-"+name+".png"), page.Screenshot(false))
		saveSight(t, filepath.Join(dir, "many-"+name+"-whole.png"), page.Screenshot(true))
	}

	flaky := startGateway(t, buildGateway(t), "--simulate=flaky", "--listen", "127.0.0.1:0")
	page := openPage(t, b, flaky, sights["desktop-dark"])
	page.Wait(received + fmt.Sprintf(" > %d", 40*3*seconds))
	page.Wait(`document.querySelector(".sensor[data-state=failed]")`)
	saveSight(t, filepath.Join(dir, "flaky.png"), page.Screenshot(false))
}

// TestPageSightsTurkish takes pictures of the page in Turkish, whose words are longer.
func TestPageSightsTurkish(t *testing.T) {
	t.Parallel()
	dir, state := sightsDir(t), t.TempDir()
	p := startGateway(t, buildGateway(t), "--simulate", "--listen", "127.0.0.1:0", "--state", state)
	root := addToken(t, state, p, tokens.Token{Name: "ayşe", Role: tokens.Admin, By: "pi"})
	for name, options := range sights {
		options.Language = "tr"
		page := logInPage(t, browsertest.Start(t), pageOf(p), root, options)
		administer(page)
		typeNick(page, name)
		page.Wait(`document.querySelectorAll(".sensor[data-state=live]").length > 1 && /\d{3} alındı/.test(document.querySelector("#totals").textContent)`)
		saveSight(t, filepath.Join(dir, "turkish-"+name+"-whole.png"), page.Screenshot(true))
		page.Click("#stop-all")
		page.Wait(`!document.querySelector("#latched").hidden`)
		browsertest.Eval[bool](page, `(document.activeElement.blur(), scrollTo(0, 0), true)`)
		saveSight(t, filepath.Join(dir, "turkish-"+name+".png"), page.Screenshot(false))
		if wide := browsertest.Eval[[]string](page, `[...document.querySelectorAll("body *")].filter((e) => e.checkVisibility() && e.scrollWidth > e.clientWidth + 1 && getComputedStyle(e).overflowX === "visible" && getComputedStyle(e).display !== "inline" && e.clientWidth > 1).map((e) => e.outerHTML.slice(0, 120))`); len(wide) > 0 {
			t.Errorf("%s: wider than their place: %q", name, wide)
		}
		resetEStop(page)
	}
}

// palette packs a picture of few colours: the most frequent 255 of them.
func palette(t *testing.T, shot []byte) []byte {
	t.Helper()
	picture, err := png.Decode(bytes.NewReader(shot))
	if err != nil {
		t.Fatal(err)
	}
	bounds, counts := picture.Bounds(), map[color.Color]int{}
	for y := bounds.Min.Y; y < bounds.Max.Y; y++ {
		for x := bounds.Min.X; x < bounds.Max.X; x++ {
			counts[picture.At(x, y)]++
		}
	}
	colours := make(color.Palette, 0, len(counts))
	for c := range counts {
		colours = append(colours, c)
	}
	slices.SortFunc(colours, func(a, b color.Color) int { return counts[b] - counts[a] })
	packed := image.NewPaletted(bounds, colours[:min(len(colours), 255)])
	for y := bounds.Min.Y; y < bounds.Max.Y; y++ {
		for x := bounds.Min.X; x < bounds.Max.X; x++ {
			packed.Set(x, y, picture.At(x, y))
		}
	}
	var out bytes.Buffer
	if err := (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(&out, packed); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// The README's picture is there, and small.
func TestReadmeShot(t *testing.T) {
	t.Parallel()
	info, err := os.Stat(readmeShot)
	if err != nil {
		t.Fatal(err)
	}
	if info.Size() > 60_000 {
		t.Errorf("%s is %d bytes, want 60,000 at most", readmeShot, info.Size())
	}
}
