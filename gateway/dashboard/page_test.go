package dashboard

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"sensorgateway/gateway/dashboard/browsertest"
)

// TestModules runs the tests of the page's modules, those in testdata, where the
// modules will run: in browsers. The bytes they decode are the wire package's, and
// the conversations that they are played are the Go client's.
func TestModules(t *testing.T) {
	mux := http.NewServeMux()
	mux.Handle("/page/", http.FileServerFS(files))
	mux.Handle("/page/uPlot.js", http.StripPrefix("/page", Handler(nil)))
	mux.Handle("/testdata/", http.FileServer(http.Dir(".")))
	mux.Handle("/client/", http.StripPrefix("/client/", http.FileServer(http.Dir("../client/testdata"))))
	mux.Handle("/wire/", http.StripPrefix("/wire/", http.FileServer(http.Dir("../../wire/testdata"))))
	mux.HandleFunc("/{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = w.Write([]byte(`<!doctype html><link rel="icon" href="/page/favicon.svg"><title>Tests</title>`))
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)

	browsertest.Each(t, func(t *testing.T, browser *browsertest.Browser) {
		page := browser.Open(t, server.URL+"/", browsertest.Options{})
		results := browsertest.Eval[[]struct{ Name, Error string }](page, `(async () => {
			await Promise.all(["page", "client", "connection", "motors", "admin", "alarms", "words", "units", "machine", "room", "gestures"].map((name) => import("/testdata/" + name + "_test.js")));
			return (await import("/testdata/harness.js")).run();
		})()`)
		if len(results) < 10 {
			t.Errorf("only %d tests ran", len(results))
		}
		for _, result := range results {
			t.Run(result.Name, func(t *testing.T) {
				if result.Error != "" {
					t.Error(result.Error)
				}
			})
		}
		if failures := page.Failures(); failures != nil {
			t.Errorf("%q", failures)
		}
	})
}
