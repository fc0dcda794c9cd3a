package e2e

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"sensorgateway/gateway/dashboard/browsertest"
)

// limitLines finds the lines of limits on a canvas, which are dashed across its whole width, and
// the mean height of the readings' line, both in pixels from the top. It leaves out the columns
// at the right with the limits' texts: part is the share of the time in the other columns.
const limitLines = `((id) => {
	const canvas = document.querySelector("#" + id + " canvas"), { width, height } = canvas, ends = width - 120 * devicePixelRatio;
	const copy = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
	copy.drawImage(canvas, 0, 0);
	const { data } = copy.getImageData(0, 0, width, height);
	const coloured = (x, y) => {
		const [r, g, b, a] = data.subarray(4 * (y * width + x), 4 * (y * width + x) + 4);
		return a > 100 && Math.max(r, g, b) - Math.min(r, g, b) > 60;
	};
	const lines = [], dashed = new Set();
	for (let y = 0; y < height; y++) {
		let dashes = 0;
		for (let x = 1; x < ends; x++) dashes += !coloured(x - 1, y) && coloured(x, y);
		if (dashes * 10 * devicePixelRatio < 0.7 * ends) continue; // a dash and the space behind it are 10 px
		if (dashed.has(y - 1)) lines[lines.length - 1] = y - 0.5; // it lies on the edge of two
		else lines.push(y);
		dashed.add(y);
	}
	const over = document.querySelector("#" + id + " .u-over").getBoundingClientRect(), left = over.left - canvas.getBoundingClientRect().left;
	let sum = 0, columns = 0;
	for (let x = Math.ceil(left * devicePixelRatio); x < ends; x++) {
		const rows = [...Array(height).keys()].filter((y) => !dashed.has(y) && coloured(x, y));
		if (rows.length) sum += rows.reduce((a, b) => a + b) / rows.length, columns++;
	}
	return { lines, readings: sum / columns, columns, part: (ends / devicePixelRatio - left) / over.width };
})`

// The limits of alarms are dashed lines across the chart of their sensor and quantity, each
// at its value on the scale of the readings; other charts have none of them.
func TestPageDrawsLimits(t *testing.T) {
	t.Parallel()
	long(t, againInABrowser)
	const apart = 0.25 // °C, so small that a chart of half a degree has two
	var config strings.Builder
	config.WriteString("sensors:\n  - {name: indoor, bus: 1, chip: sht3x}\nalarms:\n")
	for i := range 60 {
		fmt.Fprintf(&config, "  - {name: limit_%d, condition: indoor.temperature > %g for 1h, severity: warning}\n", i, 16+apart*float64(i))
	}
	p := startGateway(t, buildGateway(t), "--simulate", "--config", writeFile(t, "gateway.yaml", config.String()), "--listen", "127.0.0.1:0", "--state", t.TempDir())
	page := openPage(t, browsertest.Start(t), p, browsertest.Options{})
	page.Wait(received + ` > 120`)
	const view = `(([from, to]) => ({ from, to }))(["from", "to"].map((end) => Date.parse(new URLSearchParams(location.hash.slice(1)).get(end))))`
	browsertest.Eval[bool](page, `fetch("api/v1/readings?sensor=indoor").then((answer) => answer.json()).then(({ readings }) => {
		const [from, to] = [readings[5], readings[95]].map(({ ts }) => new Date(1000 * ts).toISOString());
		location.hash = "from=" + from + "&to=" + to;
		return true;
	})`)
	page.Wait(`!document.querySelector("#live").hidden && ((drawn) => drawn.columns > 0.9 * drawn.part * document.querySelector("#temperature .u-over").clientWidth)(` + limitLines + `("temperature"))`)
	got := browsertest.Eval[struct {
		Lines          []float64
		Readings, Mean float64
	}](page, `(({ from, to }, drawn) => fetch("api/v1/readings?sensor=indoor&from=" + from + "&to=" + Math.round(from + (to - from) * drawn.part))
		.then((answer) => answer.json()).then(({ readings }) => ({ ...drawn, mean: readings.reduce((sum, { temp }) => sum + temp, 0) / readings.length })))(`+view+`, `+limitLines+`("temperature"))`)
	if len(got.Lines) < 2 {
		t.Fatalf("limits are lines at %v", got.Lines)
	}
	pixels := got.Lines[1] - got.Lines[0]
	for i, y := range got.Lines[1:] {
		if math.Abs(y-got.Lines[i]-pixels) > 1.5 {
			t.Errorf("limits that are as far apart are lines at %v", got.Lines)
		}
	}
	off := math.Remainder((got.Readings-got.Lines[0])/pixels*apart+got.Mean, apart) // what the first line stands for is a multiple
	if math.Abs(off) > 0.03 {
		t.Errorf("the lines at %v are %.3f °C off readings of %.3f °C at %.1f", got.Lines, off, got.Mean, got.Readings)
	}
	if none := browsertest.Eval[[]float64](page, limitLines+`("humidity").lines`); len(none) > 0 {
		t.Errorf("the humidity, which has no limits, has lines at %v", none)
	}
}
