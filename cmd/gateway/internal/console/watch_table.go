package console

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"sensorgateway/wire"
)

// style is an ECMA-48 rendition; "" is plain.
type style string

const (
	plain   style = ""
	faint   style = "2"
	red     style = "31"
	green   style = "32"
	yellow  style = "33"
	inverse style = "7"
)

// cell is a text with a style.
type cell struct {
	text  string
	style style
}

// paint is the cell, padded to width; with a negative width it is aligned to the left.
func (c cell) paint(width int, colour bool) string {
	s := c.text
	if colour && c.style != plain && s != "" {
		s = "\x1b[" + string(c.style) + "m" + s + "\x1b[0m"
	}
	pad := max(width, -width) - utf8.RuneCountInString(c.text)
	if pad <= 0 {
		return s
	}
	if width < 0 {
		return s + strings.Repeat(" ", pad)
	}
	return strings.Repeat(" ", pad) + s
}

// table is the board at a moment, line by line.
func (b *board) table(now time.Time, colour bool) []string {
	quantities := b.quantities()
	cells := [][]cell{{{"sensor", faint}}}
	for _, q := range quantities {
		cells[0] = append(cells[0], cell{Printable(q.Name), faint})
	}
	for _, name := range []string{"rate/s", "age", "quality", "recovered", "lost"} {
		cells[0] = append(cells[0], cell{name, faint})
	}
	for _, r := range b.rows {
		cells = append(cells, r.cells(quantities, now))
	}
	widths := make([]int, len(cells[0]))
	for _, line := range cells {
		for i, c := range line {
			widths[i] = max(widths[i], utf8.RuneCountInString(c.text))
		}
	}
	age, quality := len(quantities)+2, len(quantities)+3
	widths[0], widths[quality] = -widths[0], -max(widths[quality], len("good, conflated")) // aligned left
	widths[age] = max(widths[age], len("99.9 s"))                                          // wide enough not to jump
	lines := []string{b.status(now, colour), ""}
	for _, line := range cells {
		var painted []string
		for i, c := range line {
			painted = append(painted, c.paint(widths[i], colour))
		}
		lines = append(lines, strings.Join(painted, "  "))
	}
	return append(lines, b.alarmLines(colour)...)
}

// status is the line above the table.
func (b *board) status(now time.Time, colour bool) string {
	parts := []cell{{Printable(b.url), plain}}
	switch {
	case b.connected && b.roundTrip > 0:
		parts = append(parts, cell{"connected", green}, cell{"round trip " + span(b.roundTrip), plain})
	case b.connected:
		parts = append(parts, cell{"connected", green})
	case b.lost == nil:
		parts = append(parts, cell{"connecting", yellow})
	case now.Before(b.retryAt):
		parts = append(parts, cell{"reconnecting in " + countdown(b.retryAt.Sub(now)), yellow}, cell{Printable(withFix(b.lost.Err).Error()), plain})
	default:
		parts = append(parts, cell{"reconnecting", yellow}, cell{Printable(withFix(b.lost.Err).Error()), plain})
	}
	if b.simulated {
		parts = append(parts, cell{"SIMULATED", inverse})
	}
	if b.unsynced {
		parts = append(parts, cell{"clock not synchronised", yellow})
	}
	if b.note != "" {
		parts = append(parts, cell{b.note, yellow})
	}
	if b.anew {
		parts = append(parts, cell{"another epoch: what was lost before it is not counted", yellow})
	}
	var painted []string
	for _, p := range parts {
		painted = append(painted, p.paint(0, colour))
	}
	return strings.Join(painted, "  ")
}

// quantities are the columns of values: what the sensors measure.
func (b *board) quantities() (all []wire.Quantity) {
	for _, r := range b.rows {
		for _, q := range r.info.Quantities() {
			if !slices.Contains(all, q) {
				all = append(all, q)
			}
		}
	}
	if len(all) == 0 { // nothing is known yet
		all = (&wire.SensorInfo{}).Quantities()
	}
	return all
}

// value is the newest value of a quantity as people read it.
func (r *row) value(q wire.Quantity) string {
	i := slices.Index(r.info.Quantities(), q)
	if i < 0 || !r.seen || r.last.Fault != wire.Good || wire.IsNotMeasured(r.last.Values[i]) {
		return none
	}
	return Printable(q.Text(r.last.Values[i]))
}

// none is shown where there is no value.
const none = "–"

func (r *row) cells(quantities []wire.Quantity, now time.Time) []cell {
	rate, age := none, none
	quality := cell{none, faint}
	if r.seen {
		age = span(now.Sub(r.at))
		if r.last.Fault == wire.Good {
			quality = cell{"good", green}
		} else {
			quality = cell{r.last.Fault.String(), red}
		}
		if r.last.Flags&wire.Conflated != 0 {
			quality.text += ", conflated"
		}
	}
	if v, ok := r.rate.perSecond(now); ok {
		rate = fmt.Sprintf("%.1f", v)
	}
	lost := cell{fmt.Sprint(r.lost), plain}
	if r.lost > 0 {
		lost.style = yellow
	}
	if r.seen && r.stale(now) {
		quality.text = "stale"
	}
	line := []cell{{Printable(r.name), plain}}
	for _, q := range quantities {
		line = append(line, cell{r.value(q), plain})
	}
	line = append(line, cell{rate, plain}, cell{age, plain}, quality, cell{fmt.Sprint(r.recovered), plain}, lost)
	if r.seen && r.stale(now) {
		for i := range line {
			line[i].style = faint
		}
	}
	return line
}

// span is a duration for people, in at most three digits.
func span(d time.Duration) string {
	switch {
	case d < 10*time.Millisecond:
		return fmt.Sprintf("%.1f ms", float64(d)/float64(time.Millisecond))
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < 100*time.Second:
		return fmt.Sprintf("%.1f s", d.Truncate(100*time.Millisecond).Seconds())
	case d < 100*time.Minute:
		return fmt.Sprintf("%d min", int(d.Minutes()))
	}
	return fmt.Sprintf("%d h", int(d.Hours()))
}
