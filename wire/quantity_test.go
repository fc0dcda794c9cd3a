package wire

import (
	"encoding/json"
	"math"
	"reflect"
	"testing"
)

var (
	air  = &SensorInfo{Name: "air", Values: []Quantity{CO2}}
	roof = &SensorInfo{Name: "roof", Values: []Quantity{Pressure, Temperature}}
	pipe = &SensorInfo{Name: "pipe", Values: []Quantity{Temperature}}
)

// Exact texts of other quantities than temperature and humidity, and of a
// thermometer.
func TestOtherQuantitiesGolden(t *testing.T) {
	one := Record{Seq: 7, Reading: Reading{[2]float32{612, NotMeasured()}, 1000}}
	two := Record{Seq: 8, Flags: Historical, Reading: Reading{[2]float32{1013.25, -3.5}, 2000}}
	failed := Record{Seq: 9, Fault: NoAck, Reading: Failed(NoAck, 3000)}
	bucket := Bucket{UnixMilli: 0, Count: 2, Failed: 1, Fault: NoAck, Values: [2]Span{{1, 2, 3}, {NotMeasured(), NotMeasured(), NotMeasured()}}}
	all := CSV{Temperature, Humidity, CO2}
	for _, tt := range []struct{ name, got, want string }{
		{"one", string(AppendSensorJSON(nil, air, one)),
			`{"type":"sensor","payload":{"sensor":"air","values":{"co2":612},"units":{"co2":"ppm"},"ts":1.000,"seq":7}}`},
		{"two", string(AppendSensorJSON(nil, roof, two)),
			`{"type":"sensor","payload":{"sensor":"roof","values":{"pressure":1013.25,"temperature":-3.5},"units":{"pressure":"hPa","temperature":"°C"},"ts":2.000,"seq":8,"historical":true}}`},
		{"failed", string(AppendSensorJSON(nil, air, failed)),
			`{"type":"sensor","payload":{"sensor":"air","values":{"co2":null},"units":{"co2":"ppm"},"fault":"no_ack","ts":3.000,"seq":9}}`},
		{"a thermometer", string(AppendSensorJSON(nil, pipe, one)),
			`{"type":"sensor","payload":{"sensor":"pipe","temp":612,"unit":"C","humidity":null,"ts":1.000,"seq":7}}`},
		{"a failed thermometer", string(AppendSensorJSON(nil, pipe, failed)),
			`{"type":"sensor","payload":{"sensor":"pipe","temp":null,"unit":"C","humidity":null,"fault":"no_ack","ts":3.000,"seq":9}}`},

		{"head", string(AppendHeadJSON(nil, roof, 1, 2, 0)), `{"sensor":"roof","units":{"pressure":"hPa","temperature":"°C"},"from":1,"to":2,"readings":[`},
		{"reading", string(AppendReadingJSON(nil, roof, two)), `{"ts":2.000,"values":{"pressure":1013.25,"temperature":-3.5},"seq":8}`},
		{"failed reading", string(AppendReadingJSON(nil, roof, failed)), `{"ts":3.000,"values":{"pressure":null,"temperature":null},"fault":"no_ack","seq":9}`},
		{"a thermometer's reading", string(AppendReadingJSON(nil, pipe, one)), `{"ts":1.000,"temp":612,"humidity":null,"seq":7}`},
		{"bucket", string(AppendBucketJSON(nil, air, bucket)),
			`{"ts":0.000,"count":2,"failed":1,"fault":"no_ack","values":{"co2":{"min":1,"mean":2,"max":3}}}`},
		{"a bucket of failures", string(AppendBucketJSON(nil, air, quiet)), `{"ts":-1.000,"count":0,"failed":600,"fault":"bus_down","values":{"co2":null}}`},
		{"a thermometer's bucket", string(AppendBucketJSON(nil, pipe, bucket)),
			`{"ts":0.000,"count":2,"failed":1,"fault":"no_ack","temp":{"min":1,"mean":2,"max":3},"humidity":null}`},

		{"CSV header", CSV(roof.Quantities()).ReadingHeader(), "time,unix_ms,sensor,seq,pressure,temperature,fault\n"},
		{"CSV header of buckets", CSV(air.Quantities()).BucketHeader(), "time,unix_ms,sensor,count,failed,fault,co2_min,co2_mean,co2_max\n"},
		{"CSV", string(CSV(roof.Quantities()).AppendReading(nil, roof, two)), "1970-01-01T00:00:02.000Z,2000,roof,8,1013.25,-3.5,\n"},
		{"CSV of several sensors", string(all.AppendReading(all.AppendReading(nil, air, one), pipe, one)),
			"1970-01-01T00:00:01.000Z,1000,air,7,,,612,\n1970-01-01T00:00:01.000Z,1000,pipe,7,612,,,\n"},
		{"buckets of several sensors", string(all.AppendBucket(all.AppendBucket(nil, air, bucket), pipe, bucket)),
			"1970-01-01T00:00:00.000Z,0,air,2,1,no_ack,,,,,,,1,2,3\n1970-01-01T00:00:00.000Z,0,pipe,2,1,no_ack,1,2,3,,,,,,\n"},
	} {
		if tt.got != tt.want {
			t.Errorf("%s:\ngot  %s\nwant %s", tt.name, tt.got, tt.want)
		}
	}
}

func TestQuantitiesOfHello(t *testing.T) {
	for _, tt := range []struct {
		hello string
		want  []Quantity
		inV1  bool
	}{
		{`{}`, []Quantity{Temperature, Humidity}, true}, // of a server that knows no others
		{`{"values":[]}`, []Quantity{Temperature, Humidity}, true},
		{`{"values":[{"quantity":"temperature","unit":"°C"},{"quantity":"humidity","unit":"%"}]}`, []Quantity{Temperature, Humidity}, true},
		{`{"values":[{"quantity":"temperature","unit":"°C"}]}`, []Quantity{Temperature}, true},
		{`{"values":[{"quantity":"humidity","unit":"%"},{"quantity":"temperature","unit":"°C"}]}`, []Quantity{Humidity, Temperature}, false},
		{`{"values":[{"quantity":"co2","unit":"ppm"}]}`, []Quantity{CO2}, false},
		{`{"values":[{"quantity":"pressure","unit":"hPa"},{"quantity":"wind","unit":"m/s","later":1},{"quantity":"third","unit":""}]}`,
			[]Quantity{Pressure, {Name: "wind", Unit: "m/s", Decimals: 2}}, false},
	} {
		var s SensorInfo
		if err := json.Unmarshal([]byte(tt.hello), &s); err != nil {
			t.Fatal(err)
		}
		if got := s.Quantities(); !reflect.DeepEqual(got, tt.want) || s.InV1() != tt.inV1 {
			t.Errorf("%s: %+v, in readings.v1: %v", tt.hello, got, s.InV1())
		}
	}
	want := `{"id":1,"name":"pipe","model":"m","interval_ms":100,"next_seq":7,"values":[{"quantity":"temperature","unit":"°C"}]}`
	if got := string(JSON(SensorInfo{ID: 1, Name: "pipe", Model: "m", IntervalMS: 100, NextSeq: 7, Values: pipe.Values})); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestValuesForPeopleAndMetrics(t *testing.T) {
	for _, tt := range []struct {
		q     Quantity
		value float32
		text  string
		base  float32
	}{
		{Temperature, 21.456, "21.46 °C", 21.456},
		{Humidity, 40.25, "40.2 %", 0.4025},
		{Pressure, 1013.25, "1013.25 hPa", 101325},
		{CO2, 612.4, "612 ppm", 612.4},
	} {
		if text, base := tt.q.Text(tt.value), tt.q.Metric.Base(tt.value); text != tt.text || base != tt.base {
			t.Errorf("%v of %s: %q, %v, want %q, %v", tt.value, tt.q.Name, text, base, tt.text, tt.base)
		}
	}
	if math.Float32bits(NotMeasured()) != 0x7FC00000 {
		t.Errorf("not measured is %x", math.Float32bits(NotMeasured()))
	}
}
