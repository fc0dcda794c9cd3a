// Package dashboard is the page a browser gets from the gateway: the newest
// values of all sensors, what is wrong with them, and how old they are.
//
// It serves files that are compiled in and nothing else. It refuses to know
// sensors, sockets and the server: the page in the browser learns everything
// from the WebSocket on its own address, as any stranger's client would.
package dashboard

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"io/fs"
	"net/http"
	"path"
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
// section 6.7.2.8; Chromium 70, Firefox 64, Safari 16).
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; " +
	"require-trusted-types-for 'script'; trusted-types 'none'"

// file is one file of the page as it is served.
type file struct {
	content     []byte
	contentType string
	etag        string // strong, from the content
}

// Handler serves the page: index.html at "/", and the files it refers to next
// to it. Any other path is 404, any method but GET and HEAD 405. Browsers may
// keep the files but ask each time whether they still hold, so that a new
// version of the gateway shows its own page at once.
func Handler() http.Handler {
	page := load()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")

		f, ok := page[r.URL.Path]
		switch {
		case !ok:
			http.Error(w, "not found", http.StatusNotFound)
		case r.Method != http.MethodGet && r.Method != http.MethodHead:
			h.Set("Allow", "GET, HEAD")
			http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
		default:
			h.Set("Content-Type", f.contentType)
			h.Set("Cache-Control", "no-cache")
			h.Set("ETag", f.etag)
			http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(f.content))
		}
	})
}

// load reads the embedded files, keyed by the path of their URL.
func load() map[string]file {
	const root = "page"
	entries, err := fs.ReadDir(files, root)
	if err != nil {
		panic(err) // compiled in: it is there or the build failed
	}
	page := make(map[string]file, len(entries))
	for _, e := range entries {
		content, err := files.ReadFile(path.Join(root, e.Name()))
		if err != nil {
			panic(err)
		}
		sum := sha256.Sum256(content)
		url := "/" + e.Name()
		if e.Name() == "index.html" {
			url = "/"
		}
		page[url] = file{content, contentTypes[path.Ext(e.Name())], `"` + hex.EncodeToString(sum[:16]) + `"`}
	}
	return page
}
