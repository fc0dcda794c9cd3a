package ship

import "time"

const (
	// ahead is how long sent messages may queue in the line: live messages wait behind them.
	ahead = 150 * time.Millisecond
	// A measured rate is used for rateTime at least. A round trip is used for longer, because
	// nothing is sent for a round trip when it is measured again.
	rateTime  = 10 * time.Second
	tripTime  = 30 * time.Second
	tripTrips = 50

	firstMessage = 1 << 10 // bytes of a message while the rate is not known: 125 ms at 64 kbit/s
	minMessage   = 1 << 10 // cutting a block into smaller pieces costs more than it saves
	maxMessage   = 48 << 10
	maxFlying    = 64 // messages

	rounds = 2 // so many without growth show that the line is filled
)

// flow measures the line, and computes how much may be under way: the rate times the round
// trip, which fills the line, plus what may queue for [ahead]. While the line carries more
// than that, the measured rate grows, and with it what may be under way.
//
// The rate is the greatest of the last seconds and the round trip the shortest, because a
// queue in the line makes no rate greater, but round trips longer. (This is a small part of
// BBR: draft-ietf-ccwg-bbr.)
type flow struct {
	rates [2]float64 // bytes/s, the greatest of the present rateTime and of the one before; 0: none
	rated time.Time  // when the present one began
	trips [2]roundTrip
	timed time.Time
	drain bool // nothing is sent until nothing is under way, so that the next trip is measured without a queue

	// At the beginning, two thirds more is sent than gets through, until the rate has not grown
	// for some rounds, or messages queue in the line. An excess is noticed a round trip later,
	// and live messages wait behind it: if twice as much were sent, for half a second longer on
	// a line with a round trip of 600 ms. If the line had only stalled, the rate grows again
	// later, and then this begins again.
	still    int       // rounds without growth
	before   float64   // the rate of the last round
	compared time.Time // when that ended

	delivered int64     // bytes that were confirmed
	at        time.Time // when the last of them were confirmed, or the first one after a rest was sent
	flying    int       // bytes under way
	messages  int
}

// ticket is what the line was like when a message was sent.
type ticket struct {
	size      int
	sent      time.Time
	delivered int64
	at        time.Time
	limited   bool // there was nothing more to send, so the line could have carried more
}

// roundTrip is how long it took until a message of this size was answered.
type roundTrip struct {
	took time.Duration
	size int
}

// sent notes that a message was sent. limited: no other was ready to follow it.
func (f *flow) sent(size int, limited bool, now time.Time) ticket {
	if f.messages == 0 {
		f.at, f.drain = now, false
	}
	f.flying += size
	f.messages++
	return ticket{size, now, f.delivered, f.at, limited}
}

// done notes that a message was answered.
func (f *flow) done(t ticket, confirmed bool, now time.Time) {
	f.flying -= t.size
	f.messages--
	if !confirmed {
		return
	}
	f.delivered += int64(t.size)
	f.at = now
	trip := now.Sub(t.sent)
	if trip > 0 && (f.trips[0].took == 0 || trip < f.trips[0].took) {
		f.trips[0] = roundTrip{trip, t.size}
	}
	if now.Sub(f.timed) > max(tripTime, tripTrips*f.trip().took) {
		f.trips, f.timed, f.drain = [2]roundTrip{{}, f.trip()}, now, f.messages > 0
	}
	if took := now.Sub(t.at).Seconds(); took > 0 {
		f.rateIs(float64(f.delivered-t.delivered)/took, t.limited, now)
	}
	// A trip this long shows a queue in the line, so the line is filled. Waiting for one message
	// before it is allowed for: an unfilled line carries at least twice the measured rate.
	if f.still < rounds && trip > f.trip().took+ahead*3/2+f.takes(t.size)/2 {
		f.still = rounds
	}
	if !t.limited && !t.sent.Before(f.compared) {
		f.still++
		if f.rate() >= 1.25*f.before {
			f.still = 0
		}
		f.before, f.compared = f.rate(), now
	}
}

func (f *flow) rateIs(rate float64, limited bool, now time.Time) {
	if limited && rate <= f.rate() {
		return
	}
	if now.Sub(f.rated) > rateTime {
		f.rates, f.rated = [2]float64{0, f.rates[0]}, now
	}
	f.rates[0] = max(f.rates[0], rate)
}

// rate returns the line's, 0 if it is not known.
func (f *flow) rate() float64 { return max(f.rates[0], f.rates[1]) }

// takes returns how long so many bytes take at the measured rate, 0 if it is not known.
func (f *flow) takes(size int) time.Duration {
	if f.rate() == 0 {
		return 0
	}
	return time.Duration(float64(size) / f.rate() * float64(time.Second))
}

// trip returns the round trip, 0 if it is not known.
func (f *flow) trip() roundTrip {
	if f.trips[0].took == 0 || f.trips[1].took != 0 && f.trips[1].took < f.trips[0].took {
		return f.trips[1]
	}
	return f.trips[0]
}

// message returns how long a message should be, in bytes.
func (f *flow) message() int {
	if f.rate() == 0 {
		return firstMessage
	}
	return int(min(max(f.rate()*ahead.Seconds(), minMessage), maxMessage))
}

// fits returns whether a message of that size may be sent now.
func (f *flow) fits(size int) bool {
	if f.messages == 0 {
		return true
	}
	window := float64(firstMessage)
	if f.rate() > 0 {
		trip := f.trip()
		fills := f.rate()*trip.took.Seconds() + float64(max(size-trip.size, 0)) // a longer message is under way for a longer time
		more := max(f.rate()*ahead.Seconds(), float64(size+partRoom))           // with room for less than a message, a rate that is too low would stay so
		if f.still < rounds {
			more = max(more, fills*2/3)
		}
		window = fills + more
	}
	return !f.drain && f.messages < maxFlying && float64(f.flying+size) <= window
}
