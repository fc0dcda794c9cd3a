package browsertest

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/chromedp/chromedp"
)

// Browser is a profile of its own in a Chromium, for one test: it shares nothing
// with those of other tests but the machine.
type Browser struct {
	ctx context.Context
}

// chromium is the process. It starts with the first test that needs it and ends
// with the last one of those that run at the same time.
var chromium struct {
	sync.Mutex
	users int
	ctx   context.Context // valid while there are users
	stop  func()
}

// Start returns a browser that ends with the test. Without Chromium the test is
// skipped, or fails if GATEWAY_TEST_ALL is set; with -short, which is for other
// processors, it is skipped too: the page is the same on all of them.
func Start(t testing.TB) *Browser {
	t.Helper()
	if testing.Short() {
		t.Skip("in a browser: not with -short")
	}
	path := find()
	switch {
	case path == "" && os.Getenv("GATEWAY_TEST_ALL") != "":
		t.Fatal("no chromium here (Debian package chromium)")
	case path == "":
		t.Skip("no chromium here (Debian package chromium)")
	}
	chromium.Lock()
	defer chromium.Unlock()
	if chromium.users == 0 {
		ctx, stop, err := launch(path)
		if err != nil {
			t.Fatalf("%s does not start: %v", path, err)
		}
		chromium.ctx, chromium.stop = ctx, stop
	}
	chromium.users++
	ctx, cancel := chromedp.NewContext(chromium.ctx, chromedp.WithNewBrowserContext())
	t.Cleanup(func() {
		cancel()
		chromium.Lock()
		defer chromium.Unlock()
		if chromium.users--; chromium.users == 0 {
			chromium.stop()
		}
	})
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("%s has no new profile: %v", path, err)
	}
	return &Browser{ctx}
}

// launch starts the Chromium at path; stop ends it and removes its files.
func launch(path string) (ctx context.Context, stop func(), err error) {
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

func find() string {
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	return ""
}
