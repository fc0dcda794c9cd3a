package browsertest

import (
	"encoding/json"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/tracing"
	"github.com/chromedp/chromedp"
)

// Frames are the page's display frames, in the browser's own trace.
type Frames struct {
	Work []time.Duration // of the main thread for each: scripts, style, layout and paint
	CPU  []time.Duration // processor time of the main thread for each
	Busy time.Duration   // of the main thread in all, with the handling of messages
	Over time.Duration   // the time that was traced
}

// traced is an event of a trace (its times are in µs).
type traced struct {
	Name, Ph string
	Pid, Tid int
	Ts, Dur  int64
	Tdur     int64 // processor time of the thread
	Args     struct{ Name string }
}

// TraceFrames traces the page until the JavaScript condition holds. No other page may be
// open in this Chromium.
func (p *Page) TraceFrames(condition string) Frames {
	p.t.Helper()
	ctx, cancel := p.bounded()
	defer cancel()
	collected, completed := chromedp.Events(ctx, tracing.DataCollected), chromedp.Events(ctx, tracing.TracingComplete)
	events := make(chan traced, 1024) // the reader below takes them all
	go func() {
		defer close(events)
		for batch, err := range collected {
			if err != nil {
				return // the trace is complete, and ctx has ended
			}
			for _, raw := range batch.Value {
				var e traced
				if json.Unmarshal(raw, &e) == nil {
					events <- e
				}
			}
		}
	}()
	call(p, tracing.Start, tracing.StartParams{TraceConfig: &tracing.TraceConfig{IncludedCategories: []string{"devtools.timeline", "disabled-by-default-devtools.timeline"}}})
	begun := time.Now()
	p.Wait(condition)
	over := time.Since(begun)
	call(p, tracing.End, cdp.Empty{})
	var all []traced
	read := make(chan struct{})
	go func() {
		defer close(read)
		for e := range events {
			all = append(all, e)
		}
	}()
	for _, err := range completed {
		if err != nil {
			p.t.Fatalf("the trace: %v", err)
		}
		break
	}
	cancel()
	<-read
	frames := framesOf(all)
	frames.Over = over
	return frames
}

// framesOf finds the tasks of the page's main thread, and those of them that drew.
func framesOf(all []traced) (frames Frames) {
	main, drew := map[[2]int]bool{}, map[[2]int][]int64{}
	for _, e := range all {
		thread := [2]int{e.Pid, e.Tid}
		switch {
		case e.Ph == "M" && e.Name == "thread_name" && e.Args.Name == "CrRendererMain":
			main[thread] = true
		case e.Name == "FireAnimationFrame":
			drew[thread] = append(drew[thread], e.Ts)
		}
	}
	for _, e := range all {
		thread := [2]int{e.Pid, e.Tid}
		if e.Name != "RunTask" || !main[thread] {
			continue
		}
		took := time.Duration(e.Dur) * time.Microsecond
		frames.Busy += took
		for _, at := range drew[thread] {
			if e.Ts <= at && at <= e.Ts+e.Dur {
				frames.Work = append(frames.Work, took)
				frames.CPU = append(frames.CPU, time.Duration(e.Tdur)*time.Microsecond)
				break
			}
		}
	}
	return frames
}
