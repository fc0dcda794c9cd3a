// Package browsertest drives headless browsers for tests of the page: Chromium and
// Firefox. Only tests import it. It refuses to know what is tested: it opens pages,
// waits for conditions, and remembers what must never happen, such as an error on the
// console.
package browsertest

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// patience is how long a condition may take on a busy machine: a browser that shares
// two cores with ten other programs has stood still for more than a minute.
const patience = 3 * time.Minute

// Options is what a page is like; the zero value is a desktop in light colours.
type Options struct {
	Width, Height int64  // CSS pixels; 0: 1280 by 900
	Phone         bool   // touch, two device pixels a CSS pixel; in Chromium only
	Dark          bool   // in Chromium only
	Language      string // as Accept-Language has it, without q; "": en-GB
	Script        string // runs before the page's own
	Smooth        bool   // draws as often as the display does; otherwise as calm has it
}

// calm makes a page draw five times a second at most, as on a slow machine. Without a GPU
// a few pages that show each reading would take both of two cores.
const calm = `{
	const frame = globalThis.displayFrame = requestAnimationFrame.bind(globalThis);
	globalThis.requestAnimationFrame = (draw) => setTimeout(() => frame(draw), 200);
};`

// script is what runs before the page's own.
func (o Options) script() string {
	if o.Smooth {
		return o.Script
	}
	return calm + o.Script
}

// Browser is a profile of its own in a browser, for one test: it shares nothing with
// those of other tests but the machine.
type Browser struct {
	// newTab opens an empty tab for a page, whose watchers have ended once it is closed.
	newTab func(p *Page, o Options) (tab tab, closeTab func(), err error)
}

// tab is one tab of a browser, as the browser's protocol drives it.
type tab interface {
	navigate(ctx context.Context, address string) error
	// evaluate returns the string that a promise of the expression's value fulfils.
	evaluate(ctx context.Context, expression string) (string, error)
	perform(ctx context.Context, in input) error
}

// errLeft says that the page went to another document meanwhile.
var errLeft = errors.New("the page went to another document")

// input is what a person does, one of these.
type input struct {
	mouse []point // the button is pressed at the first and released at the last
	wheel wheel
	keys  string
}

// point is in CSS pixels of what is in sight.
type point struct{ X, Y float64 }

// wheel is a turn of the wheel at a point, in CSS pixels; down is positive.
type wheel struct {
	at    point
	down  float64
	shift bool // the key is held meanwhile
}

// Each runs a test in each of the browsers, side by side; in Firefox only where
// GATEWAY_TEST_LONG is set, as by scripts/test.
func Each(t *testing.T, test func(t *testing.T, b *Browser)) {
	t.Helper()
	for name, start := range map[string]func(testing.TB) *Browser{"chromium": Start, "firefox": StartFirefox} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, start(t))
		})
	}
}

// find returns the path of a browser. Without it the test is skipped, or fails if
// GATEWAY_TEST_ALL is set; with -short, which is for other processors, it is skipped
// too: the page is the same on all of them.
func find(t testing.TB, debian string, names ...string) (path string) {
	t.Helper()
	if testing.Short() {
		t.Skip("in a browser: not with -short")
	}
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	if os.Getenv("GATEWAY_TEST_ALL") != "" {
		t.Fatalf("no %s here (Debian package %s)", names[0], debian)
	}
	t.Skipf("no %s here (Debian package %s)", names[0], debian)
	return ""
}

// process is a browser's: it starts with the first test that needs it and ends with the
// last one of those that run at the same time.
type process[T any] struct {
	sync.Mutex
	users   int
	running T // valid while there are users
	stop    func()
}

// use returns the process, which runs until the test ends at least.
func (p *process[T]) use(t testing.TB, path string, launch func(path string) (running T, stop func(), err error)) T {
	t.Helper()
	p.Lock()
	defer p.Unlock()
	if p.users == 0 {
		running, stop, err := launch(path)
		if err != nil {
			t.Fatalf("%s does not start: %v", path, err)
		}
		p.running, p.stop = running, stop
	}
	p.users++
	t.Cleanup(func() {
		p.Lock()
		defer p.Unlock()
		if p.users--; p.users == 0 {
			p.stop()
		}
	})
	return p.running
}

// Page is one tab.
type Page struct {
	// Close closes the tab, before the test ends.
	Close func()

	t    testing.TB
	tab  tab
	host string

	mu       sync.Mutex
	failures []string // console errors, uncaught exceptions, violations, requests elsewhere
	// interrupted says that the machine got or lost a network interface, upon which a browser
	// cancels all fetches, or that the gateway closed an idle connection just when the
	// browser used it again. The page then loads itself again.
	interrupted bool
}

// Open opens url in a new tab.
func (b *Browser) Open(t testing.TB, address string, o Options) *Page {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	if o.Width == 0 {
		o.Width, o.Height = 1280, 900
	}
	p := &Page{t: t, host: u.Host}
	if p.tab, p.Close, err = b.newTab(p, o); err != nil {
		t.Fatalf("a new tab: %v", err)
	}
	p.Close = sync.OnceFunc(p.Close)
	t.Cleanup(p.Close)
	p.Navigate(address)
	return p
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
	if p.interrupted {
		f = slices.DeleteFunc(f, func(failure string) bool { return strings.Contains(failure, "dynamically imported module") })
	}
	return f
}

// Navigate opens another address in the tab.
func (p *Page) Navigate(address string) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := p.tab.navigate(ctx, address); err != nil {
		p.t.Fatalf("%s: %v\nfailures: %q", address, err, p.Failures())
	}
}

// Eval evaluates a JavaScript expression, awaits it if it is a promise, and
// returns its value, which must be a T in JSON.
func Eval[T any](p *Page, expression string) T {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	value, err := evaluate[T](ctx, p.tab, expression)
	if err != nil {
		p.t.Fatalf("%s: %v\nfailures: %q", expression, err, p.Failures())
	}
	return value
}

func evaluate[T any](ctx context.Context, tab tab, expression string) (value T, err error) {
	text, err := tab.evaluate(ctx, "Promise.resolve(("+expression+"\n)).then((value) => JSON.stringify(value) ?? \"\")")
	if err != nil {
		return value, err
	}
	if err := json.Unmarshal([]byte(text), &value); err != nil {
		return value, fmt.Errorf("%.200q is no %T: %w", text, value, err)
	}
	return value, nil
}

// Wait waits until the JavaScript condition holds. (chromedp's own Poll makes a
// function from text, which the page's policy forbids.)
func (p *Page) Wait(condition string) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	script := `new Promise((then) => {
		const end = Date.now() + 1000;
		const check = () => {
			let why = "it does not hold";
			try {
				if (document.readyState !== "loading" && (` + condition + `)) return then("");
			} catch (error) { // of the document before, or one that is not whole yet
				why = String(error);
			}
			if (Date.now() > end) then(why); else setTimeout(check, 20);
		};
		check();
	})`
	for {
		// If the document is left, the wait in it ends too: then the next document is asked.
		attempt, end := context.WithTimeout(ctx, 10*time.Second)
		why, err := evaluate[string](attempt, p.tab, script)
		end()
		if err == nil && why == "" {
			return
		}
		if ctx.Err() != nil || err != nil && !errors.Is(err, errLeft) && !errors.Is(err, context.DeadlineExceeded) {
			last, end := context.WithTimeout(context.Background(), 10*time.Second)
			shown, _ := evaluate[string](last, p.tab, `document.body.innerText`) // helps whoever reads the failure
			end()
			p.t.Fatalf("waiting for %s: %s, %v\nfailures: %q\npage:\n%s", condition, why, cmp.Or(err, ctx.Err()), p.Failures(), shown)
		}
	}
}

// Text returns what an element shows.
func (p *Page) Text(selector string) string {
	p.t.Helper()
	return Eval[string](p, fmt.Sprintf("document.querySelector(%q).textContent", selector))
}
