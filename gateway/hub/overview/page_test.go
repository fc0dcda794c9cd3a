package overview

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"sensorgateway/gateway/dashboard/browsertest"
	"sensorgateway/gateway/hub"
	"sensorgateway/wire"
)

// fakeHub answers the page with gateways that the test makes.
type fakeHub struct {
	mu      sync.Mutex
	rows    []row
	changed map[string]uint64
	version uint64
	sites   []hub.Site
	fails   bool
}

// newFake returns a hub of n gateways at 20 sites, of which some are away, some have
// alarms, and some have never come.
func newFake(n int) *fakeHub {
	now := time.Now().UnixMilli()
	f := &fakeHub{version: 1, changed: map[string]uint64{}, sites: []hub.Site{{Name: "site-00", Connected: true, Since: now}}}
	for i := range n {
		r := row{
			Site: fmt.Sprintf("site-%02d", i%20), Name: fmt.Sprintf("pi-%05d", i), Title: []string{"", "greenhouse 3", "cold store, north side"}[i%3], Version: fmt.Sprintf("v1.%d.0", i%4),
			Presence: hub.Presence{State: hub.Here, Since: now - int64(i)*61_000}, Stored: now - int64(i%90)*1000, Bytes: int64(i) * 137_000,
		}
		for s := range 1 + i%2 {
			temperature, humidity := 20+float32(i%50)/7, 40+float32(s)
			r.Readings = append(r.Readings, reading{Sensor: []string{"indoor", "outdoor"}[s], Time: now - int64(i%60)*1000, Values: []value{{wire.Temperature, number(temperature, 2)}, {wire.Humidity, number(humidity, 1)}}})
		}
		switch {
		case i%97 == 5:
			r.Presence.State, r.Stored = hub.Away, now-7_200_000
		case i%101 == 7:
			r.Alarms = []wire.Alarm{{Name: "hot", State: wire.AlarmRaised, Severity: wire.SeverityCritical}, {Name: "sensor_lost:indoor", State: wire.AlarmRaised, Severity: wire.SeverityWarning}}
			r.Readings[0].Fault, r.Readings[0].Values[0].Value, r.Readings[0].Values[1].Value = "no_ack", nil, nil
		case i%499 == 11:
			r = row{Site: r.Site, Name: r.Name, Presence: hub.Presence{State: hub.Never}}
		}
		f.rows = append(f.rows, r)
	}
	return f
}

// change changes a gateway.
func (f *fakeHub) change(name string, how func(*row)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.version++
	f.changed[name] = f.version
	how(&f.rows[slices.IndexFunc(f.rows, func(r row) bool { return r.Name == name })])
}

func (f *fakeHub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fails {
		http.Error(w, "the disk is full", http.StatusInternalServerError)
		return
	}
	since, _ := strconv.ParseUint(r.URL.Query().Get("since"), 10, 64)
	a := answer{Time: time.Now().UnixMilli(), Version: f.version, Total: len(f.rows), You: wire.You{Name: "anna", Role: "operator"}, Sites: f.sites, Gateways: []row{}}
	for _, x := range f.rows {
		if max(f.changed[x.Name], 1) > since {
			a.Gateways = append(a.Gateways, x)
		}
	}
	_, _ = w.Write(wire.JSON(a))
}

func (f *fakeHub) serve(t *testing.T) (address string) {
	mux := http.NewServeMux()
	for _, path := range Paths() {
		mux.Handle("GET "+path, Page())
	}
	mux.Handle("/api/v1/gateways", f)
	mux.HandleFunc("/gateways/{name}/", func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprintf(w, "<!doctype html><title>%s</title>", r.PathValue("name"))
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server.URL + "/"
}

const names = `[...document.querySelectorAll(".gateway .name a")].map((a) => a.textContent)`

// TestPage holds that 10,000 gateways are found, sorted, grouped and scrolled through with
// few elements, and that what changes is seen.
func TestPage(t *testing.T) {
	long(t, "it scrolls through 10,000 gateways")
	t.Parallel()
	f := newFake(10_000)
	address := f.serve(t)
	browsertest.Each(t, func(t *testing.T, b *browsertest.Browser) {
		page := b.Open(t, address, browsertest.Options{})
		page.Wait(`document.querySelectorAll(".gateway").length > 5`)
		if got := page.Text("#summary"); !strings.Contains(got, "10,000 gateways") || !strings.Contains(got, "with alarms") {
			t.Errorf("%q", got)
		}
		few := func(when string) {
			t.Helper()
			if n := browsertest.Eval[int](page, `document.querySelectorAll("#rows *").length`); n > 1000 {
				t.Errorf("%s: %d elements", when, n)
			}
		}
		few("at first")
		slowest := browsertest.Eval[float64](page, `new Promise((then) => {
			let n = 0, before = performance.now(), slowest = 0;
			const step = (now) => {
				slowest = Math.max(slowest, now - before);
				before = now;
				scrollTo(0, (document.body.scrollHeight - innerHeight) * n / 60);
				if (n++ < 60) requestAnimationFrame(step); else then(slowest);
			};
			requestAnimationFrame(step);
		})`)
		t.Logf("from top to end in 60 frames, of which the slowest took %.0f ms", slowest)
		page.Wait(names + `.at(-1) === "pi-09999"`)
		few("at the end")
		page.Type("#search", "greenhouse v1.3 09")
		page.Wait(names + `.every((name) => name.includes("09")) && document.querySelector("#rows").offsetHeight < 20000`)
		few("of a search")
		browsertest.Eval[bool](page, `(document.querySelector("#search").value = "", document.querySelector("#search").dispatchEvent(new Event("input")), scrollTo(0, 0), true)`)
		page.Click("#grouped")
		page.Wait(names + `[1] === "pi-00001"`)
		browsertest.Eval[bool](page, `(document.querySelector("#sort").value = "alarms", document.querySelector("#sort").dispatchEvent(new Event("change")), true)`)
		page.Wait(names + `[0] === "pi-00007" && document.querySelector(".gateway").dataset.severity === "critical"`)
		if got := page.Text(".gateway .readings") + page.Text(".gateway .alarms"); !strings.Contains(got, "no ack") || !strings.Contains(got, "hot +1") {
			t.Errorf("%q", got)
		}
		if failures := page.Failures(); failures != nil {
			t.Errorf("%q", failures)
		}
	})
}

// overlaps are the parts of the header that are over one another.
const overlaps = `[...document.querySelectorAll(".bar > *")].filter((e) => e.checkVisibility()).flatMap((a, i, all) => all.slice(i + 1).filter((b) => {
	const one = a.getBoundingClientRect(), other = b.getBoundingClientRect();
	return one.left < other.right && other.left < one.right && one.top < other.bottom && other.top < one.bottom;
}).map((b) => a.textContent + " and " + b.textContent))`

// long skips a test, and says so, unless GATEWAY_TEST_LONG is set, as by scripts/test.
func long(t *testing.T, why string) {
	t.Helper()
	if os.Getenv("GATEWAY_TEST_LONG") == "" {
		t.Skip(why + "; to run it: GATEWAY_TEST_LONG=1")
	}
}

// TestPageChanges holds that changes, gateways that come and go, and a hub that does not
// answer are seen; and that a site folds.
func TestPageChanges(t *testing.T) {
	long(t, "it waits for the page to ask again, six times")
	t.Parallel()
	f := newFake(60)
	page := browsertest.Start(t).Open(t, f.serve(t), browsertest.Options{Width: 390, Height: 844, Phone: true})
	state := `document.querySelector('a[href="gateways/pi-00000/"]')?.closest(".line").dataset.presence`
	page.Wait(state + ` === "here"`)
	if over := browsertest.Eval[[]string](page, overlaps); len(over) > 0 {
		t.Errorf("over each other: %q", over)
	}
	f.change("pi-00003", func(r *row) {
		r.Uplink, r.Version, r.Stored = "connected, but 901 kB of the 1000 kB of this month are used", "v1.22.0", time.Now().UnixMilli()-2_000_000
		r.Readings[0].Time = r.Stored // old: a long text
		r.Alarms = []wire.Alarm{{Name: "sensor_lost:cold_store_north", State: wire.AlarmRaised, Severity: wire.SeverityWarning}}
	})
	page.Wait(`document.querySelector('a[href="gateways/pi-00003/"]')?.closest(".line").querySelector(".alarms").textContent === "sensor_lost:cold_store_north +1"`)
	if cut := browsertest.Eval[[]string](page, `[...document.querySelector('a[href="gateways/pi-00003/"]').closest(".line").querySelectorAll(".version, .bytes")].filter((e) => e.scrollWidth > e.clientWidth).map((e) => e.textContent)`); len(cut) > 0 {
		t.Errorf("cut off on a phone: %q", cut)
	}
	late := func(so bool) string {
		return fmt.Sprintf(`(({ dataset, textContent }) => [dataset.late === "true", textContent.includes(" old)")].every((x) => x === %t))(document.querySelector('a[href="gateways/pi-00003/"]').closest(".line"))`, so)
	}
	page.Wait(late(true))
	f.change("pi-00003", func(r *row) { r.BehindMS = 2_000_000 }) // it is the clock that is old
	page.Wait(late(false))
	f.change("pi-00000", func(r *row) { r.Presence = hub.Presence{State: hub.Away, Since: time.Now().UnixMilli()} })
	page.Wait(state + ` === "away"`)
	f.mu.Lock()
	f.rows = f.rows[:59] // revoked
	f.sites = []hub.Site{{Name: "site-00", Since: time.Now().UnixMilli() - 65_000, Reason: "connection refused"}}
	f.mu.Unlock()
	page.Wait(`document.querySelector("#summary").textContent.startsWith("59 gateways")`)
	page.Wait(`document.querySelector("#sites").textContent.includes("site-00: for 1 min this hub has had no connection to the broker (connection refused)")`)
	page.Click(`[data-site="site-00"] button`)
	page.Wait(names + `[0] === "pi-00001"`)
	f.mu.Lock()
	f.fails = true
	f.mu.Unlock()
	page.Wait(`document.querySelector("#trouble").textContent.includes("500 the disk is full")`)
	f.mu.Lock()
	f.fails = false
	f.mu.Unlock()
	page.Wait(`document.querySelector("#trouble").textContent === ""`)
	page.Click(`a[href="gateways/pi-00001/"]`)
	page.Wait(`document.title === "pi-00001"`)
}

// TestPageKeepsAxesRules checks the page in both sizes and colours, with gateways in all
// states, and when the hub does not answer.
func TestPageKeepsAxesRules(t *testing.T) {
	long(t, "it checks all rules of axe-core three times, in five views")
	b, axe := browsertest.Start(t), browsertest.FindAxe(t)
	for name, o := range sights {
		t.Run(name, func(t *testing.T) {
			f := newFake(600)
			page := b.Open(t, f.serve(t), o)
			page.Wait(`document.querySelectorAll(".gateway").length > 5`)
			axe.Check(page, "by site")
			by := func(order, state string) {
				t.Helper()
				browsertest.Eval[bool](page, fmt.Sprintf(`(document.querySelector("#sort").value = %q, document.querySelector("#sort").dispatchEvent(new Event("change")), true)`, order))
				page.Wait(fmt.Sprintf(`document.querySelector(".gateway")?.dataset.%s`, state))
			}
			page.Click("#grouped")
			by("alarms", `severity === "critical"`)
			axe.Check(page, "by alarms")
			by("presence", `presence === "away"`)
			f.mu.Lock()
			f.fails, f.sites = true, []hub.Site{{Name: "site-00", Since: time.Now().UnixMilli() - 65_000, Reason: "connection refused"}}
			f.mu.Unlock()
			page.Wait(`document.querySelector("#trouble").textContent !== ""`)
			axe.Check(page, "those that are away, without an answer")
		})
	}
}

// TestPageLogsOut holds that the page says who is logged in, and that one can log out, or
// is told why that fails.
func TestPageLogsOut(t *testing.T) {
	t.Parallel()
	f := newFake(60)
	address := f.serve(t)
	browsertest.Each(t, func(t *testing.T, b *browsertest.Browser) {
		page := b.Open(t, address, browsertest.Options{})
		page.Wait(`document.querySelector("#who").textContent === "anna · operator"`)
		page.Click("#log-out") // the fake hub has no such endpoint
		page.Wait(`document.querySelector("#who").textContent.startsWith("Not logged out: 404") && !document.querySelector("#log-out").disabled`)
	})
}

// TestPageInTurkish holds that each text is there in both languages.
func TestPageInTurkish(t *testing.T) {
	t.Parallel()
	address := newFake(60).serve(t)
	page := browsertest.Start(t).Open(t, address, browsertest.Options{Language: "tr"})
	page.Wait(`document.documentElement.lang === "tr" && document.querySelector(".gateway")`)
	if got := page.Text("h1") + page.Text("#summary") + page.Text(".gateway .presence") + browsertest.Eval[string](page, `document.querySelector(".gateway .lag").dataset.label`); !strings.HasPrefix(got, "Ağ geçitleri60 ağ geçidi · ") || !strings.Contains(got, "bağlı") || !strings.Contains(got, "gecikme") {
		t.Errorf("%q", got)
	}
	english := browsertest.Start(t).Open(t, address, browsertest.Options{Script: `addEventListener("DOMContentLoaded", () => (window.before = document.documentElement.cloneNode(true)))`})
	english.Wait(`window.before && document.querySelector(".gateway")`)
	lacks := browsertest.Eval[[]string](english, `Promise.all([import("/said.js"), import("/words.js")]).then(([{ all }, { texts }]) => {
		const there = window.before;
		there.querySelector("noscript").remove();
		const found = [...texts(there)].map(([text]) => text), lacks = [];
		for (const text of found) if (!(text in all.page) && !["Log in", "Log out"].includes(text)) lacks.push("index.html: " + text);
		for (const text of Object.keys(all.page)) if (!found.includes(text)) lacks.push("nowhere: " + text);
		if (Object.keys(all.english).join() !== Object.keys(all.turkish).join()) lacks.push("said");
		return lacks;
	})`)
	if len(lacks) > 0 {
		t.Errorf("%q", lacks)
	}
	if failures := page.Failures(); failures != nil {
		t.Errorf("%q", failures)
	}
}

// TestReferences holds that what a file of the page refers to is served.
func TestReferences(t *testing.T) {
	get := func(path string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		Page().ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		return w
	}
	for _, path := range Paths() {
		path = strings.TrimSuffix(path, "{$}")
		w := get(path)
		if w.Code != http.StatusOK || !strings.Contains(w.Header().Get("Content-Security-Policy"), "default-src 'none'") {
			t.Errorf("%s: %d, %v", path, w.Code, w.Header())
		}
		for _, m := range regexp.MustCompile(`(?m)(?:(?:href|src)="|from "|^import ")([^":]*\.[a-z]+)"`).FindAllStringSubmatch(w.Body.String(), -1) {
			if target := "/" + strings.TrimPrefix(m[1], "./"); get(target).Code != http.StatusOK {
				t.Errorf("%s refers to %s, which is not served", path, target)
			}
		}
	}
}

// sights are what the page is looked at in.
var sights = map[string]browsertest.Options{
	"desktop-light": {Width: 1440, Height: 900}, "desktop-dark": {Width: 1440, Height: 900, Dark: true},
	"phone-light": {Width: 390, Height: 844, Phone: true}, "phone-dark": {Width: 390, Height: 844, Phone: true, Dark: true}, "phone-turkish": {Width: 390, Height: 844, Phone: true, Language: "tr"},
}

// TestSights takes pictures of the page for people who change it, when GATEWAY_TEST_SIGHTS
// names a directory.
func TestSights(t *testing.T) {
	dir := os.Getenv("GATEWAY_TEST_SIGHTS")
	if dir == "" {
		t.Skip("GATEWAY_TEST_SIGHTS is not set")
	}
	address, b := newFake(10_000).serve(t), browsertest.Start(t)
	for name, o := range sights {
		page := b.Open(t, address, o)
		page.Wait(`document.querySelectorAll(".gateway").length > 5`)
		browsertest.Eval[bool](page, `(document.querySelector("#sort").value = "alarms", document.querySelector("#sort").dispatchEvent(new Event("change")), true)`)
		page.Wait(`document.querySelector(".gateway").dataset.severity === "critical"`)
		if err := os.WriteFile(filepath.Join(dir, "overview-"+name+".png"), page.Screenshot(false), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
