package wire

import (
	"bufio"
	"context"
	"errors"
	"io"
	"strconv"
)

// The encoders below are for files and answers of HTTP. They append to b and
// allocate nothing beyond it.

// TailJSON ends what [AppendHeadJSON] has begun, after the last object.
const TailJSON = "]}\n"

// AppendHeadJSON appends what comes before a sensor's readings between two times, in Unix
// milliseconds; or, if step is not 0, before its buckets.
func AppendHeadJSON(b []byte, sensor *SensorInfo, from, to, step int64) []byte {
	b = append(append(b, `{"sensor":"`...), sensor.Name...)
	b = append(b, `",`...)
	if !sensor.InV1() {
		b = append(appendUnits(b, sensor.Quantities()), ',')
	}
	b = strconv.AppendInt(append(b, `"from":`...), from, 10)
	b = strconv.AppendInt(append(b, `,"to":`...), to, 10)
	if step == 0 {
		return append(b, `,"readings":[`...)
	}
	b = strconv.AppendInt(append(b, `,"step":`...), step, 10)
	return append(b, `,"buckets":[`...)
}

// AppendReadingJSON appends r as an object. The sensor's name and its units are
// not in it: they stand once, in the head.
func AppendReadingJSON(b []byte, sensor *SensorInfo, r Record) []byte {
	b = append(b, `{"ts":`...)
	b = append(appendSeconds(b, r.UnixMilli), ',')
	if sensor.InV1() {
		b = appendClimate(b, `"temp":`, `,"humidity":`, r)
	} else {
		b = appendValues(b, sensor.Quantities(), r)
	}
	if r.Fault != Good {
		b = appendFault(append(b, ','), r.Fault)
	}
	b = append(b, `,"seq":`...)
	b = strconv.AppendUint(b, uint64(r.Seq), 10)
	return append(b, '}')
}

// AppendBucketJSON appends x as an object, without the sensor's name and units
// as [AppendReadingJSON].
func AppendBucketJSON(b []byte, sensor *SensorInfo, x Bucket) []byte {
	b = append(b, `{"ts":`...)
	b = appendSeconds(b, x.UnixMilli)
	b = append(b, `,"count":`...)
	b = strconv.AppendUint(b, uint64(x.Count), 10)
	b = append(b, `,"failed":`...)
	b = strconv.AppendUint(b, uint64(x.Failed), 10)
	if x.Fault != Good {
		b = appendFault(append(b, ','), x.Fault)
	}
	if sensor.InV1() {
		b = append(b, `,"temp":`...)
		b = x.appendSpan(b, 0)
		b = append(b, `,"humidity":`...)
		b = x.appendSpan(b, 1)
		return append(b, '}')
	}
	b = append(b, `,"values":{`...)
	for i, q := range sensor.Quantities() {
		b = appendKey(b, i, q)
		b = x.appendSpan(b, i)
	}
	return append(b, "}}"...)
}

// WriteRows writes what next returns until its error is io.EOF: each row as encode
// appends it, with a separator between two. It ends with any other error of next, the
// writer's, or the cause of the end of ctx.
func WriteRows[T any](ctx context.Context, w *bufio.Writer, sensor *SensorInfo, separator string, next func() ([]T, error), encode func([]byte, *SensorInfo, T) []byte) error {
	between := ""
	for ctx.Err() == nil {
		batch, err := next()
		for _, row := range batch {
			if _, err := w.Write(encode(append(w.AvailableBuffer(), between...), sensor, row)); err != nil {
				return err
			}
			between = separator
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return context.Cause(ctx)
}

// CSV is a table with columns for these quantities, which may be those of
// several sensors. What does not exist is empty: the values of a failed
// measurement, those that a sensor does not measure, the fault of a good one.
type CSV []Quantity

// ReadingHeader returns the header line for the lines of [CSV.AppendReading].
func (c CSV) ReadingHeader() string {
	header := "time,unix_ms,sensor,seq"
	for _, q := range c {
		header += "," + q.Name
	}
	return header + ",fault\n"
}

// BucketHeader returns the header line for the lines of [CSV.AppendBucket].
func (c CSV) BucketHeader() string {
	header := "time,unix_ms,sensor,count,failed,fault"
	for _, q := range c {
		header += "," + q.Name + "_min," + q.Name + "_mean," + q.Name + "_max"
	}
	return header + "\n"
}

// AppendReading appends r as a line.
func (c CSV) AppendReading(b []byte, sensor *SensorInfo, r Record) []byte {
	b = appendCSVKey(b, sensor.Name, r.UnixMilli)
	b = strconv.AppendUint(b, uint64(r.Seq), 10)
	for _, q := range c {
		b = append(b, ',')
		if i := sensor.column(q); i >= 0 && r.Fault == Good && finite(r.Values[i]) {
			b = appendFloat(b, r.Values[i])
		}
	}
	b = append(b, ',')
	if r.Fault != Good {
		b = append(b, r.Fault.String()...)
	}
	return append(b, '\n')
}

// AppendBucket appends x as a line.
func (c CSV) AppendBucket(b []byte, sensor *SensorInfo, x Bucket) []byte {
	b = appendCSVKey(b, sensor.Name, x.UnixMilli)
	b = strconv.AppendUint(b, uint64(x.Count), 10)
	b = append(b, ',')
	b = strconv.AppendUint(b, uint64(x.Failed), 10)
	b = append(b, ',')
	if x.Fault != Good {
		b = append(b, x.Fault.String()...)
	}
	for _, q := range c {
		i := sensor.column(q)
		if i < 0 || !x.has(i) {
			b = append(b, ",,,"...)
			continue
		}
		for _, v := range [...]float32{x.Values[i].Min, x.Values[i].Mean, x.Values[i].Max} {
			b = appendFloat(append(b, ','), v)
		}
	}
	return append(b, '\n')
}

// appendClimate appends the values of a sensor that fits into readings.v1, after
// these keys.
func appendClimate(b []byte, temperature, humidity string, r Record) []byte {
	b = append(b, temperature...)
	b = appendValue(b, r, 0)
	b = append(b, humidity...)
	return appendValue(b, r, 1)
}

// appendValues appends the values of any sensor by their names.
func appendValues(b []byte, quantities []Quantity, r Record) []byte {
	b = append(b, `"values":{`...)
	for i, q := range quantities {
		b = appendKey(b, i, q)
		b = appendValue(b, r, i)
	}
	return append(b, '}')
}

func appendUnits(b []byte, quantities []Quantity) []byte {
	b = append(b, `"units":{`...)
	for i, q := range quantities {
		b = appendKey(b, i, q)
		b = append(b, '"')
		b = append(b, q.Unit...)
		b = append(b, '"')
	}
	return append(b, '}')
}

// appendKey appends the key of an object's i-th member.
func appendKey(b []byte, i int, q Quantity) []byte {
	if i > 0 {
		b = append(b, ',')
	}
	b = append(b, '"')
	b = append(b, q.Name...)
	return append(b, `":`...)
}

// appendValue appends the i-th value of r, null if it is none.
func appendValue(b []byte, r Record, i int) []byte {
	if r.Fault != Good || !finite(r.Values[i]) {
		return append(b, "null"...)
	}
	return appendFloat(b, r.Values[i])
}

func appendFault(b []byte, f Fault) []byte {
	b = append(b, `"fault":"`...)
	b = append(b, f.String()...)
	return append(b, '"')
}

// has returns whether the bucket has a range of the i-th value.
func (x *Bucket) has(i int) bool { return x.Count > 0 && finite(x.Values[i].Mean) }

func (x *Bucket) appendSpan(b []byte, i int) []byte {
	if !x.has(i) {
		return append(b, "null"...)
	}
	return x.Values[i].appendJSON(b)
}

// finite returns whether JSON can express v.
func finite(v float32) bool { return v-v == 0 }

func (s Span) appendJSON(b []byte) []byte {
	b = append(b, `{"min":`...)
	b = appendFloat(b, s.Min)
	b = append(b, `,"mean":`...)
	b = appendFloat(b, s.Mean)
	b = append(b, `,"max":`...)
	b = appendFloat(b, s.Max)
	return append(b, '}')
}

// appendCSVKey appends the columns that each line begins with.
func appendCSVKey(b []byte, name string, ms int64) []byte {
	b = appendTime(b, ms)
	b = append(b, ',')
	b = strconv.AppendInt(b, ms, 10)
	b = append(b, ',')
	b = append(b, name...)
	return append(b, ',')
}

// appendFloat appends the shortest number that reads back as v.
func appendFloat(b []byte, v float32) []byte { return strconv.AppendFloat(b, float64(v), 'f', -1, 32) }

// appendSeconds appends ms as seconds with three decimals, exactly.
func appendSeconds(b []byte, ms int64) []byte {
	u := uint64(ms)
	if ms < 0 {
		b = append(b, '-')
		u = -u
	}
	b = strconv.AppendUint(b, u/1000, 10)
	return appendDigits(append(b, '.'), int64(u%1000), 3)
}

// appendTime appends Unix milliseconds as RFC 3339 has them in UTC, with three
// decimals. It is exact for the years 0 to 9999, which are all that RFC 3339 has.
func appendTime(b []byte, ms int64) []byte {
	const perDay = 24 * 60 * 60 * 1000
	days, ofDay := ms/perDay, ms%perDay
	if ofDay < 0 {
		days, ofDay = days-1, ofDay+perDay
	}
	// The Gregorian calendar repeats every 400 years, which are 146097 days; its
	// years are taken to begin in March, so that the leap day is their last.
	const era = 146097
	days += 719468 // from 0000-03-01 on
	cycle := days / era
	if days%era < 0 {
		cycle--
	}
	day := days - cycle*era
	year := (day - day/1460 + day/36524 - day/146096) / 365
	day -= 365*year + year/4 - year/100
	month := (5*day + 2) / 153 // 0 is March
	day -= (153*month + 2) / 5
	year += 400 * cycle
	if month += 3; month > 12 {
		month, year = month-12, year+1
	}
	b = append(appendDigits(b, year, 4), '-')
	b = append(appendDigits(b, month, 2), '-')
	b = append(appendDigits(b, day+1, 2), 'T')
	b = append(appendDigits(b, ofDay/3_600_000, 2), ':')
	b = append(appendDigits(b, ofDay/60_000%60, 2), ':')
	b = append(appendDigits(b, ofDay/1000%60, 2), '.')
	return append(appendDigits(b, ofDay%1000, 3), 'Z')
}

// appendDigits appends v with at least so many digits.
func appendDigits(b []byte, v int64, width int) []byte {
	if v < 0 {
		b, v = append(b, '-'), -v
	}
	var digits [20]byte
	i := len(digits)
	for ; v > 0 || width > 0; width-- {
		i--
		digits[i] = byte('0' + v%10)
		v /= 10
	}
	return append(b, digits[i:]...)
}
