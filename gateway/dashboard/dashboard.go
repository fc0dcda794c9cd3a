// Package dashboard is the page a browser gets from the gateway: charts, the
// newest values and what is wrong with them, the motors and the operators' room.
//
// It serves files that are compiled in and nothing else. It refuses to know
// sensors, sockets and the server: the page in the browser learns everything
// from the WebSocket and the HTTP interface on its own address, as any
// stranger's client would. The part of the page that does so, gateway.js with
// what it imports, is the JavaScript client for everybody's own pages.
package dashboard

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"io"
	"io/fs"
	"maps"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

//go:embed page
var files embed.FS

// contentTypes by extension. The tables of the host (/etc/mime.types, the
// registry of Windows) are not asked: with nosniff, a wrong one there would
// keep the page from starting.
var contentTypes = map[string]string{
	".html": "text/html; charset=utf-8",
	".css":  "text/css; charset=utf-8",
	".js":   "text/javascript; charset=utf-8",
	".svg":  "image/svg+xml",
}

// policy lets the page load from its own origin and from nowhere else. 'self'
// in connect-src includes ws: and wss: of the same host and port (CSP Level 3,
// section 6.7.2.8; Chromium 70, Firefox 64, Safari 16). A page that embeds it could
// make a person click on its controls unknowingly (section 6.4.2), so each answer
// also has frame-ancestors.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; " +
	"require-trusted-types-for 'script'; trusted-types 'none'"

// client is what other pages may import: gateway.js and its imports. Which
// pages, the server decides when it looks at their Origin.
var client = map[string]bool{"/gateway.js": true, "/chat.js": true, "/leases.js": true, "/link.js": true, "/readings.js": true, "/sequence.js": true}

// Client returns the client for pages of other origins, by path. It has to be served to
// whoever asks: where the gateway asks for a token, a page that imports a module can send
// none.
func Client() map[string]http.Handler {
	files := map[string]http.Handler{}
	for path := range client {
		files[path] = Handler(nil)
	}
	return files
}

// file is one file of the page as it is served.
type file struct {
	content     func() []byte // both are made when first asked for: that takes a Pi a moment
	compressed  func() []byte // by gzip
	contentType string
	etag        string // strong, from what is compiled in; without quotes
}

// Handler serves the page: index.html at "/", and the files it refers to next
// to it. Any other path is 404, any method but GET and HEAD 405. Browsers may
// keep the files but ask each time whether they still hold, so that a new
// version of the gateway shows its own page at once.
//
// Pages of the origins may embed the view without controls, /?kiosk, and nothing else.
func Handler(origins []string) http.Handler {
	ancestors := "'none'"
	if web := webOrigins(origins); len(web) > 0 {
		ancestors = strings.Join(web, " ")
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		framed := "'none'"
		if r.URL.Path == "/" && r.URL.Query().Has("kiosk") {
			framed = ancestors
		}
		if client[r.URL.Path] && (r.Method == http.MethodGet || r.Method == http.MethodHead) {
			w.Header().Set("Access-Control-Allow-Origin", "*")
		}
		serve(w, r, load(), framed)
	})
}

// Site serves another page by the same rules: the files of a directory, index.html at "/",
// and those of the dashboard that are named.
func Site(files fs.FS, shared ...string) http.Handler {
	page := sync.OnceValue(func() map[string]file {
		all := map[string]file{}
		for _, name := range shared {
			all["/"+name] = load()["/"+name]
		}
		maps.Copy(all, read(files))
		return all
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { serve(w, r, page(), "'none'") })
}

// serve answers with a file. Pages of the ancestors may embed it.
func serve(w http.ResponseWriter, r *http.Request, page map[string]file, ancestors string) {
	h := w.Header()
	h.Set("Content-Security-Policy", policy+"; frame-ancestors "+ancestors)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	if mayHaveOpener(r) {
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
	}
	h.Set("Cross-Origin-Resource-Policy", "same-origin")

	f, ok := page[r.URL.Path]
	switch {
	case !ok:
		http.Error(w, "not found", http.StatusNotFound)
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		h.Set("Allow", "GET, HEAD")
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
	default:
		f.serve(w, r)
	}
}

// mayHaveOpener reports whether another page may have opened this one and hold its window;
// not if a person has, by its address or a bookmark (Fetch Metadata, section 2.3). Then a
// policy about openers protects from nobody, and makes the browser start another process,
// which in a new tab doubles the time until the page is painted. Before the browser uses a
// cached answer, it asks again, and takes these headers from the new answer.
func mayHaveOpener(r *http.Request) bool { return r.Header.Get("Sec-Fetch-Site") != "none" }

// webOrigins returns the origins that a web page can have; the others are of programs.
func webOrigins(origins []string) []string {
	return slices.DeleteFunc(slices.Clone(origins), func(o string) bool {
		return !strings.HasPrefix(o, "https://") && !strings.HasPrefix(o, "http://")
	})
}

func (f file) serve(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Type", f.contentType)
	h.Set("Cache-Control", "no-cache")
	h.Set("Vary", "Accept-Encoding")
	content, etag := f.content, f.etag
	if takesGzip(r) {
		content, etag = f.compressed, f.etag+"-gzip"
		h.Set("Content-Encoding", "gzip")
		h.Set("Content-Length", strconv.Itoa(len(content()))) // ServeContent leaves it out
	}
	h.Set("ETag", `"`+etag+`"`)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content()))
}

// takesGzip reports whether the answer may be compressed: not for one that asks
// for a range, which would be one of compressed bytes, nor for one that gives
// gzip a weight of nothing (RFC 9110, section 12.5.3).
func takesGzip(r *http.Request) bool {
	if r.Header.Get("Range") != "" {
		return false
	}
	for _, line := range r.Header.Values("Accept-Encoding") {
		for coding := range strings.SplitSeq(line, ",") {
			name, weight, _ := strings.Cut(strings.ToLower(coding), ";")
			if strings.TrimSpace(name) == "gzip" {
				q, weighted := strings.CutPrefix(strings.TrimSpace(weight), "q=")
				return !weighted || strings.Trim(q, "0.") != ""
			}
		}
	}
	return false
}

// load reads the embedded files, once, keyed by the path of their URL.
var load = sync.OnceValue(func() map[string]file {
	page, err := fs.Sub(files, "page")
	if err != nil {
		panic(err) // compiled in: it is there or the build failed
	}
	all := read(page)
	for name, content := range uPlot() {
		all["/"+name] = newFile(name, content)
	}
	return all
})

// read returns the files of a directory that is compiled in, by the path of their URL.
func read(files fs.FS) map[string]file {
	entries, err := fs.ReadDir(files, ".")
	if err != nil {
		panic(err)
	}
	page := map[string]file{}
	for _, e := range entries {
		content, err := fs.ReadFile(files, e.Name())
		if err != nil {
			panic(err)
		}
		url := "/" + e.Name()
		if e.Name() == "index.html" {
			url = "/"
		}
		page[url] = newFile(e.Name(), content)
	}
	return page
}

// newFile returns a file that is compiled in, as it is or compressed. scripts/build compresses
// the files: they are smaller, and are sent to browsers as they are.
func newFile(name string, content []byte) file {
	sum := sha256.Sum256(content)
	f := file{contentType: contentTypes[path.Ext(name)], etag: hex.EncodeToString(sum[:16])}
	f.content, f.compressed = func() []byte { return content }, sync.OnceValue(func() []byte { return compress(content) })
	if isCompressed(content) {
		f.content, f.compressed = sync.OnceValue(func() []byte { return expand(content) }), f.content
	}
	return f
}

// isCompressed reports whether content begins with the first bytes of gzip (RFC 1952, section
// 2.3.1), with which no text begins.
func isCompressed(content []byte) bool { return bytes.HasPrefix(content, []byte{0x1f, 0x8b}) }

func compress(content []byte) []byte {
	var out bytes.Buffer
	w, _ := gzip.NewWriterLevel(&out, gzip.BestCompression) // the level is valid
	_, _ = w.Write(content)                                 // a buffer takes all
	_ = w.Close()
	return out.Bytes()
}

// expand returns what was compressed, if content is.
func expand(content []byte) []byte {
	if !isCompressed(content) {
		return content
	}
	r, err := gzip.NewReader(bytes.NewReader(content))
	if err != nil {
		panic(err) // compiled in: it is whole
	}
	all, err := io.ReadAll(r)
	if err != nil {
		panic(err) // as above
	}
	return all
}
