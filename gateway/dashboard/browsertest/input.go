package browsertest

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// reveal waits until an element can be used, scrolls it into sight if needed, and returns its
// box once that has not moved for a frame. Whether a click hits it is noted in clickHits; a
// click that hits something else, because the element has moved after all, has no effect.
func (p *Page) reveal(selector string) (box struct{ X, Y, Width, Height float64 }) {
	p.t.Helper()
	there := fmt.Sprintf("document.querySelector(%q)?.checkVisibility({ visibilityProperty: true })", selector)
	script := fmt.Sprintf(`(async () => {
		const element = document.querySelector(%q), box = () => element.getBoundingClientRect().toJSON();
		if (!element) return null; // the page has loaded itself again
		const { left, top, right, bottom } = box();
		const over = document.elementFromPoint((left + right) / 2, (top + bottom) / 2); // such as what stays in place while the page scrolls
		if (left < 0 || top < 0 || right > innerWidth || bottom > innerHeight || (over && !element.contains(over))) element.scrollIntoView({ block: "center", inline: "center", behavior: "instant" });
		if (!("revealed" in globalThis)) addEventListener("click", (event) => {
			if (!globalThis.revealed || !event.isTrusted || !event.detail) return; // a script's, a key's, or one that follows from a hit
			globalThis.clickHits = event.composedPath().includes(globalThis.revealed);
			if (globalThis.clickHits) globalThis.revealed = null;
			else event.stopImmediatePropagation(), event.preventDefault();
		}, { capture: true });
		globalThis.revealed = element;
		globalThis.clickHits = undefined;
		for (let last; JSON.stringify(last) !== JSON.stringify(box()); await new Promise(globalThis.displayFrame ?? requestAnimationFrame)) last = box();
		return box();
	})()`, selector)
	for {
		p.Wait(there)
		if found := Eval[*struct{ X, Y, Width, Height float64 }](p, script); found != nil {
			return *found
		}
	}
}

func (p *Page) perform(in input) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := p.tab.perform(ctx, in); err != nil {
		p.t.Fatalf("%+v: %v\nfailures: %q", in, err, p.Failures())
	}
}

// Click clicks on the first element that the selector finds. It clicks again if the element
// has moved away just then, as it may on a page that changes by itself.
func (p *Page) Click(selector string) {
	p.t.Helper()
	for begin := time.Now(); ; {
		box := p.reveal(selector)
		at := point{box.X + box.Width/2, box.Y + box.Height/2}
		p.perform(input{mouse: []point{at}})
		if p.hit() {
			return
		}
		if time.Since(begin) > patience {
			p.t.Fatalf("no click hits %s, at %v", selector, at)
		}
	}
}

// hit reports whether the last click hit its element. If the page has gone to another
// document, it did.
func (p *Page) hit() bool {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	hits, err := evaluate[bool](ctx, p.tab, `globalThis.clickHits ?? true`)
	if err != nil && !errors.Is(err, errLeft) {
		p.t.Fatalf("whether a click has hit: %v\nfailures: %q", err, p.Failures())
	}
	return hits || err != nil
}

// Drag drags the mouse across an element, between two parts of its width, from the middle
// of its height to end: beyond 1 it is released below the element.
func (p *Page) Drag(selector string, from, to, end float64) {
	p.t.Helper()
	box := p.reveal(selector)
	var way []point
	const steps = 5
	for i := range steps + 1 {
		part := float64(i) / steps
		way = append(way, point{box.X + (from+(to-from)*part)*box.Width, box.Y + (0.5+(end-0.5)*part)*box.Height})
	}
	p.perform(input{mouse: way})
}

// Wheel turns the wheel over the middle of an element, by so many CSS pixels.
func (p *Page) Wheel(selector string, down float64) {
	p.t.Helper()
	box := p.reveal(selector)
	p.perform(input{wheel: wheel{at: point{box.X + box.Width/2, box.Y + box.Height/2}, down: down}})
}

// ShiftWheel is Wheel while Shift is held.
func (p *Page) ShiftWheel(selector string, down float64) {
	p.t.Helper()
	box := p.reveal(selector)
	p.perform(input{wheel: wheel{at: point{box.X + box.Width/2, box.Y + box.Height/2}, down: down, shift: true}})
}

// Focus gives the focus to the first element that the selector finds.
func (p *Page) Focus(selector string) {
	p.t.Helper()
	p.reveal(selector)
	Eval[bool](p, fmt.Sprintf("(document.querySelector(%q).focus(), true)", selector))
}

// Type types into the first element that the selector finds; "\n" is Enter.
func (p *Page) Type(selector, text string) {
	p.t.Helper()
	p.Focus(selector)
	p.Keys(text)
}

// Keys presses keys, wherever the focus is: characters, or those of chromedp's package kb.
func (p *Page) Keys(keys string) {
	p.t.Helper()
	p.perform(input{keys: keys})
}
