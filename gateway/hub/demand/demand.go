// Package demand asks gateways for readings that clients want and of whose minutes a hub has
// only summaries: a gateway that has nearly used its bytes of the month sends nothing else
// unless it is asked.
//
// It knows how much may be asked for, and what was asked for. It refuses to know how a
// gateway is asked, and which minutes are summarised.
package demand

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"strconv"
	"sync"
	"time"

	"sensorgateway/gateway/hub"
	"sensorgateway/wire"
)

const (
	askers = 4 // gateways that are asked at the same time
	// most is how many minutes of its sensors a gateway is asked for within an hour, whoever
	// wants them: a day of two, which is 4 MB at ten readings a second.
	most = 2 * 24 * 60
	// once is how long a minute is not asked for again after the gateway has answered.
	once = time.Hour
	// refused is how long a gateway that can send nothing is not asked again; failed is how
	// long after any other error, for example while it starts.
	refused = 10 * time.Minute
	failed  = 20 * time.Second
	// together is how many minutes one question asks for at most. pause is between two
	// questions, so that new readings go first.
	together = 60
	pause    = time.Second
	askTime  = 10 * time.Minute // for an answer: over a slow line it takes minutes
	// dueMost is how many gateways can wait to be asked; a request for one more is refused.
	dueMost     = 1024
	forgetEvery = 10 * time.Minute
)

// Options are what a [Demand] is made of.
type Options struct {
	// Ask asks a gateway, and returns when what it has is stored. A [*wire.Error] with
	// code 503 says that it can send nothing, one with 408 that it has not answered.
	Ask func(ctx context.Context, gateway string, gap hub.Gap) error
	Log *slog.Logger
}

// Demand is what clients want. [Demand.Run] asks for it.
type Demand struct {
	o   Options
	due chan *gateway // to be asked, each once

	mu       sync.Mutex
	gateways map[string]*gateway
	counts   Counts
}

// gateway is what clients want of one gateway.
type gateway struct {
	name    string
	waiting []hub.Gap             // minutes to be asked for, in their order
	asked   map[hub.Gap]time.Time // when it has answered; zero: it has not yet
	busy    bool                  // it waits to be asked, or is being asked
	until   time.Time             // it is not asked before this time
	why     string                // the reason for that
}

// Counts are the minutes of sensors whose readings were asked for since the start.
type Counts struct {
	Answered int64 // the gateway has sent what it has
	Refused  int64
	Silent   int64 // the gateway has not answered
}

// Answer says for how many minutes the hub has only summaries, and whether their readings come.
type Answer struct {
	Minutes int    // of which the hub has only the summary
	Asked   int    // whose readings the gateway is asked for now
	Gone    int    // that the gateway did not have completely when it was asked
	Why     string // why the rest is not asked for, for people
}

// String returns the answer as the value of an HTTP header (RFC 9651, section 3.2); "" if
// nothing is lacking.
func (a Answer) String() string {
	if a.Minutes == 0 {
		return ""
	}
	s := fmt.Sprintf("minutes=%d, asked=%d, gone=%d", a.Minutes, a.Asked, a.Gone)
	if a.Why != "" {
		s += ", reason=" + strconv.QuoteToASCII(a.Why)
	}
	return s
}

// New returns a demand for nothing.
func New(o Options) *Demand {
	return &Demand{o: o, due: make(chan *gateway, dueMost), gateways: map[string]*gateway{}}
}

// Counts returns what became of what was asked for.
func (d *Demand) Counts() Counts {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.counts
}

// Want has a gateway asked for the readings of minutes of which the hub has only summaries,
// unless it was asked for them lately. away, if it is not empty, is why it cannot be asked.
// Want does not block.
func (d *Demand) Want(name string, minutes []hub.Gap, away string) Answer {
	a := Answer{Minutes: len(minutes), Why: away}
	if len(minutes) == 0 {
		return a
	}
	now := time.Now()
	d.mu.Lock()
	defer d.mu.Unlock()
	g := d.gateways[name]
	if g == nil {
		g = &gateway{name: name, asked: map[hub.Gap]time.Time{}}
		d.gateways[name] = g
	}
	g.forget(now)
	if away == "" && now.Before(g.until) {
		a.Why = g.why
	}
	before := len(g.waiting)
	for _, m := range minutes {
		switch answered, known := g.asked[m]; {
		case known && answered.IsZero():
			a.Asked++
		case known:
			a.Gone++
		case a.Why != "":
		case len(g.asked) >= most:
			a.Why = fmt.Sprintf("%s was asked for the readings of %d minutes within the last hour, and is asked for no more: ask again later", name, most)
		default:
			g.asked[m] = time.Time{}
			g.waiting = append(g.waiting, m)
			a.Asked++
		}
	}
	if more := len(g.waiting) - before; more > 0 {
		d.o.Log.Info("a client wants readings of which only the summaries are here: the gateway is asked for them", "gateway", name, "minutes", more)
		d.begin(g, &a)
	}
	return a
}

// begin puts the gateway among those that wait to be asked. d.mu is held.
func (d *Demand) begin(g *gateway, a *Answer) {
	if g.busy {
		return
	}
	select {
	case d.due <- g:
		g.busy = true
	default:
		a.Asked, a.Why = a.Asked-len(g.waiting), fmt.Sprintf("%d gateways wait to be asked: ask again later", dueMost)
		g.drop(g.waiting)
	}
}

// drop forgets all waiting minutes and those asked for in vain, and counts them. d.mu is held.
func (g *gateway) drop(asked []hub.Gap) (n int) {
	for _, all := range [][]hub.Gap{asked, g.waiting} {
		for _, m := range all {
			if _, known := g.asked[m]; known {
				delete(g.asked, m)
				n++
			}
		}
	}
	g.waiting = nil
	return n
}

// forget forgets what was answered long ago. d.mu is held.
func (g *gateway) forget(now time.Time) {
	maps.DeleteFunc(g.asked, func(_ hub.Gap, answered time.Time) bool { return !answered.IsZero() && now.Sub(answered) >= once })
}

// Run asks gateways for what is wanted until ctx ends.
func (d *Demand) Run(ctx context.Context) error {
	var parts sync.WaitGroup
	defer parts.Wait()
	for range askers {
		parts.Go(func() {
			for {
				select {
				case g := <-d.due:
					d.ask(ctx, g)
				case <-ctx.Done():
					return
				}
			}
		})
	}
	tick := time.NewTicker(forgetEvery)
	defer tick.Stop()
	for {
		select {
		case now := <-tick.C:
			d.mu.Lock()
			maps.DeleteFunc(d.gateways, func(_ string, g *gateway) bool {
				g.forget(now)
				return !g.busy && len(g.asked) == 0 && !now.Before(g.until)
			})
			d.mu.Unlock()
		case <-ctx.Done():
			return nil
		}
	}
}

// ask asks a gateway until nothing is wanted of it.
func (d *Demand) ask(ctx context.Context, g *gateway) {
	for minutes := d.next(g); minutes != nil; minutes = d.next(g) {
		first, last := minutes[0], minutes[len(minutes)-1]
		asking, cancel := context.WithTimeout(ctx, askTime)
		err := d.o.Ask(asking, g.name, hub.Gap{Sensor: first.Sensor, Epoch: first.Epoch, Since: first.Since, Until: last.Until})
		cancel()
		if ctx.Err() != nil {
			return
		}
		d.answered(g, minutes, err)
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return
		}
	}
}

// next returns the minutes of the next question, without a gap between them; nil: there are
// none, and the gateway is no longer busy.
func (d *Demand) next(g *gateway) []hub.Gap {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := min(len(g.waiting), 1)
	for n > 0 && n < min(len(g.waiting), together) {
		one, other := g.waiting[n-1], g.waiting[n]
		if one.Sensor != other.Sensor || one.Epoch != other.Epoch || one.Until != other.Since {
			break
		}
		n++
	}
	minutes := g.waiting[:n:n]
	g.waiting = g.waiting[n:]
	if n == 0 {
		g.busy, minutes = false, nil
	}
	return minutes
}

// answered notes how the gateway has answered a question.
func (d *Demand) answered(g *gateway, minutes []hub.Gap, err error) {
	now := time.Now()
	d.mu.Lock()
	defer d.mu.Unlock()
	if err == nil {
		d.counts.Answered += int64(len(minutes))
		for _, m := range minutes {
			g.asked[m] = now
		}
		return
	}
	n := g.drop(minutes)
	code, wait := wire.AsError(err).Code, failed
	if code == 503 {
		wait = refused
	}
	if code == 408 || errors.Is(err, context.DeadlineExceeded) {
		d.counts.Silent += int64(n)
	} else {
		d.counts.Refused += int64(n)
	}
	g.until, g.why = now.Add(wait), fmt.Sprintf("asked at %s: %v", now.UTC().Format(time.RFC3339), err)
	d.o.Log.Info("readings that a client wants were not sent; they are asked for again when somebody wants them later", "gateway", g.name, "minutes", n, "err", err)
}
