package browsertest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"

	"github.com/chromedp/chromedp/kb"
)

// firefoxTab is a tab of Firefox, in a window of its own: in one that is behind another
// a page would be hidden.
type firefoxTab struct {
	session *bidi
	context string
}

// tellViolations writes what the policy forbids on the console, as Chromium does itself.
const tellViolations = `addEventListener("securitypolicyviolation", ({ violatedDirective, blockedURI }) => console.error("policy", violatedDirective, blockedURI), true);`

func newFirefoxTab(session *bidi, profile string, p *Page, o Options) (tab, func(), error) {
	if o.Phone || o.Dark {
		return nil, nil, errors.New("phones and dark colours are emulated in Chromium only")
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var made struct{ Context string }
	if err := session.call(ctx, "browsingContext.create", object{"type": "window", "userContext": profile}, &made); err != nil {
		return nil, nil, err
	}
	f := &firefoxTab{session, made.Context}
	session.listen(f.context, func(m bidiMessage) { watchFirefox(p, m) })
	end := func() {
		session.listen(f.context, nil)
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := f.call(ctx, "browsingContext.close", object{}, nil); err != nil {
			p.t.Errorf("a tab stays: %v", err)
		}
	}
	err := f.call(ctx, "browsingContext.setViewport", object{"viewport": object{"width": o.Width, "height": o.Height}, "devicePixelRatio": 1.0}, nil)
	if err == nil {
		script := object{"functionDeclaration": "() => {" + tellViolations + o.script() + "}", "contexts": []string{f.context}}
		err = session.call(ctx, "script.addPreloadScript", script, nil)
	}
	if err != nil {
		end()
		return nil, nil, err
	}
	return f, end, nil
}

// watchFirefox notes what must not happen.
func watchFirefox(p *Page, m bidiMessage) {
	var params struct {
		Level, Type, Text string
		Request           struct{ URL string }
	}
	if json.Unmarshal(m.Params, &params) != nil {
		return
	}
	switch {
	case m.Method == "network.beforeRequestSent":
		p.sees(params.Request.URL)
	case params.Level == "error" || params.Level == "warn":
		p.fail("%s %s: %s", params.Type, params.Level, params.Text)
	}
}

// call is a command about the tab.
func (f *firefoxTab) call(ctx context.Context, command string, params object, result any) error {
	params["context"] = f.context
	return f.session.call(ctx, command, params, result)
}

func (f *firefoxTab) navigate(ctx context.Context, address string) error {
	return f.call(ctx, "browsingContext.navigate", object{"url": address, "wait": "complete"}, nil)
}

func (f *firefoxTab) evaluate(ctx context.Context, expression string) (string, error) {
	var answer struct {
		Type             string
		Result           struct{ Type, Value string }
		ExceptionDetails struct{ Text string }
	}
	err := f.session.call(ctx, "script.evaluate", object{"expression": expression, "target": object{"context": f.context}, "awaitPromise": true}, &answer)
	var failed *bidiError
	switch {
	case errors.As(err, &failed) && (failed.Code == "no such frame" || strings.Contains(failed.Message, "destroyed") || strings.Contains(failed.Message, "AbortError")):
		return "", fmt.Errorf("%w: %w", errLeft, err)
	case err != nil:
		return "", err
	case answer.Type == "exception":
		return "", errors.New(answer.ExceptionDetails.Text)
	}
	return answer.Result.Value, nil
}

func (f *firefoxTab) perform(ctx context.Context, in input) error {
	var source object
	var others []object // each a list of actions too; those of one place in all lists happen together
	switch {
	case in.keys != "":
		source = object{"type": "key", "id": "keyboard", "actions": presses(in.keys)}
	case len(in.mouse) > 0:
		source = object{"type": "pointer", "id": "mouse", "parameters": object{"pointerType": "mouse"}, "actions": drag(in.mouse)}
	default:
		x, y := in.wheel.at.whole()
		turn, pause := object{"type": "scroll", "x": x, "y": y, "deltaX": 0, "deltaY": int(in.wheel.down)}, object{"type": "pause"}
		source = object{"type": "wheel", "id": "wheel", "actions": []object{turn}}
		if in.wheel.shift {
			source["actions"] = []object{pause, turn, pause}
			others = []object{{"type": "key", "id": "keyboard", "actions": []object{{"type": "keyDown", "value": shift}, pause, {"type": "keyUp", "value": shift}}}}
		}
	}
	return f.call(ctx, "input.performActions", object{"actions": append(others, source)}, nil)
}

// whole returns the point in whole pixels, which is all that a wheel can take.
func (p point) whole() (x, y int) { return int(math.Round(p.X)), int(math.Round(p.Y)) }

func drag(way []point) (actions []object) {
	for i, at := range way {
		x, y := at.whole()
		actions = append(actions, object{"type": "pointerMove", "x": x, "y": y, "duration": 0})
		if i == 0 {
			actions = append(actions, object{"type": "pointerDown", "button": 0})
		}
	}
	return append(actions, object{"type": "pointerUp", "button": 0})
}

// shift is held while others are pressed, so webDriverKeys has it not.
const shift = "\ue008"

// webDriverKeys are the keys that are no characters, as WebDriver has them
// (https://www.w3.org/TR/webdriver2/#keyboard-actions).
var webDriverKeys = map[string]string{
	"\n": "\ue007", kb.Enter: "\ue007", kb.Tab: "\ue004", kb.Escape: "\ue00c", kb.Backspace: "\ue003", kb.Delete: "\ue017",
	kb.ArrowLeft: "\ue012", kb.ArrowUp: "\ue013", kb.ArrowRight: "\ue014", kb.ArrowDown: "\ue015", kb.End: "\ue010", kb.Home: "\ue011",
}

func presses(keys string) (actions []object) {
	for _, r := range keys {
		key := string(r)
		if special, ok := webDriverKeys[key]; ok {
			key = special
		}
		actions = append(actions, object{"type": "keyDown", "value": key}, object{"type": "keyUp", "value": key})
	}
	return actions
}
