package console

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strings"

	"sensorgateway/cmd/gateway/internal/phrase"
	"sensorgateway/gateway/client"
	"sensorgateway/wire"
)

// watchLines writes each record and each change of an alarm as a line of JSON, and
// changes of the connection to stderr, until ctx ends.
func watchLines(ctx context.Context, o client.Options, stdout, stderr io.Writer) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	numbered := false
	lost := map[string]uint32{}              // by sensor, for its next line
	sensors := map[string]*wire.SensorInfo{} // of hello
	write := func(lines []byte) {
		if _, err := stdout.Write(lines); err != nil {
			cancel(fmt.Errorf("standard output: %w", err))
		}
	}
	o.Handle = func(e client.Event) {
		switch e := e.(type) {
		case client.Connected:
			numbered = e.Subprotocol == wire.ReadingsV2 || e.Subprotocol == wire.ReadingsJSON
			for i := range e.Hello.Sensors {
				sensors[e.Hello.Sensors[i].Name] = &e.Hello.Sensors[i]
			}
		case client.Records:
			var lines bytes.Buffer
			for _, r := range e {
				lines.Write(recordLine(r, sensors[r.Name], numbered, lost[r.Name]+lostBefore(r)))
				delete(lost, r.Name)
			}
			write(lines.Bytes())
		case client.Message:
			if event, ok := alarmEvent(e); ok {
				write(alarmLine(event))
			}
		case client.Replayed:
			for name, n := range e.Lost {
				lost[name] += n
			}
		}
		if line := connectionLine(o.URL, e); line != "" {
			fmt.Fprintln(stderr, line)
		}
		if c, ok := e.(client.Connected); ok {
			if note := subprotocolNote(o.Subprotocol, c.Subprotocol); note != "" {
				fmt.Fprintln(stderr, note)
			}
		}
	}
	if err := client.New(o).Run(ctx); err != nil {
		return err
	}
	if err := context.Cause(ctx); !errors.Is(err, context.Canceled) {
		return err // the error of a write
	}
	return nil
}

// recordLine is a record as a line of JSON, with how many of its sensor were lost
// since the line before. The sensor is nil if hello does not have it. A value that
// was not measured is null, and so are the fault of a good record and a number that
// the subprotocol does not send.
func recordLine(r client.Record, sensor *wire.SensorInfo, numbered bool, lost uint32) []byte {
	if sensor == nil {
		sensor = &wire.SensorInfo{}
	}
	type climate struct {
		Temp     *float32 `json:"temp"`     // °C
		Humidity *float32 `json:"humidity"` // %
	}
	type others struct {
		Values map[string]*float32 `json:"values"`
		Units  map[string]string   `json:"units"`
	}
	line := struct {
		Sensor string `json:"sensor"`
		*climate
		*others
		TS         float64    `json:"ts"` // Unix seconds
		Seq        *uint32    `json:"seq"`
		Fault      *string    `json:"fault"`
		Flags      wire.Flags `json:"flags"`
		Historical bool       `json:"historical,omitempty"` // replayed
		Lost       uint32     `json:"lost,omitempty"`
	}{Sensor: r.Name, TS: float64(r.UnixMilli) / 1000, Flags: r.Flags, Historical: r.Flags&wire.Historical != 0, Lost: lost}
	value := func(i int) *float32 {
		if r.Fault != wire.Good {
			return nil
		}
		return finite(r.Values[i])
	}
	if sensor.InV1() {
		line.climate = &climate{value(0), value(1)}
	} else {
		line.others = &others{map[string]*float32{}, map[string]string{}}
		for i, q := range sensor.Quantities() {
			line.Values[q.Name], line.Units[q.Name] = value(i), q.Unit
		}
	}
	if r.Fault != wire.Good {
		name := r.Fault.String()
		line.Fault = &name
	}
	if numbered {
		line.Seq = &r.Seq
	}
	return append(phrase.EscapeJSON(wire.JSON(line)), '\n')
}

// finite returns v, or nil if JSON has no number for it.
func finite(v float32) *float32 {
	if f := float64(v); math.IsNaN(f) || math.IsInf(f, 0) {
		return nil
	}
	return &v
}

// connectionLine is a line for people about a connection that begins or ends, or
// about what was missed between two; "" if the event is neither.
func connectionLine(url string, e client.Event) string {
	switch e := e.(type) {
	case client.Connected:
		text := "connected to " + url
		if h := e.Hello; h.Server != "" {
			text += fmt.Sprintf(": %s %s, %d sensors", h.Server, h.Version, len(h.Sensors))
			if h.Simulated {
				text += ", SIMULATED"
			}
			if !h.ClockSynced {
				text += ", clock not synchronised"
			}
		}
		return Printable(text)
	case client.Disconnected:
		return Printable(fmt.Sprintf("%v; reconnecting in %s", withFix(e.Err), countdown(e.Wait)))
	case client.Resumed:
		switch {
		case e.Anew:
			return "another epoch: what was lost before it cannot be counted"
		case len(e.Gone) > 0:
			return Printable("not all that was missed is kept; gone, at most: " + countsText(e.Gone))
		}
	case client.Replayed:
		var parts []string
		if len(e.Recovered) > 0 {
			parts = append(parts, "recovered: "+countsText(e.Recovered))
		}
		if len(e.Lost) > 0 {
			parts = append(parts, "lost: "+countsText(e.Lost))
		}
		return Printable(strings.Join(parts, "; "))
	}
	return ""
}

// countsText is "indoor 12, outdoor 7".
func countsText(counts map[string]uint32) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(counts)) {
		parts = append(parts, fmt.Sprintf("%s %d", name, counts[name]))
	}
	return strings.Join(parts, ", ")
}
