// Package sim emulates an I²C bus, with chips emulated at register level in an
// emulated environment. It takes the place of the real bus and of nothing above it:
// the same drivers talk to it, and it answers as the chips' datasheets say,
// with their conversion times, checksums, calibration words and noise, and
// with their faults when asked for. A [Sensor] is on no bus.
//
// It knows datasheets and weather. It refuses to know the drivers that talk
// to it, how often they do, how a fault is named to those who listen, and any
// configuration.
//
// All times are [time.Now]'s and all chance comes from seeds, so that a test
// in a bubble of testing/synctest can repeat whatever happens.
package sim
