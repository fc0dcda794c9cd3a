package dashboard

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
)

func do(t *testing.T, method, target string, header ...string) *http.Response {
	t.Helper()
	return doAt(Handler([]string{"https://scada.example", "http://10.0.0.9:81", "null", "", "file://"}), method, target, header...)
}

func doAt(site http.Handler, method, target string, header ...string) *http.Response {
	r := httptest.NewRequest(method, target, nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	site.ServeHTTP(w, r)
	return w.Result()
}

func body(t *testing.T, resp *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestRoutes(t *testing.T) {
	for target, contentType := range map[string]string{
		"/":              "text/html; charset=utf-8",
		"/?theme=none":   "text/html; charset=utf-8",
		"/page.js":       "text/javascript; charset=utf-8",
		"/readings.js":   "text/javascript; charset=utf-8",
		"/page.css":      "text/css; charset=utf-8",
		"/favicon.svg":   "image/svg+xml",
		"/gateway.js":    "text/javascript; charset=utf-8",
		"/uPlot.js":      "text/javascript; charset=utf-8",
		"/uPlot.min.css": "text/css; charset=utf-8",
	} {
		resp := do(t, http.MethodGet, target)
		if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != contentType {
			t.Errorf("GET %s: %s, %q", target, resp.Status, resp.Header.Get("Content-Type"))
		}
		content := body(t, resp)
		if content == "" {
			t.Errorf("GET %s: empty", target)
		}
		head := do(t, http.MethodHead, target)
		if head.StatusCode != http.StatusOK || body(t, head) != "" || head.ContentLength != int64(len(content)) {
			t.Errorf("HEAD %s: %s, length %d, want %d", target, head.Status, head.ContentLength, len(content))
		}
	}
	for _, target := range []string{"/index.html", "/page", "/page/", "/page/page.js", "/favicon.ico", "//", "/PAGE.JS", "/%2e%2e/dashboard.go", "/sensors/outdoor"} {
		if resp := do(t, http.MethodGet, target); resp.StatusCode != http.StatusNotFound {
			t.Errorf("GET %s: %s, want 404", target, resp.Status)
		}
	}
}

func TestMethods(t *testing.T) {
	for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodDelete, http.MethodOptions, http.MethodPatch} {
		resp := do(t, method, "/")
		if resp.StatusCode != http.StatusMethodNotAllowed || resp.Header.Get("Allow") != "GET, HEAD" {
			t.Errorf("%s /: %s, Allow %q", method, resp.Status, resp.Header.Get("Allow"))
		}
		if resp := do(t, method, "/nothing"); resp.StatusCode != http.StatusNotFound {
			t.Errorf("%s /nothing: %s, want 404", method, resp.Status)
		}
	}
}

func TestSecurityHeadersOnEveryAnswer(t *testing.T) {
	for _, resp := range []*http.Response{
		do(t, http.MethodGet, "/"),
		do(t, http.MethodGet, "/page.js"),
		do(t, http.MethodGet, "/nothing"),
		do(t, http.MethodPost, "/"),
		do(t, http.MethodGet, "/", "If-None-Match", "*"),
	} {
		for key, want := range map[string]string{
			"X-Content-Type-Options":       "nosniff",
			"Referrer-Policy":              "no-referrer",
			"Cross-Origin-Opener-Policy":   "same-origin",
			"Cross-Origin-Resource-Policy": "same-origin",
		} {
			if got := resp.Header.Get(key); got != want {
				t.Errorf("%s: %s is %q, want %q", resp.Status, key, got, want)
			}
		}
		csp := resp.Header.Get("Content-Security-Policy")
		if strings.Contains(csp, "unsafe-") || strings.Contains(csp, "*") || strings.Contains(csp, "data:") {
			t.Errorf("%s: too lax a policy: %s", resp.Status, csp)
		}
		for _, directive := range []string{
			"default-src 'none'", "script-src 'self'", "style-src 'self'", "img-src 'self'", "connect-src 'self'",
			"base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'",
		} {
			if !strings.Contains(csp+";", directive+";") {
				t.Errorf("%s: no %s in the policy: %s", resp.Status, directive, csp)
			}
		}
	}
}

// A page that opened this one must not keep a hold of it. If a person opened it, there is no
// such page, and the policy would cost time; a cached answer has the policy all the same.
func TestOpeners(t *testing.T) {
	for site, want := range map[string]string{"": "same-origin", "cross-site": "same-origin", "same-site": "same-origin", "same-origin": "same-origin", "none": ""} {
		for _, match := range []string{"", "*"} {
			resp := do(t, http.MethodGet, "/", "Sec-Fetch-Site", site, "If-None-Match", match)
			if got := resp.Header.Get("Cross-Origin-Opener-Policy"); got != want {
				t.Errorf("opened from %q, %s: %q, want %q", site, resp.Status, got, want)
			}
		}
	}
}

// The view without controls may be embedded by the pages that may connect, and nothing
// else by anybody.
func TestEmbedding(t *testing.T) {
	for target, want := range map[string]string{
		"/?kiosk": "https://scada.example http://10.0.0.9:81", "/?kiosk=1&x": "https://scada.example http://10.0.0.9:81",
		"/": "'none'", "/?x=kiosk": "'none'", "/page.js?kiosk": "'none'", "/nothing?kiosk": "'none'",
	} {
		csp := do(t, http.MethodGet, target).Header.Get("Content-Security-Policy")
		if _, got, _ := strings.Cut(csp, "frame-ancestors "); got != want {
			t.Errorf("GET %s: it may be embedded by %q, want %q", target, got, want)
		}
	}
	w := httptest.NewRecorder()
	Handler(nil).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/?kiosk", nil))
	if csp := w.Header().Get("Content-Security-Policy"); !strings.HasSuffix(csp, "frame-ancestors 'none'") {
		t.Errorf("without origins: %s", csp)
	}
}

func TestRevalidation(t *testing.T) {
	seen := map[string]string{}
	for url := range load() {
		resp := do(t, http.MethodGet, url)
		etag := resp.Header.Get("ETag")
		if !regexp.MustCompile(`^"[0-9a-f]{32}"$`).MatchString(etag) {
			t.Errorf("GET %s: ETag %s", url, etag)
		}
		if other, ok := seen[etag]; ok {
			t.Errorf("%s and %s share the ETag %s", url, other, etag)
		}
		seen[etag] = url
		if got := resp.Header.Get("Cache-Control"); got != "no-cache" {
			t.Errorf("GET %s: Cache-Control %q", url, got)
		}
		for match, want := range map[string]int{
			etag:               http.StatusNotModified,
			"W/" + etag:        http.StatusNotModified, // a proxy may have weakened it
			`"other", ` + etag: http.StatusNotModified,
			"*":                http.StatusNotModified,
			`"other"`:          http.StatusOK,
		} {
			resp := do(t, http.MethodGet, url, "If-None-Match", match)
			if resp.StatusCode != want {
				t.Errorf("GET %s, If-None-Match %s: %s, want %d", url, match, resp.Status, want)
			}
			if want == http.StatusNotModified && (body(t, resp) != "" || resp.Header.Get("ETag") != etag) {
				t.Errorf("GET %s, If-None-Match %s: a body, or no ETag", url, match)
			}
		}
	}
}

// TestNothingInline holds that the page has nothing that its policy forbids.
func TestNothingInline(t *testing.T) {
	html := body(t, do(t, http.MethodGet, "/"))
	for _, tag := range regexp.MustCompile(`(?s)<[a-z!][^>]*>`).FindAllString(html, -1) {
		lower := strings.ToLower(tag)
		if regexp.MustCompile(`\s(on[a-z]+|style|srcdoc)\s*=`).MatchString(lower) || strings.HasPrefix(lower, "<style") ||
			strings.Contains(lower, "javascript:") || strings.Contains(lower, "http-equiv") {
			t.Errorf("inline code: %s", tag)
		}
	}
	for _, script := range regexp.MustCompile(`(?s)<script([^>]*)>(.*?)</script>`).FindAllStringSubmatch(html, -1) {
		if !strings.Contains(script[1], "src=") || script[2] != "" {
			t.Errorf("inline script: %s", script[0])
		}
	}
	for url, f := range load() {
		if strings.HasSuffix(url, ".js") && regexp.MustCompile(`innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function|\bFunction\(`).Match(f.content()) {
			t.Errorf("%s makes code or markup from text", url)
		}
	}
}

// TestReferences follows every address in the page: it must be served here, and
// what is served must be asked for at once, not when the file before has come.
func TestReferences(t *testing.T) {
	page := load()
	html, start := string(page["/"].content()), string(page["/start.js"].content())
	imports := regexp.MustCompile(`(?m)(?:^(?:import|export) \{[^}]*\} from |, import\()"([^"]*)"\)?`)
	address := map[string]*regexp.Regexp{
		"/":    regexp.MustCompile(`(?:href|src)="([^"]*\.[^"/]+)"`), // a file's, not that of all gateways
		".js":  imports,
		".css": regexp.MustCompile(`(?:url\(|@import)\s*["']?([^"')]*)`),
	}
	used := map[string]bool{"/": true, "/core.js": true, "/tr.js": true} // words.js asks for a language by its name
	for url, f := range page {
		for suffix, re := range address {
			if !strings.HasSuffix(url, suffix) {
				continue
			}
			for _, m := range re.FindAllSubmatch(f.content(), -1) {
				target := "/" + strings.TrimPrefix(string(m[1]), "./")
				used[target] = true
				if _, ok := page[target]; !ok {
					t.Errorf("%s refers to %s, which is not served", url, target)
				}
			}
		}
	}
	for url := range page {
		if !used[url] {
			t.Errorf("%s is served but nothing refers to it", url)
		}
		module, isModule := strings.CutSuffix(url[1:], ".js")
		switch {
		case url == "/" || strings.Contains(html, `="`+url[1:]+`"`):
		case !isModule:
			t.Errorf("index.html does not ask for %s", url)
		case !strings.Contains(start, `"`+module+`"`):
			t.Errorf("start.js does not ask for %s", url)
		}
	}
	for url := range client {
		for _, m := range imports.FindAllSubmatch(page[url].content(), -1) {
			if target := "/" + strings.TrimPrefix(string(m[1]), "./"); !client[target] {
				t.Errorf("%s imports %s, which other pages may not have", url, target)
			}
		}
	}
	ids := 0
	for url, f := range page {
		for _, id := range regexp.MustCompile(`(?:get|copy)\("([^"]+)"\)`).FindAllSubmatch(f.content(), -1) {
			if ids++; strings.HasSuffix(url, ".js") && !strings.Contains(html, `id="`+string(id[1])+`"`) {
				t.Errorf("%s asks for the element %s, which index.html lacks", url, id[1])
			}
		}
	}
	if ids == 0 {
		t.Error("no element is looked up: has the way of doing so changed?")
	}
}

// TestClientIsForOthers: only what other pages may import says so.
func TestClientIsForOthers(t *testing.T) {
	for url := range load() {
		got := do(t, http.MethodGet, url).Header.Get("Access-Control-Allow-Origin")
		if want := map[bool]string{true: "*"}[client[url]]; got != want {
			t.Errorf("GET %s: Access-Control-Allow-Origin %q, want %q", url, got, want)
		}
	}
}

func TestCompression(t *testing.T) {
	for url, f := range load() {
		resp := do(t, http.MethodGet, url, "Accept-Encoding", "br, gzip;q=0.8")
		r, err := gzip.NewReader(resp.Body)
		if err != nil || resp.Header.Get("Content-Encoding") != "gzip" || resp.ContentLength != int64(len(f.compressed())) {
			t.Fatalf("GET %s: %v, Content-Encoding %q, length %d", url, err, resp.Header.Get("Content-Encoding"), resp.ContentLength)
		}
		content, err := io.ReadAll(r)
		if err != nil || !bytes.Equal(content, f.content()) {
			t.Errorf("GET %s, compressed: %v, other content", url, err)
		}
		plain := do(t, http.MethodGet, url)
		if resp.Header.Get("ETag") == plain.Header.Get("ETag") || plain.Header.Get("Vary") != "Accept-Encoding" {
			t.Errorf("GET %s: a cache could mix what is compressed and what is not", url)
		}
		again := do(t, http.MethodGet, url, "Accept-Encoding", "gzip", "If-None-Match", resp.Header.Get("ETag"))
		if again.StatusCode != http.StatusNotModified {
			t.Errorf("GET %s again, compressed: %s", url, again.Status)
		}
		for _, header := range [][]string{
			{"Accept-Encoding", "gzip;q=0"}, {"Accept-Encoding", "br, gzip ; q=0.0"}, {"Accept-Encoding", "GZIP;Q=0"}, {"Accept-Encoding", "identity"},
			{"Accept-Encoding", "gzip", "Range", "bytes=0-3"},
		} {
			if got := do(t, http.MethodGet, url, header...).Header.Get("Content-Encoding"); got != "" {
				t.Errorf("GET %s with %q: Content-Encoding %s", url, header, got)
			}
		}
	}
}

// A page that is compiled in compressed, as scripts/build does, is served as one that is not.
func TestPackedSite(t *testing.T) {
	text := []byte("<!doctype html><title>all gateways</title>")
	plain := Site(fstest.MapFS{"index.html": {Data: text}})
	packed := Site(fstest.MapFS{"index.html": {Data: compress(text)}})
	for _, header := range [][]string{{}, {"Accept-Encoding", "gzip"}, {"Accept-Encoding", "gzip", "Range", "bytes=2-9"}} {
		for _, method := range []string{http.MethodGet, http.MethodHead} {
			want, got := doAt(plain, method, "/", header...), doAt(packed, method, "/", header...)
			if got.StatusCode != want.StatusCode || body(t, got) != body(t, want) {
				t.Errorf("%s with %q: %s, other content", method, header, got.Status)
			}
			for _, h := range []http.Header{want.Header, got.Header} {
				if h.Get("ETag") == "" {
					t.Errorf("%s with %q: no ETag", method, header)
				}
				h.Del("ETag")
			}
			if diff := cmp.Diff(want.Header, got.Header); diff != "" {
				t.Errorf("%s with %q, headers (-plain +packed):\n%s", method, header, diff)
			}
		}
	}
}

// TestUPlot: what is here is what uPlot's author published as 1.6.32.
func TestUPlot(t *testing.T) {
	for name, want := range map[string]string{
		"uPlot.min.js":  "19c8d4c6ad88929a79f4ae49d6f7161566dfd0ba3d15cc495e974f787eb78f1f", // dist/uPlot.iife.min.js
		"uPlot.min.css": "df630c6a8d6f8eeaff264b50f73ce5b114f646ffd9a0bb74f049b0a00135fa04",
	} {
		if got := fmt.Sprintf("%x", sha256.Sum256(readUPlot(name))); got != want {
			t.Errorf("sha256 of %s: %s, want %s", name, got, want)
		}
	}
}

func TestSize(t *testing.T) {
	const most = 120_000 // in all, as it travels to who reads English
	size := 0
	for url, f := range load() {
		if url == "/tr.js" {
			continue // fetched by who reads it only
		}
		size += len(f.compressed())
	}
	t.Logf("%d bytes, compressed", size)
	if size > most {
		t.Errorf("the page is %d bytes, compressed, want at most %d", size, most)
	}
}
