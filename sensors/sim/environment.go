package sim

import (
	"math"
	"time"
)

// Place is where in the surroundings a chip is.
type Place int

// The places.
const (
	Outdoor Place = iota
	Indoor
)

// Air is the state of the air at a place.
type Air struct {
	Temperature float64 // °C
	Humidity    float64 // % relative, 0…100
	Pressure    float64 // Pa
	CO2         float64 // ppm
}

// Environment is an emulated house and the weather outside: a pure function of
// its seed, the place and the time, except for the fan. Any number of goroutines
// may use it.
type Environment struct {
	seed uint64
	fan  fan
}

// NewEnvironment returns the environment of a seed.
func NewEnvironment(seed uint64) *Environment { return &Environment{seed: seed} }

// At returns the air at p at the time t, whose location says what time of day
// it is. The humidity follows from temperature and dew point: it falls when
// the same air gets warmer.
func (e *Environment) At(p Place, t time.Time) Air {
	feel := e.outdoor
	if p == Indoor {
		feel = e.indoor
	}
	temp, dew := feel(t)
	if p == Indoor {
		temp -= e.fan.cooling(t)
	}
	return Air{Temperature: temp, Humidity: humidity(temp, dew), Pressure: e.pressure(t), CO2: e.co2(p, t)}
}

// outdoor returns temperature and dew point outside, in °C: seasons of the
// temperate north, days that are warmest at three in the afternoon and vary
// less under clouds, weather over hours and days, and gusts.
func (e *Environment) outdoor(t time.Time) (temp, dew float64) {
	const year, coldest = 365.2425 * 24 * 3600, 16 * 24 * 3600 // seconds; mid January
	season := 10 - 10*math.Cos(2*math.Pi*(seconds(t)-coldest)/year)
	mean := season + 4.5*e.wander(1, t, 60*time.Hour)
	cloud := 0.5 + 0.5*e.wander(2, t, 11*time.Hour)

	h, m, s := t.Clock()
	hour := float64(h) + float64(m)/60 + (float64(s)+float64(t.Nanosecond())/1e9)/3600
	temp = mean + (6-4.5*cloud)*math.Cos(2*math.Pi*(hour-15)/24) +
		0.4*e.wander(3, t, 25*time.Minute) +
		0.2*e.wander(4, t, time.Minute) +
		0.08*e.wander(5, t, 13*time.Second)

	dew = mean - 8 + 6*cloud + e.wander(6, t, 5*time.Hour)
	// The nearer to saturation, the more water condenses: the dew point comes
	// close to the temperature but never passes it.
	return temp, temp - math.Log1p(math.Exp(temp-dew))
}

// indoor returns temperature and dew point inside, in °C: a heated house, 21 to
// 23 °C, which reacts to the weather late and little, and draughts that somebody
// who watches for a minute can see.
func (e *Environment) indoor(t time.Time) (temp, dew float64) {
	const heating = 22 * 60 // seconds from one firing to the next, about
	outside, outsideDew := e.outdoor(t.Add(-2 * time.Hour))
	temp = 22 + 0.35*math.Tanh((outside-10)/12) +
		0.3*math.Sin(2*math.Pi*seconds(t)/heating+2*e.wander(7, t, 3*time.Hour)) +
		0.24*e.wander(8, t, 45*time.Second) +
		0.08*e.wander(9, t, 16*time.Second)

	dew = 8.5 + 4*math.Tanh((outsideDew-5)/10) +
		0.6*e.wander(10, t, 15*time.Minute) +
		0.15*e.wander(11, t, 40*time.Second)
	return temp, dew
}

// pressure returns the air pressure in Pa, which is the same inside and outside.
func (e *Environment) pressure(t time.Time) float64 {
	return 101_325 + 1_300*e.wander(12, t, 70*time.Hour) +
		350*e.wander(13, t, 14*time.Hour) +
		15*e.wander(14, t, 20*time.Minute) +
		2*e.wander(15, t, 30*time.Second)
}

// co2 returns the carbon dioxide in ppm: that of the atmosphere outside; inside also what
// people breathe out.
func (e *Environment) co2(p Place, t time.Time) float64 {
	if p == Outdoor {
		return 425 + 10*e.wander(16, t, 5*time.Hour)
	}
	return 760 + 260*e.wander(17, t, 90*time.Minute) + 12*e.wander(18, t, 2*time.Minute)
}

// wander returns a smooth random curve's value in [-1, 1], one curve for each
// number. The curve takes another direction about once a period.
func (e *Environment) wander(curve uint64, t time.Time, period time.Duration) float64 {
	return valueNoise(mix(e.seed, curve), seconds(t)/period.Seconds())
}

// humidity returns the relative humidity in % of air at temp with the dew
// point dew, both in °C (Magnus formula over water, WMO No. 8).
func humidity(temp, dew float64) float64 {
	return 100 * math.Exp(17.62*dew/(243.12+dew)-17.62*temp/(243.12+temp))
}

// seconds returns t in seconds since 1970.
func seconds(t time.Time) float64 { return float64(t.Unix()) + float64(t.Nanosecond())/1e9 }
