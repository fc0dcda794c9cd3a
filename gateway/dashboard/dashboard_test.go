package dashboard

import (
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
)

func do(t *testing.T, method, target string, header ...string) *http.Response {
	t.Helper()
	r := httptest.NewRequest(method, target, nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	Handler().ServeHTTP(w, r)
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
		"/":            "text/html; charset=utf-8",
		"/?theme=none": "text/html; charset=utf-8",
		"/page.js":     "text/javascript; charset=utf-8",
		"/readings.js": "text/javascript; charset=utf-8",
		"/page.css":    "text/css; charset=utf-8",
		"/favicon.svg": "image/svg+xml",
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

// TestNothingInline holds what the policy would otherwise break in the browser.
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
		if strings.HasSuffix(url, ".js") && regexp.MustCompile(`innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function`).Match(f.content) {
			t.Errorf("%s makes code or markup from text", url)
		}
	}
}

// TestReferences follows every address in the page: it must be served here.
func TestReferences(t *testing.T) {
	page := load()
	address := map[string]*regexp.Regexp{
		"/":    regexp.MustCompile(`(?:href|src)="([^"]*)"`),
		".js":  regexp.MustCompile(`(?m)^import [^;]*"([^"]*)";`),
		".css": regexp.MustCompile(`(?:url\(|@import)\s*["']?([^"')]*)`),
	}
	used := map[string]bool{"/": true}
	for url, f := range page {
		for suffix, re := range address {
			if !strings.HasSuffix(url, suffix) {
				continue
			}
			for _, m := range re.FindAllSubmatch(f.content, -1) {
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
	}
	html := string(page["/"].content)
	ids := regexp.MustCompile(`get\("([^"]+)"\)`).FindAllSubmatch(page["/page.js"].content, -1)
	if len(ids) == 0 {
		t.Error("page.js looks up no element: has its way of doing so changed?")
	}
	for _, id := range ids {
		if !strings.Contains(html, `id="`+string(id[1])+`"`) {
			t.Errorf("page.js asks for the element %s, which index.html lacks", id[1])
		}
	}
}

func TestSize(t *testing.T) {
	const most = 30 << 10 // small enough for a first sight over a slow link
	size := 0
	for _, f := range load() {
		size += len(f.content)
	}
	if size > most {
		t.Errorf("the page is %d bytes, want at most %d", size, most)
	}
}
