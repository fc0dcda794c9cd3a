package export

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"sensorgateway/wire"
)

// corrections say how the values of a sensor are made from what was measured.
type corrections struct {
	Applied bool         `json:"applied"` // false: the values are what was measured
	From    []correction `json:"from"`
}

// correction holds from a number of an epoch on, up to the next correction of that epoch.
type correction struct {
	Epoch       string                      `json:"epoch"`
	Seq         uint32                      `json:"seq"`
	Calibration map[string]wire.Calibration `json:"calibration,omitempty"`
	Median      int                         `json:"median,omitempty"`
}

// corrections returns those of a sensor, nil if nothing ever corrected its values.
func (e *export) corrections(sensor string) *corrections {
	c, any := corrections{Applied: !e.measured}, false
	for _, x := range e.log.Entries(sensor) {
		any = any || len(x.Calibration) > 0 || x.Median > 0
		c.From = append(c.From, correction{x.Epoch, x.From, x.Calibration, x.Median})
	}
	if !any {
		return nil
	}
	return &c
}

// printCorrections prints the corrections for people, where the format has no place for them.
func (e *export) printCorrections(w io.Writer) {
	for i := range e.sensors {
		s := &e.sensors[i]
		all := e.corrections(s.Name)
		if all == nil {
			continue
		}
		are := "are corrected"
		if e.measured {
			are = "would be corrected"
		}
		for _, c := range all.From {
			fmt.Fprintf(w, "%s: from number %d of epoch %s on, values %s: %s\n", s.Name, c.Seq, c.Epoch, are, c.text(s.Quantities()))
		}
	}
}

// text is the correction for people.
func (c *correction) text(quantities []wire.Quantity) string {
	var parts []string
	for _, q := range quantities {
		if k, ok := c.Calibration[q.Name]; ok {
			parts = append(parts, fmt.Sprintf("%s = measured * %s %s %s", q.Name, number(k.Scale), sign(k.Offset), q.Unit))
		}
	}
	if c.Median > 0 {
		parts = append(parts, fmt.Sprintf("median of %d ticks", c.Median))
	}
	if len(parts) == 0 {
		return "no more"
	}
	return strings.Join(parts, ", ")
}

func number(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) }

func sign(v float64) string {
	if v < 0 {
		return "- " + number(-v)
	}
	return "+ " + number(v)
}
