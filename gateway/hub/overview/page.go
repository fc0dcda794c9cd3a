package overview

import (
	"embed"
	"io/fs"
	"net/http"

	"sensorgateway/gateway/dashboard"
)

//go:embed page
var files embed.FS

// shared are files of the dashboard that the page uses too.
var shared = []string{"page.css", "favicon.svg", "dom.js", "format.js", "units.js", "words.js", "en.js", "tr.js", "readings.js"}

// Page serves the page, at "/", and the files that it refers to. Some are the dashboard's.
func Page() http.Handler {
	page, err := fs.Sub(files, "page")
	if err != nil {
		panic(err) // compiled in: it is there or the build failed
	}
	return dashboard.Site(page, shared...)
}

// Paths are those that Page serves.
func Paths() []string {
	entries, err := files.ReadDir("page")
	if err != nil {
		panic(err) // as above
	}
	all := []string{"/{$}"}
	for _, e := range entries {
		if e.Name() != "index.html" {
			all = append(all, "/"+e.Name())
		}
	}
	for _, name := range shared {
		all = append(all, "/"+name)
	}
	return all
}
