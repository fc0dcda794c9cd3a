package browsertest

import (
	"context"
	"fmt"
	"strings"

	"github.com/chromedp/cdproto/accessibility"
	"github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/cdp"
	cdpinput "github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

// What only Chromium can do. Called on a page in another browser, it ends the test.

// bounded returns the tab's context with a limit for one action.
func (p *Page) bounded() (context.Context, context.CancelFunc) {
	p.t.Helper()
	c, ok := p.tab.(*chromiumTab)
	if !ok {
		p.t.Fatal("only Chromium can do this")
	}
	return context.WithTimeout(c.ctx, patience)
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

// Touch puts fingers on an element, moves them, and lifts them: each begins and ends at a
// part of the element's width.
func (p *Page) Touch(selector string, fingers ...[2]float64) {
	p.t.Helper()
	box := p.reveal(selector)
	touch := func(kind cdpinput.DispatchTouchEventType, way float64) {
		points := []*cdpinput.TouchPoint{}
		for i, f := range fingers {
			if kind != cdpinput.DispatchTouchEventTypeTouchEnd {
				points = append(points, &cdpinput.TouchPoint{X: box.X + (f[0]+way*(f[1]-f[0]))*box.Width, Y: box.Y + box.Height/2, ID: new(float64(i))})
			}
		}
		call(p, cdpinput.DispatchTouchEvent, cdpinput.DispatchTouchEventParams{Type: kind, TouchPoints: points})
	}
	touch(cdpinput.DispatchTouchEventTypeTouchStart, 0)
	const steps = 5
	for i := range steps {
		touch(cdpinput.DispatchTouchEventTypeTouchMove, float64(i+1)/steps)
	}
	touch(cdpinput.DispatchTouchEventTypeTouchEnd, 1)
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

// Freeze does what a browser does with a page that nobody sees for long: it is hidden, its
// connections are closed, and nothing of it runs until it thaws.
func (p *Page) Freeze() {
	p.t.Helper()
	call(p, page.SetWebLifecycleState, page.SetWebLifecycleStateParams{State: "frozen"})
}

// Thaw is the opposite of Freeze: somebody looks at the page again.
func (p *Page) Thaw() {
	p.t.Helper()
	call(p, page.SetWebLifecycleState, page.SetWebLifecycleStateParams{State: "active"})
	p.Hide() // it is hidden until its window changes
	p.Show()
}

// Nameless returns the elements of which a screen reader could say nothing: those that
// can have the focus and have no name or no role, as the browser computes both.
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
