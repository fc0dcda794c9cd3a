package browsertest

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/chromedp/chromedp"
)

// chromium is the process.
var chromium process[context.Context]

// Start returns a profile of a Chromium, which ends with the test.
func Start(t testing.TB) *Browser {
	t.Helper()
	path := find(t, "chromium", "chromium", "chromium-browser", "google-chrome")
	ctx, cancel := chromedp.NewContext(chromium.use(t, path, launchChromium), chromedp.WithNewBrowserContext())
	t.Cleanup(cancel)
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("%s has no new profile: %v", path, err)
	}
	return &Browser{newTab: func(p *Page, o Options) (tab, func(), error) { return newChromiumTab(ctx, p, o) }}
}

// launchChromium starts the Chromium at path; stop ends it and removes its files.
func launchChromium(path string) (ctx context.Context, stop func(), err error) {
	dir, err := os.MkdirTemp("", "gateway-test-browser-")
	if err != nil {
		return nil, nil, err
	}
	remove := func() { _ = os.RemoveAll(dir) } // what stays is in the machine's directory of temporary files
	fonts, err := writeFonts(dir)
	if err != nil {
		remove()
		return nil, nil, err
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path), chromedp.UserDataDir(filepath.Join(dir, "profile")), chromedp.NoSandbox,
		chromedp.Flag("headless", "new"), chromedp.DisableGPU, chromedp.Flag("disable-quic", true),
		// chromedp's own, and two pages for each window that show what is found while somebody types an address.
		chromedp.Flag("disable-features", "Translate,BlinkGenPropertyTrees,WebUIOmniboxPopup,WebUIOmniboxAimPopup,WebUIOmniboxFullPopup"),
		chromedp.Flag("disable-component-update", true), chromedp.Flag("force-color-profile", "srgb"),
		chromedp.Flag("disable-background-timer-throttling", false), chromedp.Flag("disable-renderer-backgrounding", false),
		chromedp.Flag("disable-backgrounding-occluded-windows", false), // a hidden page is to be a hidden page
		// The name that the examples of configs/ have is this machine, with a certificate
		// that "gateway cert" has made; that it is a good one, other tests look at.
		chromedp.Flag("host-resolver-rules", "MAP greenhouse.example 127.0.0.1"), chromedp.Flag("ignore-certificate-errors", true),
		chromedp.Flag("hide-scrollbars", true), chromedp.Flag("lang", "en-GB"), chromedp.Env("LANG=en_GB.UTF-8", "LANGUAGE=en_GB", "TZ=Europe/Berlin", "FONTCONFIG_FILE="+fonts),
	)
	allocator, end := chromedp.NewExecAllocator(context.Background(), options...)
	ctx, leave := chromedp.NewContext(allocator)
	stop = func() { leave(); end(); remove() }
	if err := chromedp.Do(ctx); err != nil {
		stop()
		return nil, nil, err
	}
	return ctx, stop, nil
}

// writeFonts makes the browser's own choice of a typeface the same everywhere: one
// that comes with Debian's chromium. It returns the path of the file that says so.
func writeFonts(dir string) (path string, err error) {
	path = filepath.Join(dir, "fonts.conf")
	return path, os.WriteFile(path, []byte(`<?xml version="1.0"?><!DOCTYPE fontconfig SYSTEM "fonts.dtd"><fontconfig>
		<include ignore_missing="yes">/etc/fonts/fonts.conf</include>
		<match target="pattern"><test name="family"><string>sans-serif</string></test><edit name="family" mode="prepend" binding="strong"><string>Liberation Sans</string></edit></match>
		<match target="pattern"><test name="family"><string>system-ui</string></test><edit name="family" mode="assign" binding="strong"><string>Liberation Sans</string></edit></match>
	</fontconfig>`), 0o600)
}
