package e2e

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"

	"sensorgateway/gateway/dashboard/browsertest"
)

// firstPaint is when the first text was on the screen, in ms after the
// navigation began.
const firstPaint = `new Promise((then) => new PerformanceObserver((list, observer) => {
	for (const { name, startTime } of list.getEntries()) if (name === "first-contentful-paint") { observer.disconnect(); then(startTime); }
}).observe({ type: "paint", buffered: true }))`

// liveAt notes when the first reading is shown, in ms after the navigation began.
const liveAt = `globalThis.liveAt = new Promise((then) => new MutationObserver((_, observer) => {
	if (document.querySelector("#status[data-phase=live]")) { observer.disconnect(); then(performance.now()); }
}).observe(document, { subtree: true, attributeFilter: ["data-phase"] }))`

// BenchmarkPageFirstPaint measures how long a browser takes to show the page, alternately
// with a page of one line of text: only the difference is due to the page.
// A new tab has to start a process; a warm one has shown the line before.
// It reports medians, in ms after the navigation began:
//
//	go test -run xxx -bench FirstPaint -benchtime 20x ./cmd/gateway/internal/e2e
func BenchmarkPageFirstPaint(b *testing.B) {
	browser := browsertest.Start(b)
	p := startGateway(b, buildGateway(b), "--simulate", "--listen", "127.0.0.1:0")
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = w.Write([]byte(`<!doctype html><link rel="icon" href="data:,"><title>Bare</title><p>Sensor gateway`))
	}))
	defer server.Close()
	bare := server.URL + "/"

	for _, tab := range []string{"new", "warm"} {
		b.Run(tab, func(b *testing.B) {
			open := func(address string) *browsertest.Page {
				if tab == "new" {
					return browser.Open(b, address, browsertest.Options{Script: liveAt, Smooth: true})
				}
				page := browser.Open(b, bare, browsertest.Options{Script: liveAt, Smooth: true})
				page.Navigate(address)
				return page
			}
			page := open(pageOf(p)) // the browser's first time is another matter
			page.Wait(live)
			page.Close()
			var bares, paints, lives []float64
			for b.Loop() {
				page := open(bare)
				bares = append(bares, browsertest.Eval[float64](page, firstPaint))
				page.Close()
				page = open(pageOf(p))
				paints = append(paints, browsertest.Eval[float64](page, firstPaint))
				lives = append(lives, browsertest.Eval[float64](page, "liveAt"))
				page.Close()
			}
			median := func(times []float64) float64 {
				slices.Sort(times)
				return times[len(times)/2]
			}
			b.ReportMetric(0, "ns/op") // leave it out
			b.ReportMetric(median(bares), "bare-ms")
			b.ReportMetric(median(paints), "page-ms")
			b.ReportMetric(median(paints)-median(bares), "own-ms")
			b.ReportMetric(median(lives), "live-ms")
		})
	}
}
