package sensors

import (
	"fmt"
	"math"
	"strings"
	"sync"
	"time"

	"sensorgateway/wire"
)

const (
	maxValues = 4 // of one measurement of a chip
	maxParts  = 3 // sensors that these can be: no chip has more
)

// A part is a sensor: one or two of the values that a chip measures at once.
type part struct {
	id       uint16
	name     string
	firstSeq uint32
	first    int // of its values among those of the chip
	measures []Measurand
	median   int // of how many ticks; 0: no median

	// Used by the probe.
	err       error     // of the measurement under way
	same      [2]uint32 // the bits of the last good measurement
	sameSince time.Time

	// Guarded by the sampler's lock.
	window window    // for the median
	failed int       // ticks in a row
	lostAt time.Time // when they last became too many

	mu   sync.Mutex
	last error // for Sampler.Err
}

// parts returns the sensors of a chip: its own, and the further ones that are configured.
func parts(cfg *Config) []*part {
	all := []*part{{id: cfg.ID, name: cfg.Name, firstSeq: cfg.FirstSeq, measures: cfg.Chip.Measures, median: cfg.Median}}
	for _, f := range cfg.Also {
		all = append(all, &part{
			id: f.ID, name: f.Name, firstSeq: f.FirstSeq, median: cfg.Median,
			first: len(cfg.Chip.Measures) + f.Value, measures: cfg.Chip.Also[f.Value : f.Value+1],
		})
	}
	return all
}

// of returns the part's values among those of its chip.
func (p *part) of(values []float32) []float32 { return values[p.first : p.first+len(p.measures)] }

// outcome returns what was measured, or the failure that p.err carries.
func (p *part) outcome(values []float32) outcome {
	f := wire.FaultOf(p.err)
	o := outcome{wire.Failed(f, 0).Values, f} // if good, NaNs that say that nothing is measured
	if f == wire.Good {
		copy(o.values[:], p.of(values))
	}
	return o
}

// check refuses values that the chip cannot have measured, and values that have not changed
// for longer than real ones do.
func (p *part) check(chip Sensor, values []float32, stuckAfter time.Duration) error {
	own := p.of(values)
	for i, m := range p.measures {
		if v := own[i]; !(v >= m.Min && v <= m.Max) {
			p.sameSince = time.Time{}
			return fmt.Errorf("%v: %s is outside its range: %w", chip, p.text(own), wire.Implausible)
		}
	}
	var same [2]uint32
	for i, v := range own {
		same[i] = math.Float32bits(v)
		if m := p.measures[i]; v == m.Min || v == m.Max { // in fog it is 100 % for hours
			p.sameSince = time.Time{}
		}
	}
	now := time.Now()
	if same != p.same || p.sameSince.IsZero() {
		p.same, p.sameSince = same, now
	} else if d := now.Sub(p.sameSince); stuckAfter > 0 && d >= stuckAfter {
		return fmt.Errorf("%v: %s unchanged to the last bit for %v: %w", chip, p.text(own), d.Truncate(time.Second), wire.Stuck)
	}
	return nil
}

// text is the values for people.
func (p *part) text(own []float32) string {
	var all []string
	for i, m := range p.measures {
		all = append(all, m.Text(own[i]))
	}
	return strings.Join(all, ", ")
}

func (p *part) note(err error) {
	p.mu.Lock()
	p.last = err
	p.mu.Unlock()
}

func (p *part) noted() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.last
}
