package hub

import (
	"context"
	"maps"
	"slices"
	"time"

	"sensorgateway/gateway/fleet"
	"sensorgateway/gateway/history/codec"
	"sensorgateway/wire"
)

const (
	askers = 4 // gateways that are asked at the same time
	// askPause is between two questions, so that new readings go before old, missing ones.
	askPause = time.Second
	// askSpan is how many numbers are asked for at once: those of an hour at ten a second.
	askSpan = 36_000
	// askTime is how long an answer may take: over a slow line it takes minutes.
	askTime = 10 * time.Minute
	// askedMost is how many gaps of a gateway are remembered as asked for. If so many stay
	// because the gateway does not have their readings, it is asked for no other gap.
	askedMost = 64
	// listed is how many sensors, and how many alarms, are known of what a gateway sends: more than any has.
	listed = 1024
)

// Gap is what is missing of a sensor's epoch: the numbers after Since up to Until.
type Gap struct {
	Sensor, Epoch string
	Since, Until  uint32
}

// end is the end of what is stored of a sensor, and what was counted up to there.
type end struct {
	epoch  string
	last   uint32
	good   uint64
	failed map[wire.Fault]uint64 // nil: none
}

// follow notes stored blocks that the gateway sent unasked, and returns whether readings before
// them may be missing. r.mu is held.
func (r *Remote) follow(u fleet.Blocks) (check bool) {
	old, some := r.ends[u.Sensor]
	beyond := func(seq uint32) bool { return !some || old.epoch != u.Epoch || wire.Before(old.last, seq) }
	if beyond(u.Last) && (some || len(r.ends) < listed) {
		now := end{u.Epoch, u.Last, old.good, old.failed}
		for _, raw := range u.Blocks {
			now.measure(raw, beyond)
		}
		r.ends[u.Sensor] = now
	}
	before := u.First - 1
	if b, _, err := codec.ParseBlock(u.Blocks[0]); err == nil && wire.Before(b.Prev, u.First) {
		before = b.Prev // the numbers between these two were never made
	}
	check = r.unchecked || some && old.epoch == u.Epoch && wire.Before(old.last, before)
	r.unchecked = false
	return check
}

// check makes askMissing find out what is missing of a gateway.
func (g *Registry) check(r *Remote) {
	select {
	case g.checks <- r:
	default:
		r.CheckLater()
	}
}

// CheckLater has it found out what is missing when the next blocks come.
func (r *Remote) CheckLater() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.unchecked = true
}

// askMissing asks gateways for their missing readings, until ctx ends.
func (g *Registry) askMissing(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case r := <-g.checks:
			gaps, err := g.o.Missing(r.name)
			if err != nil {
				if !r.saidBefore(&r.unsure) {
					g.o.Log.Warn("cannot find out whether readings are missing; trying again with the next ones", "gateway", r.name, "err", err)
				}
				r.CheckLater()
				continue
			}
			r.forgetFilled(gaps)
			for _, gap := range gaps {
				if !r.firstTime(gap) {
					continue
				}
				if err := r.askGap(ctx, gap); err != nil {
					g.counts.GapsLeft.Add(1)
					r.notAsked(gap)
					g.o.Log.Info("missing readings were not sent; they are asked for again", "gateway", r.name, "sensor", gap.Sensor, "after", gap.Since, "to", gap.Until, "err", err)
					break
				}
				g.counts.Gaps.Add(1)
			}
		}
	}
}

// firstTime returns whether the gap was not asked for yet, and notes that it is.
func (r *Remote) firstTime(gap Gap) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, asked := r.asked[gap]; asked || len(r.asked) >= askedMost {
		return false
	}
	r.asked[gap] = struct{}{}
	return true
}

// forgetFilled forgets the asked gaps that are no longer missing, now that that is known.
func (r *Remote) forgetFilled(gaps []Gap) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.unsure = false
	maps.DeleteFunc(r.asked, func(asked Gap, _ struct{}) bool { return !slices.Contains(gaps, asked) })
}

// notAsked has the gap asked for again when the next blocks come.
func (r *Remote) notAsked(gap Gap) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.asked, gap)
	r.unchecked = true
}

// askGap asks for a gap, an hour at a time, the newest hour first: the oldest may be evicted
// meanwhile.
func (r *Remote) askGap(ctx context.Context, gap Gap) error {
	for until := gap.Until; until != gap.Since; {
		since := until - min(until-gap.Since, askSpan)
		asking, cancel := context.WithTimeout(ctx, askTime)
		err := r.AskReadings(asking, gap.Sensor, gap.Epoch, since, until)
		cancel()
		if err != nil {
			return err
		}
		until = since
		select {
		case <-time.After(askPause):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}
