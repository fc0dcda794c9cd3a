package e2e

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"sensorgateway/gateway/dashboard/browsertest"
)

// changedCards counts, over 150 display frames, the highest number of cards whose values
// changed in one frame, and how often those of a card in sight and of one out of sight did.
const changedCards = `new Promise((then) => {
	const cards = [...document.querySelectorAll(".sensor")], times = new Map(cards.map((card) => [card, 0])), inFrame = new Set();
	const mean = (some) => some.reduce((sum, card) => sum + times.get(card), 0) / some.length;
	const observer = new MutationObserver((changes) => {
		for (const card of new Set(changes.map(({ target }) => (target.parentElement ?? target).closest(".value")?.closest(".sensor")).filter(Boolean))) {
			inFrame.add(card);
			times.set(card, times.get(card) + 1);
		}
	});
	observer.observe(document.querySelector("#sensors"), { subtree: true, childList: true, characterData: true });
	let frames = 0, atOnce = 0;
	requestAnimationFrame(function frame() {
		atOnce = Math.max(atOnce, inFrame.size);
		inFrame.clear();
		if (frames++ < 150) return requestAnimationFrame(frame);
		observer.disconnect();
		const far = cards.filter((card) => card.getBoundingClientRect().top > 1.2 * innerHeight);
		then({ atOnce, inSight: mean(cards.filter((card) => card.getBoundingClientRect().bottom < innerHeight)), outOfSight: mean(far), far: far.length });
	});
})`

// Each frame draws some of many cards, the next one others; cards out of sight are drawn
// too, but less often.
func TestPageSharesFrames(t *testing.T) {
	t.Parallel()
	long(t, againInABrowser)
	p := startGateway(t, buildGateway(t), "--simulate", "--config", manyConfig(t, 64, 1), "--listen", "127.0.0.1:0")
	page := openPage(t, browsertest.Start(t), p, browsertest.Options{Smooth: true, Width: 1000, Height: 600})
	page.Wait(`document.querySelectorAll(".sensor[data-state=live]").length === 64`)
	got := browsertest.Eval[struct {
		AtOnce, Far         int
		InSight, OutOfSight float64
	}](page, changedCards)
	if got.AtOnce > 24 {
		t.Errorf("%d cards were drawn in one frame", got.AtOnce)
	}
	if got.Far < 10 || got.OutOfSight == 0 || got.OutOfSight > got.InSight/2 {
		t.Errorf("of %d cards out of sight each changed %.1f times, in sight %.1f times", got.Far, got.OutOfSight, got.InSight)
	}
}

// BenchmarkPageFrames measures the work of the page's main thread for a display frame, in the
// browser's own trace, with few sensors and with as many as most houses have, while their
// cards are in sight and while the charts are: a frame of 60 a second has 16.7 ms.
// Reported are the median and the 99th percentile, in ms, the same of the thread's
// processor time, which others on the machine do not lengthen, and how much of the time
// the thread was busy:
//
//	go test -run xxx -bench PageFrames -benchtime 1x ./cmd/gateway/internal/e2e
func BenchmarkPageFrames(b *testing.B) {
	for _, sensors := range []int{3, 64} {
		p := startGateway(b, buildGateway(b), "--simulate", "--config", manyConfig(b, sensors, 1), "--listen", "127.0.0.1:0")
		page := browsertest.Start(b).Open(b, pageOf(p), browsertest.Options{Width: 1440, Height: 900, Smooth: true})
		page.Wait(live)
		const second = 10                                              // readings of a sensor
		page.Wait(fmt.Sprintf("%s > %d", received, 60*second*sensors)) // the charts are full
		for sight, edge := range map[string]string{"sensors": "start", "charts": "end"} {
			b.Run(fmt.Sprintf("%d/%s", sensors, sight), func(b *testing.B) {
				browsertest.Eval[bool](page, fmt.Sprintf(`(document.querySelector("#%s").scrollIntoView({ block: %q, behavior: "instant" }), true)`, sight, edge))
				var frames browsertest.Frames
				for b.Loop() {
					from := browsertest.Eval[int](page, received)
					more := page.TraceFrames(fmt.Sprintf("%s > %d", received, from+10*second*sensors))
					frames.Work, frames.CPU = append(frames.Work, more.Work...), append(frames.CPU, more.CPU...)
					frames.Busy += more.Busy
					frames.Over += more.Over
				}
				if len(frames.Work) < 10 {
					b.Fatalf("%d frames in %v", len(frames.Work), frames.Over)
				}
				ms := func(times []time.Duration, part float64) float64 {
					slices.Sort(times)
					return float64(times[int(part*float64(len(times)-1))]) / float64(time.Millisecond)
				}
				b.ReportMetric(0, "ns/op") // leave it out
				b.ReportMetric(ms(frames.Work, 0.5), "frame-ms")
				b.ReportMetric(ms(frames.Work, 0.99), "frame-p99-ms")
				b.ReportMetric(ms(frames.CPU, 0.5), "cpu-ms")
				b.ReportMetric(ms(frames.CPU, 0.99), "cpu-p99-ms")
				b.ReportMetric(100*float64(frames.Busy)/float64(frames.Over), "busy-%")
				b.ReportMetric(float64(len(frames.Work))/frames.Over.Seconds(), "frames/s")
			})
		}
		page.Close() // a trace includes all pages
	}
}
