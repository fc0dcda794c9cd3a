package wire

// Bucket sums up a sensor's records of a span of time.
type Bucket struct {
	UnixMilli int64   // its beginning, a multiple of the step
	Count     uint32  // good measurements
	Failed    uint32  // failed ones
	Fault     Fault   // cause of the last failed one, [Good] if there is none
	Values    [2]Span // of the good ones, as in a [Reading]; zero if there are none
}

// Span is the range and the mean of some values.
type Span struct{ Min, Mean, Max float32 }
