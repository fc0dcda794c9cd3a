package wire

import (
	"encoding/binary"
	"fmt"
	"math"
)

// Sizes on the wire, in bytes.
const (
	ReadingSize = 16
	RecordSize  = 24
)

// Reading is one measurement: Python's struct "!ffq".
//
//	offset  type     field
//	0       float32  first value: temperature in °C, unless hello says otherwise
//	4       float32  second value: relative humidity in %, unless hello says otherwise
//	8       int64    time of the measurement, Unix milliseconds
//
// A failed measurement has a NaN in both numbers that says why ([Failed]).
type Reading struct {
	Values    [2]float32 // in the order of the sensor's quantities ([SensorInfo])
	UnixMilli int64      // of the measurement
}

// Failed returns the reading that says at unixMilli that the measurement failed for f.
func Failed(f Fault, unixMilli int64) Reading {
	return Reading{Values: [2]float32{f.NaN(), f.NaN()}, UnixMilli: unixMilli}
}

// Fault returns the cause that is in the reading's first value, [Good] if that is a number.
func (r Reading) Fault() Fault { return faultOfFloat(r.Values[0]) }

// Append appends the reading's 16 bytes to b.
func (r Reading) Append(b []byte) []byte {
	b = binary.BigEndian.AppendUint32(b, math.Float32bits(r.Values[0]))
	b = binary.BigEndian.AppendUint32(b, math.Float32bits(r.Values[1]))
	return binary.BigEndian.AppendUint64(b, uint64(r.UnixMilli))
}

// ParseReading is the inverse of [Reading.Append]; b must be exactly 16 bytes.
func ParseReading(b []byte) (Reading, error) {
	if len(b) != ReadingSize {
		return Reading{}, fmt.Errorf("reading: %d bytes, want %d", len(b), ReadingSize)
	}
	return Reading{
		Values: [2]float32{
			math.Float32frombits(binary.BigEndian.Uint32(b)),
			math.Float32frombits(binary.BigEndian.Uint32(b[4:])),
		},
		UnixMilli: int64(binary.BigEndian.Uint64(b[8:])),
	}, nil
}

// Flags say how a record was made.
type Flags uint8

const (
	Simulated     Flags = 1 // from an emulated chip
	ClockUnsynced Flags = 2 // the system clock was not yet synchronised
	Historical    Flags = 4 // replayed
	Conflated     Flags = 8 // stands for several
)

// Record is one tick of one sensor: Python's struct "!HBBIffq".
//
//	offset  type     field
//	0       uint16   sensor number, named in hello
//	2       uint8    flags
//	3       uint8    fault; 0 is good
//	4       uint32   sequence number of the tick, per sensor
//	8       16 bytes the reading
type Record struct {
	Sensor uint16
	Flags  Flags
	Fault  Fault
	Seq    uint32
	Reading
}

// Before compares sequence numbers, which wrap (RFC 1982, section 3.2).
func Before(a, b uint32) bool { return int32(a-b) < 0 }

// Append appends the record's 24 bytes to b.
func (r Record) Append(b []byte) []byte {
	b = binary.BigEndian.AppendUint16(b, r.Sensor)
	b = append(b, byte(r.Flags), byte(r.Fault))
	b = binary.BigEndian.AppendUint32(b, r.Seq)
	return r.Reading.Append(b)
}

// ParseRecord is the inverse of [Record.Append]; b must be exactly 24 bytes.
func ParseRecord(b []byte) (Record, error) {
	if len(b) != RecordSize {
		return Record{}, fmt.Errorf("record: %d bytes, want %d", len(b), RecordSize)
	}
	reading, err := ParseReading(b[8:])
	return Record{
		Sensor:  binary.BigEndian.Uint16(b),
		Flags:   Flags(b[2]),
		Fault:   Fault(b[3]),
		Seq:     binary.BigEndian.Uint32(b[4:]),
		Reading: reading,
	}, err
}

// ParseRecords parses a readings.v2 message: one or more records.
func ParseRecords(b []byte) ([]Record, error) {
	if len(b) == 0 || len(b)%RecordSize != 0 {
		return nil, fmt.Errorf("records: %d bytes, want a multiple of %d", len(b), RecordSize)
	}
	records := make([]Record, 0, len(b)/RecordSize)
	for ; len(b) > 0; b = b[RecordSize:] {
		r, err := ParseRecord(b[:RecordSize])
		if err != nil {
			return nil, err
		}
		records = append(records, r)
	}
	return records, nil
}
