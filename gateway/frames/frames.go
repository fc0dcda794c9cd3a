// Package frames makes the frames of a tick, once for each kind of subscription. It knows
// the wire and the framing, and refuses to know who subscribes.
package frames

import (
	"math/bits"

	"sensorgateway/gateway/conn"
	"sensorgateway/wire"
)

// Set has bit i set for the sensor with index i.
type Set uint64

// Has returns whether a sensor is in the set.
func (s Set) Has(sensor uint16) bool { return s>>sensor&1 == 1 }

// Single returns whether it has one sensor.
func (s Set) Single() bool { return bits.OnesCount64(uint64(s)) == 1 }

// First returns the lowest index in the set, which must not be empty.
func (s Set) First() int { return bits.TrailingZeros64(uint64(s)) }

// Encoder makes the frames of one tick after the other, in memory that it uses again.
type Encoder struct {
	Frame  []byte // the newest tick's, to be sent in one write
	Frames int    // how many frames that is
	text   []byte // of one reading, on its way into Frame
}

// Encode makes the frames of a tick for a kind of subscription, to be sent in one write.
func (e *Encoder) Encode(protocol string, wanted Set, records []wire.Record, sensors []wire.SensorInfo) {
	e.Frame, e.Frames = e.Frame[:0], 0
	n := 0
	for _, r := range records {
		if !wanted.Has(r.Sensor) {
			continue
		}
		n++
		switch protocol {
		case wire.ReadingsV1:
			e.Frame = conn.AppendHeader(e.Frame, conn.OpBinary, wire.ReadingSize)
			e.Frame = r.Reading.Append(e.Frame)
			e.Frames++
		case wire.ReadingsJSON:
			e.text = wire.AppendSensorJSON(e.text[:0], &sensors[r.Sensor], r)
			e.Frame = conn.AppendFrame(e.Frame, conn.OpText, e.text)
			e.Frames++
		}
	}
	if protocol == wire.ReadingsV2 && n > 0 {
		e.Frames = 1
		e.Frame = conn.AppendHeader(e.Frame, conn.OpBinary, n*wire.RecordSize)
		for _, r := range records {
			if wanted.Has(r.Sensor) {
				e.Frame = r.Append(e.Frame)
			}
		}
	}
}
