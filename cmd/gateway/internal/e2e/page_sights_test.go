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
	"testing"

	"sensorgateway/gateway/dashboard/browsertest"
)

// readmeShot is the picture in the README; it is not compiled in.
const readmeShot = projectRoot + "/gateway/dashboard/screenshot.png"

// TestPageSights takes the pictures that people look at before a change of the
// page is done, and the README's, when GATEWAY_TEST_SIGHTS names a directory:
//
//	GATEWAY_TEST_SIGHTS=/tmp/sights go test -run TestPageSights ./cmd/gateway/internal/e2e
func TestPageSights(t *testing.T) {
	t.Parallel()
	dir := os.Getenv("GATEWAY_TEST_SIGHTS")
	if dir == "" {
		t.Skip("pictures of the page: GATEWAY_TEST_SIGHTS=DIRECTORY takes them")
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	save := func(path string, content []byte) {
		t.Helper()
		if err := os.WriteFile(path, content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
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
		save(filepath.Join(dir, name+".png"), page.Screenshot(false))
		save(filepath.Join(dir, name+"-whole.png"), page.Screenshot(true))
	}
	save(readmeShot, palette(t, pages["desktop-light"].Screenshot(false)))

	many := startGateway(t, buildGateway(t), "--simulate", "--config", manyConfig(t, 16, 5), "--listen", "127.0.0.1:0")
	for name, options := range sights {
		page := openPage(t, b, many, options)
		page.Wait(received + fmt.Sprintf(" > %d", 10*16*seconds))
		save(filepath.Join(dir, "many-"+name+".png"), page.Screenshot(false))
		save(filepath.Join(dir, "many-"+name+"-whole.png"), page.Screenshot(true))
	}

	flaky := startGateway(t, buildGateway(t), "--simulate=flaky", "--listen", "127.0.0.1:0")
	page := openPage(t, b, flaky, sights["desktop-dark"])
	page.Wait(received + fmt.Sprintf(" > %d", 40*3*seconds))
	page.Wait(`document.querySelector(".sensor[data-state=failed]")`)
	save(filepath.Join(dir, "flaky.png"), page.Screenshot(false))
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
