package wire

import "strconv"

// The encoders below are for files and answers of HTTP. They append to b and
// allocate nothing beyond it; a name must need no quotes, neither in JSON nor in
// CSV (the configuration sees to that).

// Header lines of what [AppendReadingCSV] and [AppendBucketCSV] append.
const (
	ReadingCSVHeader = "time,unix_ms,sensor,seq,temperature,humidity,fault\n"
	BucketCSVHeader  = "time,unix_ms,sensor,count,failed,fault,temperature_min,temperature_mean,temperature_max,humidity_min,humidity_mean,humidity_max\n"
)

// TailJSON is what comes after the last object of [AppendHeadJSON].
const TailJSON = "]}\n"

// AppendHeadJSON appends what comes before a sensor's readings between two times,
// Unix milliseconds, which is also what comes before their sums if step is not 0.
func AppendHeadJSON(b []byte, name string, from, to, step int64) []byte {
	b = append(append(b, `{"sensor":"`...), name...)
	b = strconv.AppendInt(append(b, `","from":`...), from, 10)
	b = strconv.AppendInt(append(b, `,"to":`...), to, 10)
	if step == 0 {
		return append(b, `,"readings":[`...)
	}
	b = strconv.AppendInt(append(b, `,"step":`...), step, 10)
	return append(b, `,"buckets":[`...)
}

// AppendReadingJSON appends r as an object. The sensor's name is not in it: it
// stands once, in what is around; it is a parameter for the sake of one signature.
func AppendReadingJSON(b []byte, _ string, r Record) []byte {
	b = append(b, `{"ts":`...)
	b = appendSeconds(b, r.UnixMilli)
	if r.Fault == Good {
		b = append(b, `,"temp":`...)
		b = appendFloat(b, r.Values[0])
		b = append(b, `,"humidity":`...)
		b = appendFloat(b, r.Values[1])
	} else {
		b = append(b, `,"temp":null,"humidity":null,"fault":"`...)
		b = append(b, r.Fault.String()...)
		b = append(b, '"')
	}
	b = append(b, `,"seq":`...)
	b = strconv.AppendUint(b, uint64(r.Seq), 10)
	return append(b, '}')
}

// AppendReadingCSV appends r as a line. What there is not is empty: the numbers
// of a failed measurement, the fault of a good one.
func AppendReadingCSV(b []byte, name string, r Record) []byte {
	b = appendCSVKey(b, name, r.UnixMilli)
	b = strconv.AppendUint(b, uint64(r.Seq), 10)
	if r.Fault == Good {
		b = append(b, ',')
		b = appendFloat(b, r.Values[0])
		b = append(b, ',')
		b = appendFloat(b, r.Values[1])
		return append(b, ",\n"...)
	}
	b = append(b, ",,,"...)
	b = append(b, r.Fault.String()...)
	return append(b, '\n')
}

// AppendBucketJSON appends x as an object, without the sensor's name as
// [AppendReadingJSON].
func AppendBucketJSON(b []byte, _ string, x Bucket) []byte {
	b = append(b, `{"ts":`...)
	b = appendSeconds(b, x.UnixMilli)
	b = append(b, `,"count":`...)
	b = strconv.AppendUint(b, uint64(x.Count), 10)
	b = append(b, `,"failed":`...)
	b = strconv.AppendUint(b, uint64(x.Failed), 10)
	if x.Fault != Good {
		b = append(b, `,"fault":"`...)
		b = append(b, x.Fault.String()...)
		b = append(b, '"')
	}
	if x.Count == 0 {
		return append(b, `,"temp":null,"humidity":null}`...)
	}
	b = append(b, `,"temp":`...)
	b = x.Values[0].appendJSON(b)
	b = append(b, `,"humidity":`...)
	b = x.Values[1].appendJSON(b)
	return append(b, '}')
}

// AppendBucketCSV appends x as a line. What there is not is empty.
func AppendBucketCSV(b []byte, name string, x Bucket) []byte {
	b = appendCSVKey(b, name, x.UnixMilli)
	b = strconv.AppendUint(b, uint64(x.Count), 10)
	b = append(b, ',')
	b = strconv.AppendUint(b, uint64(x.Failed), 10)
	b = append(b, ',')
	if x.Fault != Good {
		b = append(b, x.Fault.String()...)
	}
	for _, v := range x.Values {
		for _, v := range [...]float32{v.Min, v.Mean, v.Max} {
			b = append(b, ',')
			if x.Count > 0 {
				b = appendFloat(b, v)
			}
		}
	}
	return append(b, '\n')
}

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
