package e2e

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"sensorgateway/gateway/dashboard/browsertest"
)

// BenchmarkPageFrames is what the page's main thread does for a display frame, in the
// browser's own trace, with few sensors and with as many as most houses have: a frame of
// 60 a second has 16.7 ms. Reported are the median and the 99th percentile, in ms, and how
// much of the time the thread was busy:
//
//	go test -run xxx -bench PageFrames -benchtime 1x ./cmd/gateway/internal/e2e
func BenchmarkPageFrames(b *testing.B) {
	for _, sensors := range []int{3, 64} {
		b.Run(fmt.Sprintf("sensors=%d", sensors), func(b *testing.B) {
			p := startGateway(b, buildGateway(b), "--simulate", "--config", manyConfig(b, sensors, 1), "--listen", "127.0.0.1:0")
			page := browsertest.Start(b).Open(b, pageOf(p), browsertest.Options{Width: 1440, Height: 900, Smooth: true})
			page.Wait(live)
			const second = 10                                              // readings of a sensor
			page.Wait(fmt.Sprintf("%s > %d", received, 60*second*sensors)) // the charts are full
			var frames browsertest.Frames
			for b.Loop() {
				from := browsertest.Eval[int](page, received)
				more := page.TraceFrames(fmt.Sprintf("%s > %d", received, from+10*second*sensors))
				frames.Work = append(frames.Work, more.Work...)
				frames.Busy += more.Busy
				frames.Over += more.Over
			}
			if len(frames.Work) < 10 {
				b.Fatalf("%d frames in %v", len(frames.Work), frames.Over)
			}
			slices.Sort(frames.Work)
			ms := func(part float64) float64 {
				return float64(frames.Work[int(part*float64(len(frames.Work)-1))]) / float64(time.Millisecond)
			}
			b.ReportMetric(0, "ns/op") // leave it out
			b.ReportMetric(ms(0.5), "frame-ms")
			b.ReportMetric(ms(0.99), "frame-p99-ms")
			b.ReportMetric(100*float64(frames.Busy)/float64(frames.Over), "busy-%")
			b.ReportMetric(float64(len(frames.Work))/frames.Over.Seconds(), "frames/s")
		})
	}
}
