// Package browsertest drives a headless Chromium for tests of the page. Only
// tests import it. It refuses to know what is tested: it opens pages, waits for
// conditions, and remembers what must never happen, such as a word on the console.
package browsertest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/accessibility"
	"github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// patience is how long a condition may take on a busy machine: a browser that shares
// two cores with ten other programs has stood still for more than a minute.
const patience = 3 * time.Minute

// Options is what a page is like; the zero value is a desktop in light colours.
type Options struct {
	Width, Height int64 // CSS pixels; 0: 1280 by 900
	Phone         bool  // touch, two device pixels a CSS pixel
	Dark          bool
	Language      string // as Accept-Language has it; "": that of launch
	Script        string // runs before the page's own
}

// Page is one tab.
type Page struct {
	// Close closes the tab, before the test ends.
	Close func()

	t    testing.TB
	ctx  context.Context
	host string

	mu       sync.Mutex
	failures []string // console errors, uncaught exceptions, violations, requests elsewhere
	// networkChanged says that the machine got or lost a network interface, when a
	// browser ends all that is being fetched; the page loads itself again.
	networkChanged bool
}

// Open opens url in a new tab.
func (b *Browser) Open(t testing.TB, address string, o Options) *Page {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := chromedp.NewContext(b.ctx)
	p := &Page{t: t, ctx: ctx, host: u.Host}
	var watchers sync.WaitGroup
	p.Close = func() { cancel(); watchers.Wait() }
	t.Cleanup(p.Close)
	p.watch(&watchers)
	if o.Width == 0 {
		o.Width, o.Height = 1280, 900
	}
	scale, scheme := 1.0, "light"
	if o.Phone {
		scale = 2
	}
	if o.Dark {
		scheme = "dark"
	}
	call(p, log.Enable, cdp.Empty{})
	call(p, runtime.Enable, cdp.Empty{})
	call(p, network.Enable, network.EnableParams{})
	call(p, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: o.Width, Height: o.Height, DeviceScaleFactor: scale, Mobile: o.Phone})
	call(p, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}})
	if o.Language != "" {
		call(p, emulation.SetUserAgentOverride, emulation.SetUserAgentOverrideParams{AcceptLanguage: o.Language})
	}
	if o.Script != "" {
		call(p, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: o.Script})
	}
	p.Do(chromedp.Navigate(address))
	return p
}

// watch notes what must not happen.
func (p *Page) watch(watchers *sync.WaitGroup) {
	each(p, watchers, runtime.ExceptionThrown, func(e runtime.EventExceptionThrown) {
		words := e.ExceptionDetails.Text
		if e.ExceptionDetails.Exception != nil {
			words += " " + e.ExceptionDetails.Exception.Description
		}
		p.fail("exception: %s", words)
	})
	each(p, watchers, runtime.ConsoleAPICalled, func(e runtime.EventConsoleAPICalled) {
		if e.Type == "error" || e.Type == "warning" {
			words := ""
			for _, a := range e.Args {
				words += " " + string(a.Value) + a.Description
			}
			p.fail("console.%s:%s", e.Type, words)
		}
	})
	each(p, watchers, log.EntryAdded, func(e log.EventEntryAdded) { // violations of the policy too
		if strings.Contains(e.Entry.Text, "ERR_NETWORK_CHANGED") {
			p.mu.Lock()
			p.networkChanged = true
			p.mu.Unlock()
			return
		}
		if e.Entry.Level == "error" || e.Entry.Level == "warning" {
			p.fail("%s %s: %s %s", e.Entry.Source, e.Entry.Level, e.Entry.Text, e.Entry.URL)
		}
	})
	each(p, watchers, network.RequestWillBeSent, func(e network.EventRequestWillBeSent) { p.sees(e.Request.URL) })
	each(p, watchers, network.WebSocketCreated, func(e network.EventWebSocketCreated) { p.sees(e.URL) })
}

// each calls f with each event, until the page's context ends.
func each[E any](p *Page, watchers *sync.WaitGroup, event cdp.Event[E], f func(E)) {
	events := chromedp.Events(p.ctx, event)
	watchers.Go(func() {
		for e, err := range events {
			if err != nil {
				return
			}
			f(e)
		}
	})
}

func (p *Page) sees(address string) {
	u, err := url.Parse(address)
	if err != nil || u.Host != p.host && u.Scheme != "data" && u.Scheme != "blob" {
		p.fail("request leaves the host: %s", address)
	}
}

func (p *Page) fail(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.failures = append(p.failures, fmt.Sprintf(format, args...))
}

// Failures returns what should not have happened since the last call.
func (p *Page) Failures() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	f := p.failures
	p.failures = nil
	if p.networkChanged {
		f = slices.DeleteFunc(f, func(failure string) bool { return strings.Contains(failure, "dynamically imported module") })
	}
	return f
}

// bounded returns the page's context with a limit for one action.
func (p *Page) bounded() (context.Context, context.CancelFunc) {
	return context.WithTimeout(p.ctx, patience)
}

// call sends a command of the browser's protocol.
func call[P, R any](p *Page, command cdp.Command[P, R], params P) R {
	p.t.Helper()
	ctx, cancel := p.bounded()
	defer cancel()
	answer, err := chromedp.Call(ctx, command, params)
	if err != nil {
		p.t.Fatalf("%s: %v", command.Method, err)
	}
	return answer
}

// Do carries out actions of chromedp.
func (p *Page) Do(steps ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	ctx, cancel := p.bounded()
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		p.t.Fatalf("%v\nfailures: %q", err, p.Failures())
	}
}

// Eval evaluates a JavaScript expression, awaits it if it is a promise, and
// returns its value, which must be a T in JSON.
func Eval[T any](p *Page, expression string) T {
	p.t.Helper()
	ctx, cancel := p.bounded()
	defer cancel()
	value, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	if err != nil {
		p.t.Fatalf("%s: %v\nfailures: %q", expression, err, p.Failures())
	}
	return value
}

// Wait waits until the JavaScript condition holds. (chromedp's own Poll makes a
// function from text, which the page's policy forbids.)
func (p *Page) Wait(condition string) {
	p.t.Helper()
	ctx, cancel := p.bounded()
	defer cancel()
	script := `new Promise((then) => {
		const end = Date.now() + 1000;
		const check = () => { if (document.readyState !== "loading" && (` + condition + `)) then(true); else if (Date.now() > end) then(false); else setTimeout(check, 20); };
		check();
	})`
	for {
		// A document that is left takes what waits in it along: then the next one is asked.
		attempt, end := context.WithTimeout(ctx, 10*time.Second)
		holds, err := chromedp.Run(attempt, chromedp.Evaluate[bool](script, chromedp.EvalAwaitPromise))
		end()
		if err == nil && holds {
			return
		}
		if ctx.Err() != nil || err != nil && !left(err) {
			shown, _ := chromedp.Run(p.ctx, chromedp.Evaluate[string](`document.body.innerText`)) // helps whoever reads the failure
			p.t.Fatalf("waiting for %s: %v\nfailures: %q\npage:\n%s", condition, cmp.Or(err, ctx.Err()), p.Failures(), shown)
		}
	}
}

// left reports whether an error says that the page went to another document meanwhile.
func left(err error) bool {
	return errors.Is(err, context.DeadlineExceeded) || strings.Contains(err.Error(), "navigated") || strings.Contains(err.Error(), "context")
}

// Text returns what an element shows.
func (p *Page) Text(selector string) string {
	p.t.Helper()
	return Eval[string](p, fmt.Sprintf("document.querySelector(%q).textContent", selector))
}

// Click clicks on the first element that the selector finds.
func (p *Page) Click(selector string) {
	p.t.Helper()
	p.Do(chromedp.ScrollIntoView(chromedp.CSS(selector)), chromedp.Click(chromedp.CSS(selector)))
}

// Drag drags the mouse across an element, between two parts of its width.
func (p *Page) Drag(selector string, from, to float64) {
	p.t.Helper()
	p.Do(chromedp.ScrollIntoView(chromedp.CSS(selector)))
	box := Eval[struct{ X, Y, Width, Height float64 }](p, fmt.Sprintf("document.querySelector(%q).getBoundingClientRect().toJSON()", selector))
	y := box.Y + box.Height/2
	p.Do(chromedp.DragAndDropXY(box.X+from*box.Width, y, box.X+to*box.Width, y))
}

// Type types into the first element that the selector finds; "\n" is Enter.
func (p *Page) Type(selector, text string) {
	p.t.Helper()
	p.Do(chromedp.SendKeys(chromedp.CSS(selector), text))
}

// Keys presses keys, wherever the focus is.
func (p *Page) Keys(keys string) {
	p.t.Helper()
	p.Do(chromedp.KeyEvent(keys))
}

// Hide minimises the window that the page is in.
func (p *Page) Hide() {
	p.t.Helper()
	p.window(browser.WindowStateMinimized)
}

// Show is the opposite of Hide.
func (p *Page) Show() {
	p.t.Helper()
	p.window(browser.WindowStateNormal)
}

func (p *Page) window(state browser.WindowState) {
	p.t.Helper()
	w := call(p, browser.GetWindowForTarget, browser.GetWindowForTargetParams{})
	call(p, browser.SetWindowBounds, browser.SetWindowBoundsParams{WindowID: w.WindowID, Bounds: &browser.Bounds{WindowState: state}})
}

// Nameless returns what a screen reader could tell nothing of: what can have the
// focus, and has no name or no role, as the browser computes both.
func (p *Page) Nameless() (wrong []string) {
	p.t.Helper()
	tree := call(p, accessibility.GetFullAXTree, accessibility.GetFullAXTreeParams{})
	text := func(v *accessibility.Value) string {
		if v == nil {
			return ""
		}
		return strings.Trim(string(v.Value), `"`)
	}
	for _, node := range tree.Nodes {
		role, name := text(node.Role), text(node.Name)
		for _, property := range node.Properties {
			if property.Name == "focusable" && text(property.Value) == "true" && (name == "" || role == "" || role == "generic") {
				wrong = append(wrong, fmt.Sprintf("a %q with the name %q", role, name))
			}
		}
	}
	if len(tree.Nodes) < 10 {
		wrong = append(wrong, "the browser computes no accessibility")
	}
	return wrong
}

// Cookies returns those that the browser has for the page's address.
func (p *Page) Cookies() []*network.Cookie {
	p.t.Helper()
	return call(p, network.GetCookies, network.GetCookiesParams{}).Cookies
}

// Screenshot returns what is in sight, or the whole page, as PNG.
func (p *Page) Screenshot(whole bool) []byte {
	p.t.Helper()
	ctx, cancel := p.bounded()
	defer cancel()
	take := chromedp.CaptureScreenshot()
	if whole {
		take = chromedp.FullScreenshot(100)
	}
	png, err := chromedp.Run(ctx, take)
	if err != nil {
		p.t.Fatal(err)
	}
	return png
}
