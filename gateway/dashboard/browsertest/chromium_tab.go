package browsertest

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"sync"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	cdpinput "github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// chromiumTab is a tab of Chromium, which speaks the DevTools protocol.
type chromiumTab struct{ ctx context.Context }

func newChromiumTab(browser context.Context, p *Page, o Options) (tab, func(), error) {
	ctx, cancel := chromedp.NewContext(browser)
	c := &chromiumTab{ctx}
	var watchers sync.WaitGroup
	end := func() { cancel(); watchers.Wait() }
	c.watch(p, &watchers)
	scale, scheme := 1.0, "light"
	if o.Phone {
		scale = 2
	}
	if o.Dark {
		scheme = "dark"
	}
	limited, enough := context.WithTimeout(ctx, patience)
	defer enough()
	steps := []chromedp.Action[chromedp.Void]{
		send(log.Enable, cdp.Empty{}), send(runtime.Enable, cdp.Empty{}), send(network.Enable, network.EnableParams{}),
		send(emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: o.Width, Height: o.Height, DeviceScaleFactor: scale, Mobile: o.Phone}),
		send(emulation.SetTouchEmulationEnabled, emulation.SetTouchEmulationEnabledParams{Enabled: o.Phone, MaxTouchPoints: 2}),
		send(emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}}),
		send(page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: o.script()}),
	}
	steps = append(steps, send(emulation.SetUserAgentOverride, emulation.SetUserAgentOverrideParams{AcceptLanguage: cmp.Or(o.Language, "en-GB")}))
	if err := chromedp.Do(limited, steps...); err != nil {
		end()
		return nil, nil, err
	}
	return c, end, nil
}

// send is a command of the protocol as an action of chromedp.
func send[P, R any](command cdp.Command[P, R], params P) chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		if _, err := cdp.Call(ctx, t, command, params); err != nil {
			return fmt.Errorf("%s: %w", command.Method, err)
		}
		return nil
	})
}

// watch notes what must not happen.
func (c *chromiumTab) watch(p *Page, watchers *sync.WaitGroup) {
	each(c.ctx, watchers, runtime.ExceptionThrown, func(e runtime.EventExceptionThrown) {
		words := e.ExceptionDetails.Text
		if e.ExceptionDetails.Exception != nil {
			words += " " + e.ExceptionDetails.Exception.Description
		}
		p.fail("exception: %s", words)
	})
	each(c.ctx, watchers, runtime.ConsoleAPICalled, func(e runtime.EventConsoleAPICalled) {
		if e.Type == "error" || e.Type == "warning" {
			words := ""
			for _, a := range e.Args {
				words += " " + string(a.Value) + a.Description
			}
			p.fail("console.%s:%s", e.Type, words)
		}
	})
	each(c.ctx, watchers, log.EntryAdded, func(e log.EventEntryAdded) { // violations of the policy too
		if strings.Contains(e.Entry.Text, "ERR_NETWORK_CHANGED") || strings.Contains(e.Entry.Text, "ERR_SOCKET_NOT_CONNECTED") {
			p.mu.Lock()
			p.interrupted = true
			p.mu.Unlock()
			return
		}
		if e.Entry.Level == "error" || e.Entry.Level == "warning" {
			p.fail("%s %s: %s %s", e.Entry.Source, e.Entry.Level, e.Entry.Text, e.Entry.URL)
		}
	})
	each(c.ctx, watchers, network.RequestWillBeSent, func(e network.EventRequestWillBeSent) { p.sees(e.Request.URL) })
	each(c.ctx, watchers, network.WebSocketCreated, func(e network.EventWebSocketCreated) { p.sees(e.URL) })
}

// each calls f with each event, until the tab's context ends.
func each[E any](tab context.Context, watchers *sync.WaitGroup, event cdp.Event[E], f func(E)) {
	events := chromedp.Events(tab, event)
	watchers.Go(func() {
		for e, err := range events {
			if err != nil {
				return
			}
			f(e)
		}
	})
}

// within is the tab's context with the deadline of another.
func (c *chromiumTab) within(ctx context.Context) (context.Context, context.CancelFunc) {
	if end, limited := ctx.Deadline(); limited {
		return context.WithDeadline(c.ctx, end)
	}
	return context.WithCancel(c.ctx)
}

func (c *chromiumTab) navigate(ctx context.Context, address string) error {
	ctx, cancel := c.within(ctx)
	defer cancel()
	return chromedp.Do(ctx, chromedp.Navigate(address))
}

func (c *chromiumTab) evaluate(ctx context.Context, expression string) (string, error) {
	ctx, cancel := c.within(ctx)
	defer cancel()
	text, err := chromedp.Run(ctx, chromedp.Evaluate[string](expression, chromedp.EvalAwaitPromise))
	if err != nil && (strings.Contains(err.Error(), "navigated") || strings.Contains(err.Error(), "context")) {
		err = fmt.Errorf("%w: %w", errLeft, err)
	}
	return text, err
}

func (c *chromiumTab) perform(ctx context.Context, in input) error {
	ctx, cancel := c.within(ctx)
	defer cancel()
	if in.keys != "" {
		return chromedp.Do(ctx, chromedp.KeyEvent(in.keys))
	}
	mouse := func(kind cdpinput.DispatchMouseEventType, at point, more cdpinput.DispatchMouseEventParams) chromedp.Action[chromedp.Void] {
		more.Type, more.X, more.Y = kind, at.X, at.Y
		return send(cdpinput.DispatchMouseEvent, more)
	}
	if len(in.mouse) == 0 {
		turn := cdp.Command[object, cdp.Empty]{Method: cdpinput.DispatchMouseEvent.Method} // whose own parameters leave out a zero, which this needs
		modifiers := 0
		if in.wheel.shift {
			modifiers = 8 // https://chromedevtools.github.io/devtools-protocol/tot/Input/#method-dispatchMouseEvent
		}
		return chromedp.Do(ctx, send(turn, object{"type": "mouseWheel", "x": in.wheel.at.X, "y": in.wheel.at.Y, "deltaX": 0, "deltaY": in.wheel.down, "modifiers": modifiers}))
	}
	left := cdpinput.DispatchMouseEventParams{Button: "left", ClickCount: 1}
	first, last := in.mouse[0], in.mouse[len(in.mouse)-1]
	steps := []chromedp.Action[chromedp.Void]{mouse("mouseMoved", first, cdpinput.DispatchMouseEventParams{}), mouse("mousePressed", first, left)}
	for _, at := range in.mouse[1:] {
		steps = append(steps, mouse("mouseMoved", at, cdpinput.DispatchMouseEventParams{Button: "left", Buttons: 1}))
	}
	return chromedp.Do(ctx, append(steps, mouse("mouseReleased", last, left))...)
}
