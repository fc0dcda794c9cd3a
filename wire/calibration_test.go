package wire

import (
	"math"
	"math/rand/v2"
	"testing"
)

func TestCalibrationOf(t *testing.T) {
	for _, tt := range []struct {
		c              Calibration
		measured, want float32
	}{
		{Calibration{}, 21.5, 21.5},
		{Calibration{Scale: 1, Offset: -0.4}, 21.5, 21.1},
		{Calibration{Scale: 1.02}, 50, 51},
		{Calibration{Scale: 1.02, Offset: -0.4}, 20, 20},
		{Calibration{Scale: 2, Offset: 1}, float32(math.Inf(-1)), float32(math.Inf(-1))},
	} {
		if got := tt.c.Of(tt.measured); got != tt.want {
			t.Errorf("%+v of %v is %v, want %v", tt.c, tt.measured, got, tt.want)
		}
	}
}

// The corrected values have the order of the measured ones, so that the least and the
// greatest of a block stay so.
func TestCalibrationKeepsOrder(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 10_000 {
		c := Calibration{Scale: 0.5 + r.Float64(), Offset: 60*r.Float64() - 30}
		a := float32(r.Float64()*200 - 50)
		b := math.Nextafter32(a, math.MaxFloat32)
		if c.Of(a) > c.Of(b) {
			t.Fatalf("%+v: %v of %v is above %v of %v", c, c.Of(a), a, c.Of(b), b)
		}
	}
}

// The values of a failure are not corrected, nor is a NaN that stands for no value.
func TestCalibrationOfFailures(t *testing.T) {
	c := Calibrations{{1.5, 3}, {1.5, 3}}
	for _, r := range []Record{
		{Fault: NoAck, Reading: Failed(NoAck, 1)},
		{Fault: Stuck, Reading: Reading{[2]float32{1, 2}, 1}},
		{Reading: Reading{[2]float32{NotMeasured(), NotMeasured()}, 1}},
	} {
		got := r
		c.Apply(&got)
		for i := range got.Values {
			if math.Float32bits(got.Values[i]) != math.Float32bits(r.Values[i]) {
				t.Errorf("%+v became %+v", r, got)
			}
		}
	}
}

func TestCalibrationInHello(t *testing.T) {
	s := SensorInfo{Name: "roof", Values: []Quantity{Temperature, Humidity}, Median: 3,
		Calibration: map[string]Calibration{"humidity": {1.02, -0.4}}}
	want := `{"id":0,"name":"roof","model":"","interval_ms":0,"next_seq":0,"values":[{"quantity":"temperature","unit":"°C"},{"quantity":"humidity","unit":"%"}],` +
		`"calibration":{"humidity":{"scale":1.02,"offset":-0.4}},"median":3}`
	if got := string(JSON(s)); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got, want := s.Calibrations(), (Calibrations{{}, {1.02, -0.4}}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}
