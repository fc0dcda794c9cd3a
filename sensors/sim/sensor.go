package sim

import (
	"math/rand/v2"
	"time"
)

// A Sensor is an emulated sensor that is on no emulated bus: what it feels, and how it
// fails. Any number of goroutines may use it.
type Sensor struct {
	device
	probe *probe
	turn  chan struct{} // holds a token while what follows, or the probe, is used
	flaky *flaky        // nil: it does not fail by itself
}

// NewSensor returns the sensor with a number at a place of the environment. The seed
// decides its noise and what fails in flaky mode.
func NewSensor(environment *Environment, place Place, seed, number uint64) *Sensor {
	s := &Sensor{turn: make(chan struct{}, 1)}
	s.who = number + 1
	s.chance = rand.New(rand.NewPCG(seed, number))
	s.failures.chance = rand.New(rand.NewPCG(number, seed))
	s.probe = &probe{environment: environment, place: place, chance: s.chance, frozen: func(now time.Time) bool {
		_, frozen := s.failures.strike(now, Freeze)
		return frozen
	}}
	return s
}

// SetFlaky lets it fail by itself from now on, as a chip on a flaky bus does,
// when the seed has it.
func (s *Sensor) SetFlaky(seed uint64) {
	s.turn <- struct{}{}
	defer func() { <-s.turn }()
	s.flaky = &flaky{seed: seed, start: time.Now()}
}

// Inject makes it fail from now on.
func (s *Sensor) Inject(failures ...Failure) { s.failures.add(time.Now(), failures...) }

// Repair ends what was injected.
func (s *Sensor) Repair() { s.failures.repair(time.Now()) }

// Strikes returns whether a failure of a kind shows now, and counts it.
func (s *Sensor) Strikes(kind Kind) bool {
	s.turn <- struct{}{}
	defer func() { <-s.turn }()
	now := time.Now()
	if s.flaky != nil {
		s.flaky.give(&s.device, now)
	}
	s.failures.settle(now)
	_, strikes := s.failures.strike(now, kind)
	return strikes
}

// Sample returns the air as it feels it now, with noise whose standard deviations are
// those of sigma.
func (s *Sensor) Sample(sigma Air) Air {
	s.turn <- struct{}{}
	defer func() { <-s.turn }()
	now := time.Now()
	return s.probe.sample(now, now, sigma)
}
